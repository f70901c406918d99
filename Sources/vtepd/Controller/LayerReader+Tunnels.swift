// LayerReader+Tunnels: BFD parameters of our Tunnel rows (vtep(5), table Tunnel, "BFD Parameters" and "BFD Remote Configuration").

import Encap
import OVSDBClient
import VTEP

extension LayerReader {
  mutating func readTunnels(_ own: HardwareVTEP.PhysicalSwitch, _ replica: Replica) {
    for id in own.tunnels.sorted() {
      guard let tunnel = replica.one(HardwareVTEP.Tunnel.self, in: .tunnel, id) else { continue }
      if let text = tunnel.bfdParams["enable"], Bool(database: text) == nil {
        faults.messages.insert("tunnel \(id): bfd_params:enable '\(text)' is neither true nor false; BFD is off")
      }
      guard tunnel.wantsBFD else { continue }
      guard let address = replica.address(ofLocator: tunnel.remote) else {
        faults.messages.insert("tunnel \(id): BFD: its remote locator has no IP address")
        continue
      }
      var parameters = TunnelParameters(tunnel)
      let settings = parameters.settings
      for problem in parameters.problems { faults.messages.insert("tunnel to \(address): \(problem)") }
      if let other = layer.bfd[address], other != settings {
        faults.messages.insert("tunnel to \(address): several rows with different parameters; using the one with the lowest UUID")
      }
      layer.bfd[address] = layer.bfd[address] ?? settings
    }
  }
}

extension Replica {
  /// The address in a row of Physical_Locator; nil: there is none, or it is no address.
  func address(ofLocator id: RowID) -> IPAddress? {
    one(HardwareVTEP.Locator.self, in: .locator, id).flatMap { IPAddress(database: $0.destinationIP) }
  }
}

extension HardwareVTEP.Tunnel {
  /// Whether the controller has enabled BFD.
  var wantsBFD: Bool { bfdParams["enable"].flatMap { Bool(database: $0) } ?? false }
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
      settings.forwardingIfRx = flag("forwarding_if_rx")
      settings.pathIsDown = flag("cpath_down")
      settings.checksTunnelKey = flag("check_tnl_key")
      if let text = tunnel.bfdConfigRemote["bfd_dst_mac"] {
        settings.destinationMAC = MACAddress(database: text)
        if settings.destinationMAC == nil { problems.append("bfd_config_remote:bfd_dst_mac '\(text)' is not a MAC address") }
      }
      if let text = tunnel.bfdConfigRemote["bfd_dst_ip"] {
        settings.destinationIP = IPAddress(database: text).flatMap { $0.isIPv4 ? $0 : nil }
        if settings.destinationIP == nil { problems.append("bfd_config_remote:bfd_dst_ip '\(text)' is not an IPv4 address") }
      }
      return settings
    }
  }

  /// Milliseconds.
  private mutating func number(_ key: String, atLeast least: UInt32) -> UInt32? {
    guard let text = tunnel.bfdParams[key] else { return nil }
    guard let value = UInt32(text.trimmed), value >= least, value <= BFDSettings.intervalRange.upperBound else {
      problems.append("bfd_params:\(key) '\(text)' is not a number from \(least) to \(BFDSettings.intervalRange.upperBound)")
      return nil
    }
    return value
  }

  private mutating func flag(_ key: String) -> Bool {
    guard let text = tunnel.bfdParams[key] else { return false }
    guard let value = Bool(database: text) else {
      problems.append("bfd_params:\(key) '\(text)' is neither true nor false")
      return false
    }
    return value
  }
}
