// Random configurations of the data-plane fixture: everything that decides about single frames, in any mixture.

import CDPDK
import Encap
import MACTable

@testable import VTEP

enum RandomConfiguration {
  /// Changes the fixture's configuration and its MAC table.
  static func apply(to plane: DataplaneFixture, _ random: inout SeededRandom) {
    func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
    var model = plane.model
    changeDomains(&model, plane, &random)
    changePorts(&model, plane, &random)
    changeVTEPs(&model, plane, &random)
    model.repliesTooBig = chance(50)
    if chance(40) { model.priorities.dscpOfPCP = (0..<8).map { $0 == 0 ? (chance(50) ? 0 : 2) : UInt8($0) << 3 | 1 } }
    if chance(20) { model.decapPolicy = DecapPolicy(acceptsZeroUDP6Checksum: true) }
    plane.change { $0 = model }
    if chance(25) { plane.ownUplink() }
    changeTable(plane, &random)
  }

  private static func changeDomains(_ model: inout ForwardingModel, _ plane: DataplaneFixture, _ random: inout SeededRandom) {
    func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
    let index = Int(Topology.domain)
    model.domains[index].flood = [[Topology.group], [Topology.near, Topology.far], [Topology.far], []].randomElement(using: &random)!
    model.domains[index].entry.isFloodDisabled = model.domains[index].flood.isEmpty && chance(50)
    model.domains[index].entry.acceptsOnlyPeers = chance(25)
    model.domains[index].peers = chance(50) ? [Topology.near] : [Topology.near, Topology.far]
    model.domains[index].entry.learnsFromVTEPs = !chance(20)
    model.domains[index].entry.carriesInnerVLAN = chance(40)
    model.domains[index].entry.tunnelsControl = chance(40)
    model.domains[index].entry.reportsStations = chance(40)
    if chance(30) { model.domains[index].storm = StormEntry(StormLimits(broadcast: 30, unknownUnicast: 20, unknownMulticast: 20)) }
    if chance(20) { model.domains[index].locals.removeLast() }
    // VLAN 200 of the ports with tags is the other domain's.
    guard plane.attachment == .tagged, chance(70) else { return }
    for place in [Place.vm1, .vm2] {
      let port = Int(place.rawValue)
      model.vlanMaps[port] = VLANMap([100: Topology.domain, 200: Topology.otherDomain])
      model.ports[port].vlanDomains = model.vlanMaps[port]?.domains
      model.domains[Int(Topology.otherDomain)].locals.append(LocalTarget(port: place.rawValue, vlan: 200))
    }
    model.domains[Int(Topology.otherDomain)].flood = [Topology.near]
  }

  private static func changePorts(_ model: inout ForwardingModel, _ plane: DataplaneFixture, _ random: inout SeededRandom) {
    func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
    for place in [Place.vm1, .vm2, .vm3] {
      let port = Int(place.rawValue)
      var features: PortFeatures = []
      if chance(30) { features.insert(.isIsolated) }
      if chance(20) { features.insert(.tunnelsControl) } else if chance(20) { features.insert(.puntsControl) }
      if chance(20) { features.insert(.guardsBPDU) }
      if chance(20) { features.formUnion(.takesAll) }
      if chance(20) { features.insert(.offersOffloads) }
      if chance(20) { features.insert(.guardsVLANs) }
      if chance(30) {
        features.insert(.isPoliced)
        model.policies[port] = policy(place, plane, &random)
      }
      if chance(20) {
        features.insert(.limitsEgress)
        model.policies[port].entry.egress.packets = MeterRate(unitsPerSecond: 50, burst: 3)
      }
      model.ports[port].features = features
      model.ports[port].isUp = !chance(8)
      if chance(10) { model.ports[port].kind = .none }
      if chance(25) { model.ports[port].maxFrameByteCount = 600 }
      if chance(15) { model.ports[port].sendsSegments = true }
      if chance(15) { model.ports[port].takesAnyTPID = false }
      if chance(10) { model.ports[port].tpid = 0x88a8 }
      if chance(10) { model.ports[port].headByteCount = 512 }
      // A port with tags may have an untagged binding, too.
      if plane.attachment == .tagged, chance(25) {
        model.ports[port].untaggedDomain = Topology.domain
        model.domains[Int(Topology.domain)].locals.append(LocalTarget(port: place.rawValue, vlan: 0))
      }
    }
    changeACLs(&model, &random)
    if chance(30) { model.ports[Int(Place.uplink.rawValue)].sendsSegments = true }
  }

