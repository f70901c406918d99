// LayerReader+Tunnels: BFD parameters of our Tunnel rows (vtep(5), table Tunnel, "BFD Parameters" and "BFD Remote Configuration").

import Encap
import OVSDBClient
import VTEP

extension LayerReader {
  mutating func readTunnels(_ own: HardwareVTEP.PhysicalSwitch, _ replica: Replica) {
    for id in own.tunnels.sorted() {
      guard let tunnel = replica.one(HardwareVTEP.Tunnel.self, in: .tunnel, id), tunnel.bfdParams["enable"] == "true" else { continue }
      guard let address = replica.address(ofLocator: tunnel.remote) else {
        faults.messages.insert("tunnel \(id): BFD: its remote locator has no IP address")
        continue
      }
      var parameters = TunnelParameters(tunnel)
      let settings = parameters.settings
      for problem in parameters.problems { faults.messages.insert("tunnel to \(address): \(problem)") }
      // Of two rows the one with the lower UUID counts.
      if layer.bfd[address] == nil { layer.bfd[address] = settings }
    }
  }
}

extension Replica {
  /// The address in a row of Physical_Locator; nil: there is none, or it is no address.
  func address(ofLocator id: RowID) -> IPAddress? {
    one(HardwareVTEP.Locator.self, in: .locator, id).flatMap { IPAddress($0.destinationIP) }
  }
}

/// A row's maps as settings. What makes no sense is left at its default, and told.
private struct TunnelParameters {
  private let tunnel: HardwareVTEP.Tunnel
  private(set) var problems: [String] = []

  init(_ tunnel: HardwareVTEP.Tunnel) { self.tunnel = tunnel }

  var settings: BFDSettings {
    mutating get {
      var settings = BFDSettings()
      settings.minRx = number("min_rx", atLeast: 1) ?? 1000
      settings.minTx = number("min_tx", atLeast: 1) ?? 100
      settings.decayMinRx = number("decay_min_rx", atLeast: 0) ?? 0
      if settings.decayMinRx != 0, settings.decayMinRx < settings.minRx {
        problems.append("bfd_params:decay_min_rx is less than min_rx and ignored")
        settings.decayMinRx = 0
      }
      settings.forwardingIfRx = tunnel.bfdParams["forwarding_if_rx"] == "true"
      settings.pathIsDown = tunnel.bfdParams["cpath_down"] == "true"
      settings.checksTunnelKey = tunnel.bfdParams["check_tnl_key"] == "true"
      if let text = tunnel.bfdConfigRemote["bfd_dst_mac"] {
        settings.destinationMAC = MACAddress(text)
        if settings.destinationMAC == nil { problems.append("bfd_config_remote:bfd_dst_mac '\(text)' is not a MAC address") }
      }
      if let text = tunnel.bfdConfigRemote["bfd_dst_ip"] {
        settings.destinationIP = IPAddress(text).flatMap { $0.isIPv4 ? $0 : nil }
        if settings.destinationIP == nil { problems.append("bfd_config_remote:bfd_dst_ip '\(text)' is not an IPv4 address") }
      }
      return settings
    }
  }

  /// Milliseconds.
  private mutating func number(_ key: String, atLeast least: UInt32) -> UInt32? {
    guard let text = tunnel.bfdParams[key] else { return nil }
    guard let value = UInt32(text), value >= least, value <= BFDSettings.intervalRange.upperBound else {
      problems.append("bfd_params:\(key) '\(text)' is not a number from \(least) to \(BFDSettings.intervalRange.upperBound)")
      return nil
    }
    return value
  }
}
