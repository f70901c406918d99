// The table of tags: what becomes of a frame's tags and priority, in both directions (RFC 7348 section 6.1, IEEE 802.1Q clauses
// 6.9 and 9). Bindings of the port that is looked at: untagged → VNI 5001, VLAN 100 → VNI 5001, VLAN 200 → the other VNI.

import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Tags and priorities")
  struct TagTableTests {
    /// A tag as it is on a wire.
    struct Tag: CustomTestStringConvertible {
      var vlan: UInt16
      var priority: UInt8 = 0
      var isDropEligible = false
      var tpid: UInt16 = 0x8100

      var testDescription: String { "\(vlan) priority \(priority) \(tpid == 0x8100 ? "C" : "S")" }
    }

    enum Outcome {
      /// In a tunnel: the VNI, the tags that the inner frame still has, and the outer DSCP.
      case tunnel(VNI, [Tag] = [], dscp: UInt8 = 0)
      /// Out of the port with these tags.
      case port([Tag])
      case drop(DropReason)
    }

    struct Row: CustomTestStringConvertible {
      var name: String
      var carries: Bool
      var tags: [Tag]
      /// DSCP of the inner IP packet, and of the outer one where it comes from a tunnel.
      var dscp: UInt8 = 0
      var outcome: Outcome

      var testDescription: String { (carries ? "carry: " : "discard: ") + name }
    }

    // -- from the port into a tunnel -----------------------------------------------------------------------------------

    private static let own = Topology.vni, other = Topology.otherVNI

    static let intoTunnel: [Row] = [
      Row(name: "untagged", carries: false, tags: [], outcome: .tunnel(own)),
      Row(name: "untagged, DSCP inherited", carries: false, tags: [], dscp: 46, outcome: .tunnel(own, dscp: 46)),
      Row(name: "C-tag", carries: false, tags: [Tag(vlan: 100)], outcome: .tunnel(own)),
      Row(name: "S-tag", carries: false, tags: [Tag(vlan: 100, tpid: 0x88a8)], outcome: .tunnel(own)),
      Row(name: "the other VLAN", carries: false, tags: [Tag(vlan: 200)], outcome: .tunnel(other)),
      Row(name: "priority 5", carries: false, tags: [Tag(vlan: 100, priority: 5)], outcome: .tunnel(own, dscp: 40)),
      Row(
        name: "priority 5 beats the inner DSCP", carries: false, tags: [Tag(vlan: 100, priority: 5)], dscp: 10,
        outcome: .tunnel(own, dscp: 40)),
      Row(
        name: "priority 5 that the inner DSCP gives back", carries: false, tags: [Tag(vlan: 100, priority: 5)], dscp: 46,
        outcome: .tunnel(own, dscp: 46)),
      Row(
        name: "priority tag, inner DSCP gives it back", carries: false, tags: [Tag(vlan: 0, priority: 1)], dscp: 10,
        outcome: .tunnel(own, dscp: 10)),
      Row(
        name: "two tags, inner DSCP gives the outer one's back", carries: true, tags: [Tag(vlan: 100, priority: 5), Tag(vlan: 7)], dscp: 46,
        outcome: .tunnel(own, [Tag(vlan: 7)], dscp: 46)),
      Row(name: "priority 0 leaves it", carries: false, tags: [Tag(vlan: 100)], dscp: 10, outcome: .tunnel(own, dscp: 10)),
      Row(
        name: "DEI alone leaves it", carries: false, tags: [Tag(vlan: 100, isDropEligible: true)], dscp: 10, outcome: .tunnel(own, dscp: 10)
      ),
      Row(name: "priority-tagged", carries: false, tags: [Tag(vlan: 0, priority: 7)], outcome: .tunnel(own, dscp: 56)),
      Row(
        name: "priority-tagged with S-tag", carries: false, tags: [Tag(vlan: 0, priority: 1, tpid: 0x88a8)], outcome: .tunnel(own, dscp: 8)),
      Row(name: "unbound VLAN", carries: false, tags: [Tag(vlan: 300)], outcome: .drop(.vlanNotBound)),
      Row(name: "VLAN 4095", carries: false, tags: [Tag(vlan: 4095)], outcome: .drop(.vlanReserved)),
      Row(name: "two tags, outer bound", carries: false, tags: [Tag(vlan: 100), Tag(vlan: 200)], outcome: .drop(.innerVLAN)),
      Row(
        name: "two tags, outer S bound", carries: false, tags: [Tag(vlan: 100, tpid: 0x88a8), Tag(vlan: 200)], outcome: .drop(.innerVLAN)),
      Row(name: "two tags, outer unbound", carries: false, tags: [Tag(vlan: 300), Tag(vlan: 100)], outcome: .drop(.vlanNotBound)),
      Row(name: "a tag behind a priority tag", carries: false, tags: [Tag(vlan: 0), Tag(vlan: 200)], outcome: .drop(.innerVLAN)),
      Row(name: "two priority tags", carries: false, tags: [Tag(vlan: 0), Tag(vlan: 0)], outcome: .drop(.innerVLAN)),

      Row(name: "untagged", carries: true, tags: [], outcome: .tunnel(own)),
      Row(name: "C-tag", carries: true, tags: [Tag(vlan: 100, priority: 3)], outcome: .tunnel(own, dscp: 24)),
      Row(name: "the other VLAN is the other VNI's", carries: true, tags: [Tag(vlan: 200)], outcome: .tunnel(other)),
      Row(name: "the other VLAN's VNI discards", carries: true, tags: [Tag(vlan: 200), Tag(vlan: 7)], outcome: .drop(.innerVLAN)),
      Row(
        name: "selective QinQ", carries: true, tags: [Tag(vlan: 100, tpid: 0x88a8), Tag(vlan: 200, priority: 6)],
        outcome: .tunnel(own, [Tag(vlan: 200, priority: 6)])),
      Row(
        name: "selective QinQ with C-tags and priority", carries: true, tags: [Tag(vlan: 100, priority: 2), Tag(vlan: 7)],
        outcome: .tunnel(own, [Tag(vlan: 7)], dscp: 16)),
      Row(
        name: "three tags", carries: true, tags: [Tag(vlan: 100), Tag(vlan: 7), Tag(vlan: 8)],
        outcome: .tunnel(own, [Tag(vlan: 7), Tag(vlan: 8)])),
      Row(
        name: "unbound VLAN whole", carries: true, tags: [Tag(vlan: 300, priority: 4)], outcome: .tunnel(own, [Tag(vlan: 300, priority: 4)])
      ),
      Row(
        name: "unbound S-tag and a bound one inside", carries: true, tags: [Tag(vlan: 300, tpid: 0x88a8), Tag(vlan: 200)],
        outcome: .tunnel(own, [Tag(vlan: 300, tpid: 0x88a8), Tag(vlan: 200)])),
      Row(name: "VLAN 4095", carries: true, tags: [Tag(vlan: 4095)], outcome: .drop(.vlanReserved)),
      Row(
        name: "a tag behind a priority tag", carries: true, tags: [Tag(vlan: 0, priority: 1), Tag(vlan: 7)],
        outcome: .tunnel(own, [Tag(vlan: 7)], dscp: 8)),
    ]

    @Test("from a port into a tunnel", arguments: intoTunnel, Family.allCases)
    func fromPort(_ row: Row, _ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        bind(plane, carries: row.carries)
        let frame = Self.udp(dscp: row.dscp)
        plane.sendRaw(Self.put(row.tags, on: frame), at: .vm1)
        switch row.outcome {
        case .tunnel(let vni, let tags, let dscp):
          // What is learned is the binding's place.
          var packet = plane.tunnelled(to: Topology.near, Self.put(tags, on: frame))
          packet.vni = vni.rawValue
          packet.trafficClass = dscp << 2
          plane.expect(tunnelled: [packet], learned: plane.learnedPlaces(of: row.tags, vni: vni))
        case .drop(let reason): plane.expect(drops: [.vm1: [reason: 1]])
        case .port: Issue.record("not from a port")
        }
      }
    }

    // -- from a tunnel out of the port, at an untagged and at a tagged place -------------------------------------------------

    static let untaggedPlace: [Row] = [
      Row(name: "untagged", carries: false, tags: [], dscp: 40, outcome: .port([])),
      Row(name: "tagged", carries: false, tags: [Tag(vlan: 7)], outcome: .drop(.innerVLAN)),
      Row(name: "priority-tagged", carries: false, tags: [Tag(vlan: 0, priority: 3)], outcome: .port([])),
      Row(name: "priority-tagged with an S-tag", carries: false, tags: [Tag(vlan: 0, tpid: 0x88a8)], outcome: .port([])),
      Row(name: "two priority tags", carries: false, tags: [Tag(vlan: 0), Tag(vlan: 0)], outcome: .drop(.innerVLAN)),
      Row(name: "a tag behind a priority tag", carries: false, tags: [Tag(vlan: 0), Tag(vlan: 7)], outcome: .drop(.innerVLAN)),
      Row(name: "unbound VLAN whole", carries: true, tags: [Tag(vlan: 300, priority: 4)], outcome: .port([Tag(vlan: 300, priority: 4)])),
      Row(
        name: "two tags whole", carries: true, tags: [Tag(vlan: 300, tpid: 0x88a8), Tag(vlan: 200)],
        outcome: .port([Tag(vlan: 300, tpid: 0x88a8), Tag(vlan: 200)])),
      Row(name: "into the VLAN of another VNI", carries: true, tags: [Tag(vlan: 200)], outcome: .drop(.carriedVLANBound)),
      Row(name: "the same with an S-tag", carries: true, tags: [Tag(vlan: 200, tpid: 0x88a8)], outcome: .drop(.carriedVLANBound)),
      Row(name: "into another VLAN of the VNI", carries: true, tags: [Tag(vlan: 100)], outcome: .drop(.carriedVLANBound)),
      Row(name: "priority-tagged", carries: true, tags: [Tag(vlan: 0, priority: 3)], outcome: .port([])),
      Row(name: "a tag behind a priority tag", carries: true, tags: [Tag(vlan: 0), Tag(vlan: 300)], outcome: .port([Tag(vlan: 300)])),
    ]

    static let taggedPlace: [Row] = [
      Row(name: "untagged", carries: false, tags: [], outcome: .port([Tag(vlan: 100)])),
      Row(name: "DSCP 46", carries: false, tags: [], dscp: 46, outcome: .port([Tag(vlan: 100, priority: 5)])),
      Row(name: "DSCP 63", carries: false, tags: [], dscp: 63, outcome: .port([Tag(vlan: 100, priority: 7)])),
      Row(name: "DSCP 7", carries: false, tags: [], dscp: 7, outcome: .port([Tag(vlan: 100)])),
      Row(name: "tagged", carries: false, tags: [Tag(vlan: 7)], outcome: .drop(.innerVLAN)),
      Row(
        name: "a tag inside", carries: true, tags: [Tag(vlan: 7, priority: 1)], dscp: 24,
        outcome: .port([Tag(vlan: 100, priority: 3), Tag(vlan: 7, priority: 1)])),
      Row(
        name: "priority-tagged", carries: false, tags: [Tag(vlan: 0, priority: 3)], dscp: 46, outcome: .port([Tag(vlan: 100, priority: 3)])),
      Row(name: "priority tag without any", carries: false, tags: [Tag(vlan: 0)], dscp: 46, outcome: .port([Tag(vlan: 100, priority: 5)])),
      Row(name: "another bound VLAN inside", carries: true, tags: [Tag(vlan: 200)], outcome: .port([Tag(vlan: 100), Tag(vlan: 200)])),
    ]

    @Test("from a tunnel to the untagged place", arguments: untaggedPlace, Family.allCases)
    func toUntagged(_ row: Row, _ family: Family) throws {
      try expectFromTunnel(row, family, vlan: 0)
    }

    @Test("from a tunnel to a tagged place", arguments: taggedPlace, Family.allCases)
    func toTagged(_ row: Row, _ family: Family) throws {
      try expectFromTunnel(row, family, vlan: 100)
    }

    private func expectFromTunnel(_ row: Row, _ family: Family, vlan: UInt16) throws {
      try DataplaneFixture.run(family) { plane in
        bind(plane, carries: row.carries)
        plane.learn(Topology.guest(1), at: .port(Place.vm1.rawValue, vlan: vlan))
        let frame = Frame.udp(from: Topology.guest(21), to: Topology.guest(1))
        var packet = plane.packet(carrying: Self.put(row.tags, on: frame))
        packet.trafficClass = row.dscp << 2
        plane.send(packet)
        switch row.outcome {
        case .port(let tags): plane.expect(raw: [.vm1: [Self.put(tags, on: frame)]])
        case .drop(let reason): plane.expect(drops: [.uplink: [reason: 1]])
        case .tunnel: Issue.record("not from a tunnel")
        }
      }
    }

    // -- the tables and the TPID are settings ---------------------------------------------------------------------------

    @Test("configured tables and TPID, there and back", arguments: Family.allCases, [nil, UInt8(26)])
    func tables(_ family: Family, _ fixedDSCP: UInt8?) throws {
      try DataplaneFixture.run(family) { plane in
        bind(plane, carries: false)
        plane.changePort(.vm1) { $0.tpid = PortTPID.service.pushed }
        plane.change { model in
          model.priorities.dscpOfPCP = [3, 0, 16, 24, 32, 46, 48, 56]
          model.priorities.pcpOfDSCP = [46: 1, 3: 6]
        }
        var settings = Topology.settings()
        settings.dscp = fixedDSCP.map { .fixed($0) } ?? .inherit
        plane.setAdjacencies(Topology.near, [Topology.adjacency(Topology.near, family, settings: settings)])
        // Priority 0 has a DSCP here, priority 1 leaves it to the underlay's setting.
        for (priority, dscp) in [(0, 3), (1, fixedDSCP ?? 11), (5, 46)] as [(UInt8, UInt8)] {
          // ECT(0) of the inner packet goes out with either.
          var flow = FlowFields()
          flow.trafficClass = 11 << 2 | 2
          let frame = Frame.udp(from: Topology.guest(1), to: Topology.guest(21), flow)
          plane.sendRaw(frame.tagged(100, priority: priority), at: .vm1)
          var packet = plane.tunnelled(to: Topology.near, frame)
          packet.trafficClass = dscp << 2 | 2
          plane.expect(tunnelled: [packet], learned: plane.learnedPlaces(of: [Tag(vlan: 100)], vni: Topology.vni))
        }
        plane.learn(Topology.guest(1), at: .port(Place.vm1.rawValue, vlan: 100))
        for (dscp, priority) in [(46, 1), (3, 6), (45, 5), (0, 0)] as [(UInt8, UInt8)] {
          let frame = Frame.udp(from: Topology.guest(21), to: Topology.guest(1))
          var packet = plane.packet(carrying: frame)
          packet.trafficClass = dscp << 2
          plane.send(packet)
          plane.expect(raw: [.vm1: [frame.tagged(100, priority: priority, tpid: 0x88a8)]])
        }
      }
    }

    @Test("a tag of the other TPID is of no binding, in either direction", arguments: [UInt16(0x8100), 0x88a8], [false, true])
    func tpids(_ tpid: UInt16, _ carries: Bool) throws {
      try DataplaneFixture.run { plane in
        bind(plane, carries: carries)
        plane.changePort(.vm1) {
          $0.tpid = tpid
          $0.takesAnyTPID = false
        }
        let foreign: UInt16 = tpid == 0x8100 ? 0x88a8 : 0x8100
        let frame = Frame.udp(from: Topology.guest(1), to: Topology.guest(21))
        plane.sendRaw(frame.tagged(100, tpid: tpid), at: .vm1)
        plane.expect(
          tunnelled: [plane.tunnelled(to: Topology.near, frame)], learned: plane.learnedPlaces(of: [Tag(vlan: 100)], vni: Topology.vni))
        // The VLAN of another VNI, with the other tag: carried or dropped.
        let stranger = frame.tagged(200, tpid: foreign)
        plane.sendRaw(stranger, at: .vm1)
        plane.expect(
          tunnelled: carries ? [plane.tunnelled(to: Topology.near, stranger)] : [], drops: carries ? [:] : [.vm1: [.tpidNotBound: 1]])
        plane.sendRaw(frame.tagged(300, tpid: tpid), at: .vm1)
        plane.expect(
          tunnelled: carries ? [plane.tunnelled(to: Topology.near, frame.tagged(300, tpid: tpid))] : [],
          drops: carries ? [:] : [.vm1: [.vlanNotBound: 1]])
        // VLAN 0 chooses no VLAN.
        plane.sendRaw(frame.tagged(0, tpid: foreign), at: .vm1)
        plane.expect(tunnelled: [plane.tunnelled(to: Topology.near, frame)])
        guard carries else { return }
        let back = Frame.udp(from: Topology.guest(21), to: Topology.guest(1))
        plane.send(plane.packet(carrying: back.tagged(200, tpid: foreign)))
        plane.send(plane.packet(carrying: back.tagged(200, tpid: tpid)))
        plane.expect(raw: [.vm1: [back.tagged(200, tpid: foreign)]], drops: [.uplink: [.carriedVLANBound: 1]])
      }
    }

    @Test("a carried tag may come on top of the port's MTU, one of them", arguments: [false, true])
    func carriedSize(_ isTagged: Bool) throws {
      try DataplaneFixture.run { plane in
        bind(plane, carries: true)
        plane.learn(Topology.guest(1), at: .port(Place.vm1.rawValue, vlan: isTagged ? 100 : 0))
        let full = Frame.udp(from: Topology.guest(2), to: Topology.guest(1), byteCount: 1514)
        let shorter = Frame.udp(from: Topology.guest(2), to: Topology.guest(1), byteCount: 1510)
        // Its own tag, or the binding's.
        plane.sendRaw(isTagged ? full : full.tagged(300), at: .vm2)
        plane.expect(raw: [.vm1: [full.tagged(isTagged ? 100 : 300)]])
        plane.sendRaw(shorter.tagged(8).tagged(7), at: .vm2)
        plane.sendRaw(shorter.tagged(7), at: .vm2)
        let inner = shorter.tagged(8).tagged(7)
        plane.expect(
          raw: [.vm1: isTagged ? [shorter.tagged(7).tagged(100)] : [inner, shorter.tagged(7)]],
          drops: isTagged ? [.vm2: [.tooBigForPort: 1]] : [:])
        plane.sendRaw(full.tagged(8).tagged(7), at: .vm2)
        plane.expect(drops: [.vm2: [.tooBigForPort: 1]])
      }
    }

    @Test("between places of one host the priority stays, as a unicast and flooded")
    func local() throws {
      try DataplaneFixture.run { plane in
        bind(plane, carries: false)
        plane.changeDomain { $0.flood = [] }
        plane.learn(Topology.guest(1), at: .port(Place.vm1.rawValue, vlan: 100))
        let tag = Tag(vlan: 100, priority: 6, isDropEligible: true)
        let toUntagged = Frame.udp(from: Topology.guest(1), to: Topology.guest(2))
        plane.sendRaw(Self.put([tag], on: toUntagged), at: .vm1)
        let broadcast = Frame.arpRequest(from: Topology.guest(1), target: 9)
        plane.sendRaw(Self.put([tag], on: broadcast), at: .vm1)
        // From a priority tag to a tagged place.
        let toTagged = Frame.udp(from: Topology.guest(2), to: Topology.guest(1))
        plane.sendRaw(toTagged.tagged(0, priority: 3), at: .vm2)
        // Within one port, from one place to the other.
        let within = Frame.udp(from: Topology.guest(5), to: Topology.guest(1))
        plane.learn(Topology.guest(5), at: .port(Place.vm1.rawValue, vlan: 0))
        plane.sendRaw(within, at: .vm1)
        plane.expect(
          raw: [
            .vm1: [broadcast, within.tagged(100), toTagged.tagged(100, priority: 3)],
            .vm2: [toUntagged, broadcast], .vm3: [broadcast],
          ])
        // To another tagged place: priority and DEI.
        plane.changePort(.vm2) { $0.tpid = PortTPID.service.pushed }
        plane.change { model in
          model.vlanMaps[Int(Place.vm2.rawValue)] = VLANMap([40: Topology.domain])
          model.ports[Int(Place.vm2.rawValue)].vlanDomains = model.vlanMaps[Int(Place.vm2.rawValue)]?.domains
        }
        plane.learn(Topology.guest(2), at: .port(Place.vm2.rawValue, vlan: 40))
        plane.sendRaw(Self.put([tag], on: toUntagged), at: .vm1)
        plane.expect(raw: [.vm2: [Self.put([Tag(vlan: 40, priority: 6, isDropEligible: true, tpid: 0x88a8)], on: toUntagged)]])
      }
    }

    // -- the port's bindings --------------------------------------------------------------------------------------------

    private func bind(_ plane: DataplaneFixture, carries: Bool) {
      plane.change { model in
        let index = Int(Place.vm1.rawValue)
        model.vlanMaps[index] = VLANMap([100: Topology.domain, 200: Topology.otherDomain])
        model.ports[index].vlanDomains = model.vlanMaps[index]?.domains
        // As `Reconciler.rebuildPorts` sets it.
        if carries { model.ports[index].features.insert(.guardsVLANs) }
        model.domains[Int(Topology.domain)].entry.carriesInnerVLAN = carries
        model.domains[Int(Topology.domain)].locals.append(LocalTarget(port: Place.vm1.rawValue, vlan: 100))
        model.domains[Int(Topology.otherDomain)].locals.append(LocalTarget(port: Place.vm1.rawValue, vlan: 200))
      }
      plane.learn(Topology.guest(21), at: .vtep(Topology.near), domain: Topology.otherDomain)
    }

    private static func udp(dscp: UInt8) -> Frame {
      var flow = FlowFields()
      flow.trafficClass = dscp << 2
      return Frame.udp(from: Topology.guest(1), to: Topology.guest(21), flow)
    }

    /// Outermost first.
    private static func put(_ tags: [Tag], on frame: Frame) -> Frame {
      tags.reversed().reduce(frame) {
        $0.tagged($1.vlan | ($1.isDropEligible ? 0x1000 : 0), priority: $1.priority, tpid: $1.tpid)
      }
    }
  }
}

extension DataplaneFixture {
  /// Guest 1 is known at the untagged place of its port; seen elsewhere it is reported.
  fileprivate func learnedPlaces(of tags: [DataplaneTests.TagTableTests.Tag], vni: VNI) -> [Sighting] {
    guard let vlan = tags.first?.vlan, vlan == 100 || vlan == 200 else { return [] }
    let domain = vni == Topology.vni ? Topology.domain : Topology.otherDomain
    return [Sighting(domain: domain, mac: Topology.guest(1), location: .port(Place.vm1.rawValue, vlan: vlan))]
  }
}
