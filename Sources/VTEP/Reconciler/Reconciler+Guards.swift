// Reconciler+Guards: ports that are shut because of what came in at them: a BPDU where no bridge should be, or a loop probe
// that came back. They are tried again after a hold time.

import Encap
import MACTable

/// Probes of a port that come back over the overlay, on ticks of the reconciler.
struct OverlayReturns {
  var first: Int
  var latest: Int
}

extension Reconciler {
  private func port(at index: PortIndex) -> PortRecord? { ports.values.first { $0.index == index } }

  func heed(_ alarm: PortAlarm) {
    switch alarm {
    case .bpdu(let index):
      guard let record = port(at: index), record.isUp, record.settings.hasBPDUGuard else { return }
      shut(record.settings.name, .bpduGuard, "a BPDU came in", seconds: desired.protection.bpduGuard.holdSeconds)
    case .loop(let probe, let place):
      // One loop is seen several times; once a port is shut, the rest is history.
      guard let sender = port(at: PortIndex(probe.port)), sender.isUp, sender.settings.probesLoops else { return }
      switch place {
      case .port(let index, let vlan): heedReturn(probe, of: sender, at: index, vlan: vlan)
      case .overlay(let vni, let vtep): heedReturn(probe, of: sender, in: vni, from: vtep)
      }
    }
  }

  // -- loops -------------------------------------------------------------------------------------------------------------

  /// A probe came back at a port of ours. Of two ports that both probe, the one whose name is later is shut: always the same,
  /// so that the other stays.
  private func heedReturn(_ probe: LoopProbe, of sender: PortRecord, at index: PortIndex, vlan: UInt16) {
    guard let receiver = port(at: index), receiver.isUp, let vni = vni(of: receiver.settings, vlan: vlan) else { return }
    let names = (sent: sender.settings.name, returned: receiver.settings.name)
    let tag = vlan == 0 ? "" : " with VLAN \(vlan)"
    guard vni == probe.vni else {
      if joinedVNIs.insert([probe.vni, vni]).inserted {
        let what = "a probe of port \(names.sent) came in at port \(names.returned)\(tag)"
        log.warning("VNIs \(probe.vni) and \(vni) are joined outside: \(what)")
      }
      return
    }
    let shuts = receiver.settings.probesLoops ? max(names.sent, names.returned) : names.sent
    shutForLoop(shuts, "loop: the probe of VNI \(vni) that port \(names.sent) sent came back at port \(names.returned)\(tag)")
  }

  /// A probe came back by way of another VTEP, whose port is joined with ours outside. That VTEP sees the same of its probes:
  /// the one with the higher address gives way, and the other acts only when that does not help.
  private func heedReturn(_ probe: LoopProbe, of sender: PortRecord, in vni: VNI, from vtep: IPAddress) {
    guard vni == probe.vni else { return }
    let interval = Int(desired.protection.loopProbe.intervalSeconds) * PortFault.ticksPerSecond
    var returns = overlayReturns[sender.index] ?? OverlayReturns(first: ticks, latest: ticks)
    if ticks - returns.latest > 2 * interval { returns.first = ticks }
    returns.latest = ticks
    overlayReturns[sender.index] = returns
    let isFirst = desired.underlay.addresses.contains { $0.isIPv4 == vtep.isIPv4 && $0 < vtep }
    guard !isFirst || ticks - returns.first >= 3 * interval else { return }
    shutForLoop(sender.settings.name, "loop: the probe of VNI \(vni) came back over VTEP \(vtep)")
  }

  private func shutForLoop(_ name: String, _ reason: String) {
    shut(name, .loopProbe, reason, seconds: desired.protection.loopProbe.holdSeconds)
  }

  /// The VNI that takes a VLAN of a port; 0: untagged.
  private func vni(of settings: PortSettings, vlan: UInt16) -> VNI? {
    if let vni = settings.vni(vlan: vlan) { return vni }
    return settings.vni.flatMap { desired.vnis[$0]?.innerVLAN == .carry ? $0 : nil }
  }

  // -- shutting ----------------------------------------------------------------------------------------------------------

  private func shut(_ name: String, _ cause: PortFault.Cause, _ reason: String, seconds: UInt32) {
    guard let record = ports[name] else { return }
    overlayReturns[record.index] = nil
    putDown(name, PortFault(cause, reason: reason, at: ticks, holdSeconds: seconds))
  }

  /// Opens ports again whose time is over.
  func openShutPorts() {
    let names = ports.filter { $0.value.fault.map { $0.isShut && !$0.isHeld(at: ticks) } ?? false }.keys
    for name in names {
      guard var record = ports[name] else { continue }
      record.fault = nil
      if let device = record.device { record.driver.setCarrier(device, isOn: record.settings.isEnabled) }
      record.status = record.readStatus()
      if record.isUp { record.wasUp = true }
      updateQueues(&record)
      ports[name] = record
      touch(record)
      log.notice("port \(name): no longer shut, \(record.status.state)")
      reopen(name)
    }
  }

  /// Ends the time that a port is shut or taken down for.
  ///
  /// - Returns: whether it was.
  public func release(port name: String) -> Bool {
    guard ports[name]?.fault?.isHeld(at: ticks) == true else { return false }
    ports[name]?.fault?.end(at: ticks)
    openShutPorts()
    settle()
    return true
  }
}
