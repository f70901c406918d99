// Bindings of tagged frames: which tag is consumed, which is put on, and what becomes of a second one (RFC 7348 section 6.1).

import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Access: VLAN bindings")
  struct VLANBindingTests {
    private let guest = Topology.guest

    @Test("a priority tag is taken off and belongs to the untagged binding", arguments: Family.allCases)
    func priorityTag(_ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        let local = Frame.udp(from: guest(1), to: guest(2))
        let remote = Frame.udp(from: guest(1), to: guest(21))
        plane.sendRaw(local.tagged(0, priority: 6), at: .vm1)
        plane.sendRaw(remote.tagged(0, priority: 6), at: .vm1)
        var packet = plane.tunnelled(to: Topology.near, remote)
        packet.trafficClass = 48 << 2
        plane.expect(local: [.vm2: [local]], tunnelled: [packet])
      }
    }

    @Test("between an untagged and a tagged binding the tag changes")
    func translation() throws {
      try DataplaneFixture.run { plane in
        try bind(.vm2, [200: Topology.domain], plane)
        let there = Frame.udp(from: guest(1), to: guest(2))
        let back = Frame.udp6(from: guest(2), to: guest(1))
        plane.learn(guest(2), at: .port(Place.vm2.rawValue, vlan: 200))
        plane.send(there, from: .vm1)
        // Priority and TPID are the tag's, which is consumed.
        plane.sendRaw(back.tagged(200, priority: 3, tpid: 0x88a8), at: .vm2)
        plane.expect(raw: [.vm2: [there.tagged(200)], .vm1: [back]])
      }
    }

    @Test("two bindings of one port to one VNI are two places")
    func twoBindings() throws {
      try DataplaneFixture.run { plane in
        try bind(.vm2, [200: Topology.domain, 300: Topology.domain], plane)
        plane.learn(guest(2), at: .port(Place.vm2.rawValue, vlan: 200))
        plane.learn(guest(5), at: .port(Place.vm2.rawValue, vlan: 300))
        plane.changeDomain { $0.flood = [] }
        let unicast = Frame.udp(from: guest(2), to: guest(5))
        let broadcast = Frame.arpRequest(from: guest(2), target: 9)
        plane.sendRaw(unicast.tagged(200), at: .vm2)
        plane.sendRaw(broadcast.tagged(200), at: .vm2)
        plane.expect(
          raw: [
            .vm1: [broadcast], .vm2: [unicast.tagged(300), broadcast.tagged(300)], .vm3: [broadcast],
          ])
        // In the VLAN it came from it is not sent back.
        plane.sendRaw(unicast.tagged(300), at: .vm2)
        plane.expect(drops: [.vm2: [.samePort: 1]], learned: [.port(guest(2), .vm2, vlan: 300)])
      }
    }

    @Test("VLANs of one port may belong to different VNIs")
    func twoVNIs() throws {
      try DataplaneFixture.run { plane in
        try bind(.vm2, [200: Topology.domain, 300: Topology.otherDomain], plane)
        plane.changeDomain(Topology.otherDomain) { $0.flood = [Topology.far] }
        plane.changeDomain { $0.flood = [Topology.near] }
        plane.learn(guest(2), at: .port(Place.vm2.rawValue, vlan: 200))
        plane.learn(guest(2), at: .port(Place.vm2.rawValue, vlan: 300), domain: Topology.otherDomain)
        let frame = Frame.arpRequest(from: guest(2), target: 9)
        plane.sendRaw(frame.tagged(300), at: .vm2)
        var packet = plane.tunnelled(to: Topology.far, frame)
        packet.vni = Topology.otherVNI.rawValue
        plane.expect(tunnelled: [packet])
        plane.sendRaw(frame.tagged(200), at: .vm2)
        plane.expect(
          raw: [.vm1: [frame], .vm3: [frame]], tunnelled: [plane.tunnelled(to: Topology.near, frame)])
      }
    }

    @Test("with inner-vlan: carry the second tag goes along", arguments: Family.allCases, Attachment.allCases)
    func carry(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        plane.changeDomain { $0.entry.carriesInnerVLAN = true }
        let local = Frame.udp(from: guest(1), to: guest(2)).tagged(7, priority: 2)
        let remote = Frame.udp(from: guest(1), to: guest(21)).tagged(8, tpid: 0x88a8)
        plane.send(local, from: .vm1)
        plane.send(remote, from: .vm1)
        plane.expect(local: [.vm2: [local]], tunnelled: [plane.tunnelled(to: Topology.near, remote)])
      }
    }

    @Test("a cut second tag is a runt, carried or not", arguments: [false, true])
    func cutSecondTag(_ carries: Bool) throws {
      try DataplaneFixture.run(.ipv4, .tagged) { plane in
        plane.changeDomain { $0.entry.carriesInnerVLAN = carries }
        let frame = Frame.udp(from: guest(1), to: guest(21)).tagged(7).tagged(100)
        for byteCount in 18..<22 { plane.sendRaw(Array(frame[..<byteCount]), at: .vm1) }
        plane.expect(drops: [.vm1: [.runtFrame: 4]])
      }
    }

    @Test("a tag for a port without room in front of the frame")
    func noHeadroom() throws {
      try DataplaneFixture.run { plane in
        try bind(.vm2, [200: Topology.domain], plane)
        plane.learn(guest(2), at: .port(Place.vm2.rawValue, vlan: 200))
        let fits = Frame.udp(from: guest(1), to: guest(2), byteCount: 124)
        plane.sendWithoutHeadroom(fits, from: .vm1)
        plane.sendWithoutHeadroom(.udp(from: guest(1), to: guest(2), byteCount: 125), from: .vm1)
        plane.expect(raw: [.vm2: [fits.tagged(200)]], drops: [.vm1: [.noHeadroom: 1]])
      }
    }

    /// Replaces a port's binding by tagged ones.
    private func bind(_ place: Place, _ vlans: [UInt16: DomainIndex], _ plane: DataplaneFixture) throws {
      let index = Int(place.rawValue)
      plane.change { model in
        model.vlanMaps[index] = VLANMap(vlans)
        model.ports[index].vlanDomains = model.vlanMaps[index]?.domains
        model.ports[index].untaggedDomain = .absent
        for domain in model.domains.indices {
          model.domains[domain].locals.removeAll { $0.port == place.rawValue }
          for (vlan, bound) in vlans.sorted(by: { $0.key < $1.key }) where Int(bound) == domain {
            model.domains[domain].locals.append(LocalTarget(port: place.rawValue, vlan: vlan))
          }
        }
      }
    }
  }
}
