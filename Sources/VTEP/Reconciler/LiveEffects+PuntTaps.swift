// LiveEffects+PuntTaps: the taps of ports that punt, and where loop probes are sent: what the slow path works on.

import Encap
import Glibc
import MACTable
import Netlink

extension LiveEffects {
  /// Creates the taps that `new` needs and that do not exist yet. When the daemon starts, a port whose tap cannot be created
  /// runs without it, and the tap is retried.
  func openPuntTaps(for new: DesiredState, isFirst: Bool) throws(VTEPError) -> [TapInterface] {
    var taps: [TapInterface] = []
    for settings in new.ports.values.sorted(by: { $0.name < $1.name }) {
      guard let name = settings.puntTapName, puntTaps[name] == nil, puntFaults[settings.name] == nil else { continue }
      do throws(VTEPError) {
        taps.append(try openPuntTap(name, port: settings.name))
      } catch {
        guard isFirst else { throw error }
        recordPuntFault(error, port: settings.name)
      }
    }
    return taps
  }

  /// Puts taps to use whose ports run now.
  func adopt(_ taps: [TapInterface], _ ports: PortTable, probeIntervalSeconds: UInt32) {
    guard !taps.isEmpty else { return }
    for tap in taps { puntTaps[tap.name] = tap }
    updateSlowPath(ports, probeIntervalSeconds: probeIntervalSeconds)
  }

  private func recordPuntFault(_ error: VTEPError, port: String) {
    if puntFaults.updateValue("\(error)", forKey: port) != "\(error)" { log.error("\(error)") }
  }

  /// Retries taps that could not be created.
  ///
  /// - Returns: whether any were missing.
  func retryPuntTaps(_ ports: PortTable) -> Bool {
    guard !puntFaults.isEmpty else { return false }
    for port in puntFaults.keys {
      guard let name = ports[port]?.settings.puntTapName, puntTaps[name] == nil else {
        puntFaults[port] = nil
        continue
      }
      do throws(VTEPError) {
        puntTaps[name] = try openPuntTap(name, port: port)
        puntFaults[port] = nil
        log.notice("port \(port): created \(name)")
      } catch {
        recordPuntFault(error, port: port)
      }
    }
    return true
  }

  private func openPuntTap(_ name: String, port: String) throws(VTEPError) -> TapInterface {
    do throws(NetlinkError) {
      if let left = tapStore.take(name, queues: 1) { return TapInterface(name: name, resuming: left[0]) }
      let tap = try TapInterface(name: name)
      _ = tapStore.keep(name, [tap.descriptor])
      if let link = try netlink.link(named: name) { try netlink.setLink(index: link.index, up: true) }
      return tap
    } catch {
      let isTaken = error.code == EBUSY
      throw VTEPError(
        isTaken ? .refused : .environment, "port \(port): l2-protocols: punt", "\(error)",
        remedy: isTaken ? "delete the interface \(name), or rename the port" : "run as root or with CAP_NET_ADMIN")
    }
  }

  /// A tap was deleted: creates it again.
  func losePuntTap(named name: String, _ ports: PortTable) {
    guard puntTaps.removeValue(forKey: name) != nil,
      let port = ports.values.first(where: { $0.settings.puntTapName == name })?.settings.name
    else { return }
    log.warning("port \(port): \(name) was deleted; creating it again")
    do throws(VTEPError) {
      puntTaps[name] = try openPuntTap(name, port: port)
    } catch {
      recordPuntFault(error, port: port)
    }
  }

  /// Brings taps and probes in line with the ports.
  func updateSlowPath(_ ports: PortTable, probeIntervalSeconds: UInt32) {
    var taps: [PortIndex: TapInterface] = [:]
    var names: Set<String> = []
    var targets: [ProbeTarget] = []
    for record in ports.values.sorted(by: { $0.index < $1.index }) {
      if let name = record.settings.puntTapName, let tap = puntTaps[name] {
        names.insert(name)
        taps[record.index] = tap
        adjust(tap, to: record)
      }
      guard record.isUp, record.settings.probesLoops else { continue }
      let source = PortHost.stableMAC(host: hostName, port: "\(record.settings.name)/loop-probe")
      targets += record.settings.bindings.map { vlan, vni in
        ProbeTarget(port: record.index, vlan: vlan, tpid: record.settings.tpid.pushed, vni: vni, source: source)
      }
    }
    slowPath.setTaps(taps)
    slowPath.setProbes(targets, intervalSeconds: probeIntervalSeconds)
    for (name, tap) in puntTaps where !names.contains(name) {
      puntTaps[name] = nil
      delete(tap)
    }
  }

  /// The tap follows its port: address, MTU, carrier.
  private func adjust(_ tap: TapInterface, to record: PortRecord) {
    tap.setCarrier(isOn: record.isUp)
    do throws(NetlinkError) {
      // Not when it was moved to another namespace.
      guard let link = try netlink.link(named: tap.name) else { return }
      if let mac = record.device?.mac, mac != link.mac { try netlink.setAddress(index: link.index, mac) }
      if let mtu = record.status.mtu, mtu != link.mtu {
        try netlink.setMTU(index: link.index, mtu: mtu)
        if link.mtu < HostSide.leastMTUForIPv6 { tap.turnIPv6Off() }
      }
    } catch {
      log.warning("port \(record.settings.name): punt tap \(tap.name): \(error)")
    }
  }

  /// At the end of the process, which taps that the service manager keeps outlive.
  func closePuntTaps() {
    slowPath.setTaps([:])
    slowPath.setProbes([], intervalSeconds: 1)
    if !tapStore.keepsTaps { for tap in puntTaps.values { delete(tap) } }
    puntTaps = [:]
  }

  /// The slow path may still hold the tap for a moment, but its name must be free at once.
  private func delete(_ tap: TapInterface) {
    tapStore.forget(tap.name)
    guard TapDevice.interfaceName(of: tap.descriptor) == tap.name, let found = try? netlink.link(named: tap.name),
      found.kind == "tun"
    else { return }
    do {
      try netlink.deleteLink(index: found.index)
    } catch {
      log.warning("punt tap \(tap.name): \(error)")
    }
  }
}
