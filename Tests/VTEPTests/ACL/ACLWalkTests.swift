// Access control lists on the packet path: ingress and egress, every way a frame can take, counters, and lists of single VLANs.

import Encap
import MACTable
import Testing

@testable import VTEP

private let one = Topology.guest(1)
private let two = Topology.guest(2)
private let near = Topology.guest(21)

extension ACLEntry {
  static func deny(_ direction: Direction, _ fields: [(Key, String)] = [], sequence: Int64 = 10) -> ACLEntry {
    var entry = ACLEntry(sequence: sequence, direction: direction, action: .deny)
    for (key, text) in fields { precondition(entry.set(key, text)) }
    return entry
  }
}

extension DataplaneFixture {
  /// Binds a list to a port, or to a VLAN of it, as the reconciler does.
  func filter(_ place: Place, vlan: UInt16? = nil, _ entries: [ACLEntry]) {
    change { model in
      let (index, acl) = model.add(entries)
      let port = Int(place.rawValue)
      if let vlan {
        model.aclMaps[port] = ACLMap([vlan: index], ofPort: model.policies[port].entry.acl)
        model.policies[port].entry.vlanACLs = model.aclMaps[port]?.lists
      } else {
        model.policies[port].entry.acl = index
      }
      if !acl.programs.ingress.isEmpty {
        model.policies[port].entry.filtersIngress = true
        model.ports[port].features.insert(.isPoliced)
      }
      if !acl.programs.egress.isEmpty { model.ports[port].features.insert(.filtersEgress) }
    }
  }

  /// Binds a list to an interface of the router, as the reconciler does.
  func filterRouter(interface: Int, _ entries: [ACLEntry]) {
    change { model in model.routing.routers[0].interfaces[interface].acl = model.add(entries).index }
  }

  /// What the entries have matched, since the last call.
  func takeACLCounts() -> [Int: Traffic] {
    var counts: [Int: Traffic] = [:]
    for slot in 0..<model.aclSlotCount {
      let entry = test.counters[0].aclEntries + slot
      if entry.pointee.packets.value > 0 {
        counts[slot] = Traffic(packets: Int(entry.pointee.packets.value), bytes: Int(entry.pointee.bytes.value))
      }
      entry.pointee.packets.set(0)
      entry.pointee.bytes.set(0)
    }
    return counts
  }
}

extension ForwardingModel {
  /// Adds a list with counters of its own.
  fileprivate mutating func add(_ entries: [ACLEntry]) -> (index: ACLIndex, acl: CompiledACL) {
    let first = aclSlotCount
    let directions = ACLEntry.Direction.allCases
    let acl = try! CompiledACL(ACLSettings(name: "a", entries: entries)) { direction in
      let start = directions.prefix { $0 != direction }.reduce(first) { sum, earlier in
        sum + entries.count { $0.direction == earlier } + 1
      }
      return (0...entries.count { $0.direction == direction }).map { UInt32(start + $0) }
    }
    aclSlotCount += entries.count + 2
    acls.append(acl)
    return (ACLIndex(acls.count - 1), acl)
  }
}

extension DataplaneTests {
  @Suite("Access control lists on the packet path")
  struct ACLWalkTests {
    private let udp = Frame.udp(from: one, to: two)
    private let other = Frame.udp(from: one, to: two, FlowFields(destinationPort: 53))
    private let denied: [(ACLEntry.Key, String)] = [(.protocolNumber, "udp"), (.destinationPorts, "5000")]

