// EventObserver: finds out what has happened to ports, VTEPs, next hops and uplinks by comparing the records with what they were at the
// last look, once for each batch of changes: the rules that change them need not know of events.

import Encap
import MACTable
import MulticastLearn

struct EventObserver {
  private struct Port {
    var index: PortIndex
    var hasDevice: Bool
    var state: PortStatus.State
    var cause: PortFault.Cause?
    var reason: String?
  }

  private struct VTEP {
    var index: VTEPIndex
    var reach: Reach
    var mtu: Int?
  }

  private enum Reach: Equatable {
    /// Its next hops have not answered yet.
    case pending
    case reachable
    case unreachable(Obstacle)
    /// No next hop answers.
    case silent
  }

  private enum Hop: Equatable {
    case unknown, failed
    case resolved(MACAddress)
  }

  private struct Group: Hashable {
    var address: IPAddress
    var interfaceIndex: Int32
  }

  private var ports: [String: Port] = [:]
  private var vteps: [IPAddress: VTEP] = [:]
  private var hops: [NeighborKey: Hop] = [:]
  private var uplinks: [String: Bool] = [:]
  /// Whether each was joined.
  private var groups: [Group: Bool] = [:]
  /// Of the records, when VTEPs were looked at.
  private var reachabilityVersion: UInt64?

  /// After each batch of changes.
  mutating func look(at state: ControlState, _ events: EventLog) {
    lookAtPorts(state, events)
    lookAtUplinks(state, events)
    guard reachabilityVersion != state.reachabilityVersion else { return }
    reachabilityVersion = state.reachabilityVersion
    lookAtHops(state, events)
    lookAtVTEPs(state, events)
  }

  // -- ports ---------------------------------------------------------------------------------------------------------------

  private mutating func lookAtPorts(_ state: ControlState, _ events: EventLog) {
    if ports.count > state.ports.byName.count || ports.keys.contains(where: { state.ports[$0] == nil }) {
      for name in ports.keys where state.ports[name] == nil {
        events.note(.portDeleted, Event.Subject(port: name), "port \(name): deleted")
        ports[name] = nil
      }
    }
    for record in state.ports.values {
      let name = record.settings.name
      let new = Port(
        index: record.index, hasDevice: record.device != nil, state: record.status.state, cause: record.fault?.cause,
        reason: record.fault?.reason)
      let known = ports[name]
      if let known, known.index == new.index, known.hasDevice == new.hasDevice, known.state == new.state, known.cause == new.cause,
        known.reason == new.reason
      {
        continue
      }
      ports[name] = new
      // A port of the same name at another place is another port.
      let old = known?.index == new.index ? known : nil
      tell(record, from: old, to: new, events)
    }
  }

  private func tell(_ record: PortRecord, from old: Port?, to new: Port, _ events: EventLog) {
    let name = record.settings.name
    let subject = Event.Subject(port: name)
    if new.hasDevice, old?.hasDevice != true {
      events.note(.portAttached, subject, "port \(name): attached to \(record.settings.attachment.place), \(new.state)")
    }
    if old?.hasDevice == true, !new.hasDevice { events.note(.portLost, subject, "port \(name): it has lost its device") }
    if let cause = new.cause, let reason = new.reason, old?.cause != cause || old?.reason != reason {
      switch cause {
      case .bpduGuard: events.note(.guardBPDU, subject, "port \(name): shut: \(reason)")
      case .loopProbe: events.note(.guardLoop, subject, "port \(name): shut: \(reason)")
      case .attachment: events.note(.portFault, subject, "port \(name): cannot be attached: \(reason)")
      case .guest: events.note(.portFault, subject, "port \(name): taken down: \(reason)")
      }
    }
    if new.cause == nil, old?.cause == .bpduGuard || old?.cause == .loopProbe {
      events.note(.guardEnded, subject, "port \(name): no longer shut")
    }
    if new.state == .up, old?.state != .up { events.note(.portUp, subject, "port \(name): up") }
    if new.state != .up, old?.state == .up { events.note(.portDown, subject, "port \(name): \(new.state)") }
  }

  // -- uplinks -------------------------------------------------------------------------------------------------------------

  private mutating func lookAtUplinks(_ state: ControlState, _ events: EventLog) {
    var present: [String: Bool] = [:]
    for device in state.underlay.devices {
      present[device.name] = device.isUp
      guard uplinks[device.name] != device.isUp, device.isUp || uplinks[device.name] != nil || device.fault != nil else { continue }
      let subject = Event.Subject(device: device.name)
      if device.isUp {
        events.note(.uplinkUp, subject, "\(device.uplink.subject): up")
      } else {
        let cause = device.fault ?? (device.link == nil ? "the interface is gone" : "down")
        events.note(.uplinkDown, subject, "\(device.uplink.subject): \(cause)")
      }
    }
    for name in uplinks.keys where present[name] == nil {
      events.note(.uplinkDown, Event.Subject(device: name), "uplink \(name): no longer configured")
    }
    uplinks = present
  }