  private static func policy(_ place: Place, _ plane: DataplaneFixture, _ random: inout SeededRandom) -> ForwardingModel.Policy {
    func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
    var policy = ForwardingModel.Policy()
    policy.entry.isDisabled = chance(10)
    if chance(30) {
      policy.entry.antiSpoofing = true
      let own = Topology.guest(UInt64(place.rawValue.rawValue) - 1)
      policy.allowedSources = [PolicyEntry.source(own, vlan: plane.attachment.vlan)]
    }
    if chance(40) { policy.entry.macLimit = UInt32.random(in: 1...4, using: &random) }
    if chance(40) { policy.entry.ingress.packets = MeterRate(unitsPerSecond: 100, burst: 5) }
    if chance(20) { policy.entry.ingress.bytes = MeterRate(unitsPerSecond: 20_000, burst: 3000) }
    if chance(40) { policy.entry.storm = StormEntry(StormLimits(broadcast: 20, unknownUnicast: 20, unknownMulticast: 20)) }
    return policy
  }

  private static func changeACLs(_ model: inout ForwardingModel, _ random: inout SeededRandom) {
    func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
    for place in [Place.vm1, .vm2, .vm3] where chance(25) {
      let entries: [ACLEntry] = [
        .deny(.ingress, chance(50) ? [(.protocolNumber, "tcp")] : [(.etherType, "0x86dd")]),
        .deny(.egress, chance(50) ? [(.protocolNumber, "udp")] : [(.etherType, "0x0806")]),
      ]
      let settings = ACLSettings(name: "a", entries: entries)
      guard let acl = try? CompiledACL(settings, slots: { $0 == .ingress ? [0, 1] : [2, 3] }) else { continue }
      model.aclSlotCount = 4
      model.acls.append(acl)
      let port = Int(place.rawValue)
      model.policies[port].entry.acl = ACLIndex(model.acls.count - 1)
      model.policies[port].entry.filtersIngress = true
      model.ports[port].features.formUnion([.isPoliced, .filtersEgress])
    }
  }

  private static func changeVTEPs(_ model: inout ForwardingModel, _ plane: DataplaneFixture, _ random: inout SeededRandom) {
    func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
    var settings = Topology.settings()
    if chance(30) { settings.ttl = .inherit }
    if chance(30) { settings.dscp = chance(50) ? .inherit : .fixed(46) }
    if chance(30) { settings.udpChecksum = chance(50) ? .on : .off }
    for vtep in [Topology.near, Topology.far, Topology.group] {
      let mtu = chance(25) ? 700 : Topology.underlayMTU
      func hop(_ place: Place) -> Adjacency {
        Topology.adjacency(vtep, plane.family, via: place, isResolved: !chance(12), settings: settings, mtu: mtu)
      }
      var adjacencies = chance(30) && vtep != Topology.group ? [hop(.uplink), hop(.secondUplink), hop(.uplink)] : [hop(.uplink)]
      if chance(10) { adjacencies = [] }
      model.vteps[Int(vtep)].adjacencies = adjacencies
      model.vteps[Int(vtep)].entry.obstacle = [.noRoute, .uplinkDown, .ipsecPolicy].randomElement(using: &random)!
    }
    // A multicast address that a controller has placed.
    model.vteps.append(ForwardingModel.VTEP(entry: VTEPEntry(isInUse: false), members: chance(50) ? [Topology.near, Topology.far] : []))
  }

  private static func changeTable(_ plane: DataplaneFixture, _ random: inout SeededRandom) {
    func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
    plane.table.flush(domain: Topology.domain)
    plane.table.flush(domain: Topology.otherDomain)
    let vlan = plane.attachment.vlan
    plane.table.configureMoveGuard(moves: 2, windowSeconds: 100, holdSeconds: 1000, freezes: chance(50))
    for (number, place) in [(1, Place.vm1), (2, .vm2), (3, .vm3)] as [(UInt64, Place)] where chance(80) {
      plane.learn(Topology.guest(number), at: .port(place.rawValue, vlan: vlan))
    }
    for (number, vtep) in [(21, Topology.near), (22, .init(Topology.far.rawValue))] as [(UInt64, VTEPIndex)] where chance(80) {
      plane.learn(Topology.guest(number), at: .vtep(vtep))
    }
    for (mac, location, type) in [
      (Topology.guest(4), MACLocation.port(Place.vm2.rawValue, vlan: vlan), MACEntryType.static),
      (Topology.guest(24), .vtep(Topology.near), .controller), (RandomFrame.placedGroup, .list(3), .controller),
    ] {
      let key = MACKey(domain: Topology.domain, mac: mac)
      plane.table.remove(key)
      if chance(50) { try? plane.table.setStatic(key, at: location, type: type) }
    }
  }
}