    @Test("ingress: what an entry denies goes nowhere and is not learned from; each entry counts", arguments: Attachment.allCases)
    func ingress(_ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment) { plane in
        _ = plane.takeACLCounts()
        plane.filter(.vm1, [.deny(.ingress, denied)])
        plane.send(udp, from: .vm1)
        plane.send(.udp(from: Topology.guest(0x55), to: two), from: .vm1)
        plane.send(other, from: .vm1)
        plane.send(.udp(from: two, to: one), from: .vm2)
        plane.expect(local: [.vm2: [other], .vm1: [.udp(from: two, to: one)]], drops: [.vm1: [.aclDeniedIngress: 2]])
        #expect(plane.takeACLCounts() == [0: Traffic(packets: 2, bytes: 196), 1: Traffic(packets: 1, bytes: 98)])
      }
    }

    @Test("egress: by unicast, from tunnels, flooded copies for others, with a list of one port alone", arguments: Attachment.allCases)
    func egress(_ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment) { plane in
        _ = plane.takeACLCounts()
        plane.filter(.vm2, [.deny(.egress, denied)])
        // In one burst, so that runs begin before and after.
        for frame in [udp, other, udp] { plane.send(frame, from: .vm1) }
        plane.expect(local: [.vm2: [other]], drops: [.vm2: [.aclDeniedEgress: 2]])
        let inner = Frame.udp(from: near, to: two)
        plane.send(plane.packet(carrying: inner))
        plane.send(plane.packet(carrying: .udp(from: near, to: two, FlowFields(destinationPort: 53))))
        plane.expect(local: [.vm2: [.udp(from: near, to: two, FlowFields(destinationPort: 53))]], drops: [.vm2: [.aclDeniedEgress: 1]])
        let flooded = Frame.udp(from: near, to: .broadcast)
        plane.send(plane.packet(carrying: flooded))
        plane.expect(local: [.vm1: [flooded], .vm3: [flooded]], drops: [.vm2: [.aclDeniedEgress: 1]])
        #expect(plane.takeACLCounts().values.reduce(0) { $0 + $1.packets } == 6)
      }
    }

    @Test("a frame with a request is denied before it is cut, as one")
    func requests() throws {
      let large = TCPFrame(from: one, to: two, byteCount: 6000)
      let entry = ACLEntry.deny(.ingress, [(.protocolNumber, "tcp")])
      try DataplaneFixture.run { plane in
        plane.changePort(.vm1) { $0.features = .offersOffloads }
        plane.filter(.vm1, [entry])
        plane.send(large.bytes(finished: false), from: .vm1, as: .large(segment: 1000))
        plane.expect(drops: [.vm1: [.aclDeniedIngress: 1]])
      }
      try DataplaneFixture.run { plane in
        plane.changePort(.vm1) { $0.features = .offersOffloads }
        plane.changePort(.vm2) { $0.features = [.takesUnfinished, .takesSegmentsIPv4] }
        plane.filter(.vm2, [.deny(.egress, [(.protocolNumber, "tcp")])])
        plane.send(large.bytes(finished: false), from: .vm1, as: .large(segment: 1000))
        plane.expect(drops: [.vm2: [.aclDeniedEgress: 1]])
      }
    }

    @Test("a VLAN's list takes the place of the port's")
    func vlans() throws {
      try DataplaneFixture.run(.ipv4, .tagged) { plane in
        plane.filter(.vm1, [.deny(.ingress)])
        plane.filter(.vm1, vlan: 100, [.deny(.ingress, denied)])
        plane.send(udp, from: .vm1)
        plane.send(other, from: .vm1)
        plane.expect(local: [.vm2: [other]], drops: [.vm1: [.aclDeniedIngress: 1]])
      }
    }

    @Test("a carried tag hides nothing")
    func carriedTags() throws {
      try DataplaneFixture.run { plane in
        plane.changeDomain { $0.entry.carriesInnerVLAN = true }
        plane.filter(.vm1, [.deny(.ingress, denied)])
        plane.sendRaw(udp.tagged(7), at: .vm1)
        plane.sendRaw(other.tagged(7), at: .vm1)
        plane.expect(raw: [.vm2: [other.tagged(7)]], drops: [.vm1: [.aclDeniedIngress: 1]])
      }
    }
  }
}
