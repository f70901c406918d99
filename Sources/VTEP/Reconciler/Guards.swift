// Guards: which port is shut because of what came in: a BPDU where no bridge should be, or a loop probe that came back. A value; who shuts
// the port, and opens it after a hold time, is the reconciler (ControlState+Faults, PortFault).

import Encap
import MACTable

struct Guards {
  /// What an alarm leads to.
  enum Verdict: Equatable {
    case shut(port: String, PortFault.Cause, reason: String, holdSeconds: UInt32)
    /// Two VNIs are joined outside; told once.
    case joined([VNI], how: String)
  }

  /// Probes of a port that come back over the overlay, on ticks of the reconciler.
  private struct OverlayReturns {
    var first: Int
    var latest: Int
  }

  /// By the index of the port whose probes come back.
  private var overlayReturns: [PortIndex: OverlayReturns] = [:]
  private var joinedVNIs: Set<[VNI]> = []

  /// Nil: nothing is to be done.
  mutating func judge(_ alarm: PortAlarm, _ ports: PortTable, _ state: DesiredState, tick: Int) -> Verdict? {
    switch alarm {
    case .bpdu(let index):
      guard let record = ports[index], record.isUp, record.settings.hasBPDUGuard else { return nil }
      return shut(record, .bpduGuard, "a BPDU came in", holdSeconds: state.protection.bpduGuard.holdSeconds)
    case .loop(let probe, let place):
      // One loop is seen several times; once a port is shut, the rest is history.
      guard let sender = ports[PortIndex(probe.port)], sender.isUp, sender.settings.probesLoops else { return nil }
      switch place {
      case .port(let index, let vlan):
        guard let receiver = ports[index], receiver.isUp else { return nil }
        return judge(probe, of: sender, at: receiver, vlan: vlan, state)
      case .overlay(let vni, let vtep):
        return judge(probe, of: sender, in: vni, from: vtep, state, tick: tick)
      }
    }
  }

  /// A probe came back at a port of ours. Of two ports that both probe, the one whose name is later is shut: always the same,
  /// so that the other stays.
  private mutating func judge(
    _ probe: LoopProbe, of sender: PortRecord, at receiver: PortRecord, vlan: UInt16, _ state: DesiredState
  ) -> Verdict? {
    guard let vni = Self.vni(of: receiver.settings, vlan: vlan, state) else { return nil }
    let names = (sent: sender.settings.name, returned: receiver.settings.name)
    let tag = vlan == 0 ? "" : " with VLAN \(vlan)"
    guard vni == probe.vni else {
      guard joinedVNIs.insert([probe.vni, vni]).inserted else { return nil }
      return .joined([probe.vni, vni], how: "a probe of port \(names.sent) came in at port \(names.returned)\(tag)")
    }
    let isSenders = !receiver.settings.probesLoops || names.sent > names.returned
    return shut(
      isSenders ? sender : receiver, .loopProbe,
      "loop: the probe of VNI \(vni) that port \(names.sent) sent came back at port \(names.returned)\(tag)",
      holdSeconds: state.protection.loopProbe.holdSeconds)
  }

  /// A probe came back by way of another VTEP, whose port is joined with ours outside. That VTEP sees the same of its probes:
  /// the one with the higher address gives way, and the other acts only when that does not help.
  private mutating func judge(
    _ probe: LoopProbe, of sender: PortRecord, in vni: VNI, from vtep: IPAddress, _ state: DesiredState, tick: Int
  ) -> Verdict? {
    guard vni == probe.vni else { return nil }
    let interval = Int(state.protection.loopProbe.intervalSeconds) * PortFault.ticksPerSecond
    var returns = overlayReturns[sender.index] ?? OverlayReturns(first: tick, latest: tick)
    if tick - returns.latest > 2 * interval { returns.first = tick }
    returns.latest = tick
    overlayReturns[sender.index] = returns
    let isFirst = state.underlay.addresses.contains { $0.isIPv4 == vtep.isIPv4 && $0 < vtep }
    guard !isFirst || tick - returns.first >= 3 * interval else { return nil }
    return shut(
      sender, .loopProbe, "loop: the probe of VNI \(vni) came back over VTEP \(vtep)", holdSeconds: state.protection.loopProbe.holdSeconds)
  }

  private mutating func shut(_ record: PortRecord, _ cause: PortFault.Cause, _ reason: String, holdSeconds: UInt32) -> Verdict {
    overlayReturns[record.index] = nil
    return .shut(port: record.settings.name, cause, reason: reason, holdSeconds: holdSeconds)
  }

  /// The VNI that takes a VLAN of a port; 0: untagged.
  private static func vni(of settings: PortSettings, vlan: UInt16, _ state: DesiredState) -> VNI? {
    if let vni = settings.vni(vlan: vlan) { return vni }
    return settings.vni.flatMap { state.vnis[$0]?.innerVLAN == .carry ? $0 : nil }
  }
}