  // -- VTEPs and next hops ---------------------------------------------------------------------------------------------------

  private mutating func lookAtHops(_ state: ControlState, _ events: EventLog) {
    let underlay = state.underlay
    var present: [NeighborKey: Hop] = [:]
    present.reserveCapacity(underlay.wanted.count)
    for key in underlay.wanted {
      let new: Hop =
        underlay.failedNeighbors.contains(key) ? .failed : underlay.neighbors[key].map(Hop.resolved) ?? .unknown
      present[key] = new
      let old = hops[key] ?? .unknown
      guard new != old else { continue }
      let name = "next hop \(key.address)%\(underlay.device(interfaceIndex: key.interfaceIndex)?.name ?? "\(key.interfaceIndex)")"
      let subject = Event.Subject(address: key.address)
      switch (old, new) {
      case (.resolved(let before), .resolved(let mac)): events.report(.nextHopMoved, subject, "\(name): is at \(mac), was at \(before)")
      case (_, .resolved(let mac)): events.note(.nextHopResolved, subject, "\(name): is at \(mac)")
      case (_, .failed): events.report(.nextHopFailed, subject, "\(name): no longer answers")
      case (_, .unknown): break
      }
    }
    hops = present
  }

  private mutating func lookAtVTEPs(_ state: ControlState, _ events: EventLog) {
    let underlay = state.underlay
    for address in vteps.keys where underlay.vteps[address] == nil {
      vteps[address] = nil
      events.note(.vtepGone, Event.Subject(address: address), "VTEP \(address): forgotten")
    }
    for record in underlay.vteps.values where !record.isGroup {
      let adjacencies = state.model.vteps[Int(record.index)].adjacencies
      let known = vteps[record.address]
      let old = known?.index == record.index ? known : nil
      let reach = Self.reach(record, adjacencies, underlay, before: old?.reach ?? .pending)
      let mtu = adjacencies.map { Int($0.maxInnerByteCount) + $0.header.byteCount - 14 }.min()
      guard old == nil || old?.reach != reach || old?.mtu != mtu else { continue }
      // Without a path there is none; the last one stays known.
      vteps[record.address] = VTEP(index: record.index, reach: reach, mtu: mtu ?? old?.mtu)
      let subject = Event.Subject(address: record.address)
      if old == nil { events.note(.vtepAppeared, subject, "VTEP \(record.address): new") }
      if old?.reach != reach {
        switch reach {
        case .pending: break
        case .reachable: events.report(.vtepReachable, subject, "VTEP \(record.address): reachable")
        case .unreachable:
          let reason = underlay.obstacleText(record, state.running.underlay) ?? "no way to it"
          events.report(.vtepUnreachable, subject, "VTEP \(record.address): unreachable: \(reason)")
        case .silent: events.report(.vtepUnreachable, subject, "VTEP \(record.address): unreachable: no next hop answers")
        }
      }
      if let before = old?.mtu, let mtu, before != mtu {
        events.note(.vtepMTU, subject, "VTEP \(record.address): MTU \(mtu), was \(before)")
      }
    }
  }

  private static func reach(_ record: VTEPRecord, _ adjacencies: [Adjacency], _ underlay: UnderlayState, before: Reach) -> Reach {
    if let obstacle = underlay.obstacle(record) { return .unreachable(obstacle) }
    if adjacencies.contains(where: \.isResolved) { return .reachable }
    let hops = underlay.usableHops(record)
    if !hops.isEmpty, hops.allSatisfy({ underlay.failedNeighbors.contains($0.neighbor) }) { return .silent }
    // Being resolved again is no news.
    return before == .reachable || before == .silent ? before : .pending
  }

  // -- groups --------------------------------------------------------------------------------------------------------------

  /// Once a second.
  mutating func look(at memberships: [GroupMembership.Membership], _ state: ControlState, _ events: EventLog) {
    var present: [Group: Bool] = [:]
    for membership in memberships {
      let group = Group(address: membership.group, interfaceIndex: membership.interfaceIndex)
      present[group] = membership.isJoined
      guard groups[group] != membership.isJoined else { continue }
      let name = Self.name(group, state)
      let subject = Event.Subject(address: membership.group)
      if membership.isJoined {
        events.note(.multicastJoined, subject, "\(name): joined")
      } else {
        let cause = membership.error.map { "\($0)" } ?? "the kernel left it"
        events.report(.multicastFailed, subject, "\(name): not joined: \(cause); retrying")
      }
    }
    for (group, wasJoined) in groups where present[group] == nil && wasJoined {
      events.note(.multicastLeft, Event.Subject(address: group.address), "\(Self.name(group, state)): left")
    }
    groups = present
  }

  private static func name(_ group: Group, _ state: ControlState) -> String {
    let device = state.underlay.device(interfaceIndex: group.interfaceIndex)?.name ?? "interface \(group.interfaceIndex)"
    return "group \(group.address) on \(device)"
  }
}
