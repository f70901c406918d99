// What one run leaves to the next: as bytes, of which damaged ones are noticed, and entered again under another configuration.

import Encap
import MACTable
import Netlink
import Testing

@testable import VTEP

@Suite("Saved state")
struct SavedStateTests {
  private static let vni = VNI(truncating: 5001)
  private static let far = IPAddress(ipv4: 0xc000_0209)

  /// Two ports, of which one is shut, a VTEP, and some of everything.
  private static var state: SavedState {
    var state = SavedState()
    (state.savedSeconds, state.countingSinceSeconds) = (990, 100)
    state.ports = [
      SavedState.Port(
        attachment: "tap a", traffic: TrafficReport(rxPackets: 1, rxBytes: 2, txPackets: 3, txBytes: 4), drops: ["runt-frame": 5],
        bindings: [0: TrafficReport(rxPackets: 6)]),
      SavedState.Port(attachment: "tap b", shut: SavedState.Shut(isLoop: false, reason: "a BPDU came in", endSeconds: 1100)),
      SavedState.Port(attachment: "tap gone"),
    ]
    state.vnis = [
      SavedState.VNICounts(
        vni: vni, traffic: TrafficReport(txPackets: 7), flooded: 8, stormDrops: ["vni-storm-broadcast": 9], learnRefusals: 10,
        drops: ["runt-frame": 21], neighbors: NeighborCounts(answers: 22, passes: 23)),
      SavedState.VNICounts(vni: VNI(truncating: 1)),
    ]
    state.vteps = [
      SavedState.VTEPCounts(
        address: far, traffic: TrafficReport(rxBytes: 11), drops: ["unknown-vni": 24],
        bfd: BFDCounts(flaps: 25, packetsSent: 26, packetsReceived: 27, wrongKeys: 28))
    ]
    state.routers = [
      SavedState.RouterInterface(router: "r1", vni: vni, traffic: TrafficReport(rxPackets: 29)),
      SavedState.RouterInterface(router: "gone", vni: vni, traffic: TrafficReport(rxPackets: 1)),
    ]
    state.acls = [
      SavedState.ACL(
        name: "web",
        entries: [
          "ingress 10 deny protocol tcp": ACLCount(packets: 30, bytes: 31), "ingress rest": ACLCount(packets: 32, bytes: 33),
          "ingress 10 permit protocol tcp": ACLCount(packets: 1, bytes: 1),
        ]),
      SavedState.ACL(name: "gone", entries: ["ingress rest": ACLCount(packets: 1, bytes: 1)]),
    ]
    state.uplinks = [
      SavedState.Uplink(
        name: "u0", traffic: TrafficReport(rxPackets: 12), drops: ["unknown-vni": 13], ignored: ["not-ip": 14], passed: ["host": 15],
        limited: ["host": 16], missed: 17)
    ]
    state.dropTotals = ["unknown-vni": 13, "of a later version": 1]
    (state.inserts, state.moves, state.evictions) = (18, 19, 20)
    state.places = [.port(0, vlan: 0), .vtep(far), .port(2, vlan: 0), .port(1, vlan: 0)]
    state.addresses = [
      address(1, place: 0), address(2, place: 1, moves: 255), address(3, place: 2), address(4, place: 0, vni: 1),
      address(5, place: 1, lastSeen: 600), address(6, place: 1), address(7, place: 3),
    ]
    state.frozen = [SavedState.Frozen(mac: mac(6), vni: 0, first: 1, second: 0, moves: 6, sinceSeconds: 980)]
    state.moving = [SavedState.Moving(mac: mac(2), vni: 0, moves: [.init(seconds: 985, from: 0)], place: 1)]
    return state
  }

  private static func mac(_ number: UInt64) -> MACAddress { MACAddress(bits: 0x0200_0000_0000 | number) }

  private static func address(
    _ number: UInt64, place: UInt32, vni: UInt32 = 0, lastSeen: UInt32 = 985, moves: UInt8 = 0
  ) -> SavedState.Address {
    SavedState.Address(mac: mac(number), vni: vni, place: place, lastSeenSeconds: lastSeen, moves: moves)
  }

  @Test("since when an address has been at its place lives on")
  func since() throws {
    var saved = Self.state
    saved.addresses[0].since = 1_700_000_000
    #expect(try SavedState(bytes: saved.bytes(boot: "boot"), boot: "boot") == saved)
    let effects = try RecordedEffects()
    var state = try start(nil, effects)
    _ = state.restore(saved)
    #expect(entries(effects).first { $0.key.mac == Self.mac(1) }?.sinceSeconds == 1_700_000_000)
  }

  // -- bytes -------------------------------------------------------------------------------------------------------------

  private static let bytes = state.bytes(boot: "boot")

  private func refusal(_ bytes: [UInt8], boot: String = "boot") -> String? {
    do throws(SavedStateError) {
      _ = try SavedState(bytes: bytes, boot: boot)
      return nil
    } catch {
      return error.description
    }
  }

  @Test("a state survives a write and a read")
  func roundTrip() throws {
    #expect(try SavedState(bytes: Self.bytes, boot: "boot") == Self.state)
    #expect(try SavedState(bytes: SavedState().bytes(boot: ""), boot: "") == SavedState())
  }

  /// A state as the form before this one had it.
  private static var withoutTail: SavedState {
    var state = state
    for index in state.vnis.indices { (state.vnis[index].drops, state.vnis[index].neighbors) = ([:], NeighborCounts()) }
    for index in state.vteps.indices { (state.vteps[index].drops, state.vteps[index].bfd) = ([:], nil) }
    (state.routers, state.acls) = ([], [])
    return state
  }

  @Test("a state of an earlier form is read; it does not know since when addresses have been where they are, and fewer counters")
  func olderVersion() throws {
    var state = Self.withoutTail
    // Empty counts, two numbers per VNI; empty counts and an empty list per VTEP; two empty lists.
    let tail = state.vnis.count * 20 + state.vteps.count * 8 + 8
    var second = Array(state.bytes(boot: "boot").dropLast(tail))
    second[8] = 2
    SavedState.seal(&second)
    #expect(try SavedState(bytes: second, boot: "boot") == state)
    for index in state.addresses.indices { state.addresses[index].since = 0xdeca_fbad }
    let mark = [0xad, 0xfb, 0xca, 0xde] as [UInt8]
    var bytes: [UInt8] = []
    for byte in state.bytes(boot: "boot") {
      bytes.append(byte)
      if bytes.suffix(4) == mark[...] { bytes.removeLast(4) }
    }
    bytes[8] = 1
    bytes.removeLast(tail)
    SavedState.seal(&bytes)
    #expect(try SavedState(bytes: bytes, boot: "boot") == Self.withoutTail)
  }

  @Test("what was cut off at any place is refused")
  func truncation() {
    for count in 0..<Self.bytes.count { #expect(refusal(Array(Self.bytes[..<count])) == "it is cut off", "\(count) octets") }
    #expect(refusal(Self.bytes + [0])?.contains("checksum") == true)
  }

  @Test("a flipped bit in any octet is noticed")
  func flips() {
    for offset in Self.bytes.indices {
      var bytes = Self.bytes
      bytes[offset] ^= 1 << UInt8(offset % 8)
      #expect(refusal(bytes) != nil, "octet \(offset)")
    }
  }

  @Test("another version, another boot and positions out of range are refused with the reason")
  func reasons() {
    var bytes = Self.bytes
    bytes[8] = 4
    #expect(refusal(bytes)?.contains("version 4") == true)
    #expect(refusal(Self.bytes, boot: "another") == "it is from before the host was started")
    var state = Self.state
    state.addresses[0].place = 4
    #expect(refusal(state.bytes(boot: "boot")) == "it cannot be parsed")
    state = Self.state
    state.moving[0].moves[0].from = 4
    #expect(refusal(state.bytes(boot: "boot")) == "it cannot be parsed")
  }

  @Test("a state of an hour ago, or from the future, is of no use")
  func age() {
    #expect(Self.state.obstacle(nowSeconds: 990 + 3600) == nil)
    #expect(Self.state.obstacle(nowSeconds: 990 + 3661) == "it is 61 minutes old")
    #expect(Self.state.obstacle(nowSeconds: 989)?.contains("future") == true)
  }

  // -- entering ----------------------------------------------------------------------------------------------------------

  /// A daemon with ports a and b, which starts at second 1000.
  private func start(_ saved: SavedState?, _ effects: RecordedEffects, edit: (inout DesiredState) -> Void = { _ in }) throws -> ControlState
  {
    effects.opensTaps = true
    let underlay = UnderlaySettings(addresses: [IPAddress(ipv4: 0xc000_0201)], devices: ["u0"])
    var state = ControlState(underlay, workers: 1, effects: effects)
    if let saved { state.restoreFaults(saved) }
    try state.attachUnderlay(underlay)
    var new = state.desired
    new.vnis[Self.vni] = VNISettings(vni: Self.vni, flood: .none)
    for name in ["a", "b"] {
      new.ports[name] = PortSettings(name: name, kind: .tap, device: name)
      new.ports[name]?.vni = Self.vni
    }
    new.ports["b"]?.hasBPDUGuard = true
    edit(&new)
    try state.apply(new)
    return state
  }

  private func entries(_ effects: RecordedEffects) -> [MACTable.Entry] {
    var cursor = 0
    return effects.table.entries(from: &cursor, limit: .max).sorted { $0.key.mac < $1.key.mac }
  }

  @Test("what is still configured is entered, and the rest is counted")
  func restores() throws {
    let effects = try RecordedEffects()
    var state = try start(Self.state, effects)
    let result = state.restore(Self.state)
    // 1, 2 and 6 are there; 3 was behind a port that is gone, 4 in another VNI, 5 is past its age, 7 behind a port that is shut.
    #expect(result == Restoration(restored: 3, expired: 1, gone: 3))
    let found = entries(effects)
    #expect(found.map(\.key.mac) == [Self.mac(1), Self.mac(2), Self.mac(6)])
    #expect(found.map(\.lastSeenSeconds) == [985, 985, 985] && found.map(\.moves) == [0, 255, 0])
    let vtep = try #require(state.underlay.vteps[Self.far]?.index)
    #expect(found[0].location == .port(try #require(state.ports["a"]?.index), vlan: 0) && found[1].location == .vtep(vtep))
    #expect(effects.table.frozenCount == 1 && effects.table.moveRecords(nowSeconds: 1000).count == 1)

    let fault = try #require(state.ports["b"]?.fault)
    #expect(fault.cause == .bpduGuard && fault.secondsLeft(at: 0) == 100 && state.ports["b"]?.isUp == false)

    let counters = effects.counters
    let port = try #require(state.ports["a"]?.index)
    #expect(state.baselines.traffic(port: port, counters) == TrafficReport(rxPackets: 1, rxBytes: 2, txPackets: 3, txBytes: 4))
    #expect(state.baselines.drops(port: port, counters)[Int(DropReason.runtFrame.rawValue)] == 5)
    #expect(state.baselines.traffic(port: port, vlan: 0, counters).rxPackets == 6)
    let domain = try #require(state.domains[Self.vni]?.index)
    #expect(state.baselines.traffic(domain: domain, counters).txPackets == 7 && state.baselines.flooded(domain: domain, counters) == 8)
    #expect(state.baselines.stormDrops(domain: domain, counters)[0] == 9 && effects.table.refusedByLimit(domain: domain) == 10)
    #expect(state.baselines.drops(domain: domain, counters)[Int(DropReason.runtFrame.rawValue)] == 21)
    #expect(state.baselines.neighbors(domain: domain, counters) == NeighborCounts(answers: 22, passes: 23))
    #expect(state.baselines.traffic(vtep: vtep, counters).rxBytes == 11)
    #expect(state.baselines.drops(vtep: vtep, counters)[Int(DropReason.unknownVNI.rawValue)] == 24)
    #expect(effects.earlierBFD == [Self.far: BFDCounts(flaps: 25, packetsSent: 26, packetsReceived: 27, wrongKeys: 28)])
    let uplink = try #require(state.underlay.devices.first?.portIndex)
    #expect(state.baselines.traffic(port: uplink, counters).rxPackets == 12)
    #expect(state.baselines.ignored(port: uplink, .notIP, counters) == 14 && state.baselines.passed(port: uplink, .host, counters) == 15)
    #expect(state.baselines.limited(port: uplink, .host, counters) == 16 && state.baselines.earlierUplinks[uplink]?.missed == 17)
    #expect(DropReason.allCases.reduce(0) { $0 + state.baselines.dropTotal($1, counters) } == 13)
    #expect(effects.table.inserts == 18 && effects.table.moves == 19 && effects.table.evictions == 20)

    // The next frames are counted on top.
    counters[0].drop(port: uplink, .unknownVNI).pointee.add(1)
    #expect(DropReason.allCases.reduce(0) { $0 + state.baselines.dropTotal($1, counters) } == 14)
    counters[0].drop(vtep: vtep, .unknownVNI).pointee.add(1)
    counters[0].drop(domain: domain, .runtFrame).pointee.add(1)
    counters[0].neighborPasses[Int(domain)].add(1)
    #expect(state.baselines.drops(vtep: vtep, counters)[Int(DropReason.unknownVNI.rawValue)] == 25)
    #expect(state.baselines.drops(domain: domain, counters)[Int(DropReason.runtFrame.rawValue)] == 22)
    #expect(state.baselines.neighbors(domain: domain, counters).passes == 24)
  }

  @Test("counters of routers and of access control lists go on")
  func lists() throws {
    let effects = try RecordedEffects()
    let counters = effects.counters
    var state = try start(Self.state, effects) { new in
      new.acls["web"] = ACLSettings(
        name: "web",
        entries: [
          .deny(.ingress, [(.protocolNumber, "tcp")], sequence: 10), .deny(.ingress, [(.protocolNumber, "udp")], sequence: 20),
        ])
      new.ports["a"]?.acl = "web"
      new.routers["r1"] = RouterSettings(name: "r1")
      new.routers["r1"]?.interfaces[Self.vni] = [RouterAddress("10.0.0.1/24")!]
    }
    _ = state.restore(Self.state)
    let interface = try #require(state.routers.indexes[RouterTable.Key(router: "r1", vni: Self.vni)])
    #expect(state.baselines.traffic(routerInterface: interface, counters).rxPackets == 29)
    // An entry that says something else now begins anew.
    let slots = try #require(state.acls["web"]?.slots[.ingress])
    let matched = slots.map { state.baselines.matched(aclEntry: $0, counters) }
    #expect(matched.map(\.packets) == [30, 0, 32] && matched.map(\.bytes) == [31, 0, 33])
    (counters[0].aclEntries + Int(slots[0])).pointee.packets.add(1)
    #expect(state.baselines.matched(aclEntry: slots[0], counters).packets == 31)
  }

  @Test("counters of a router go on when it comes after the start, as those of a controller do")
  func routerComesLater() throws {
    let effects = try RecordedEffects()
    var state = try start(nil, effects)
    _ = state.restore(Self.state)
    var new = state.desired
    new.routers["r1"] = RouterSettings(name: "r1")
    new.routers["r1"]?.interfaces[Self.vni] = [RouterAddress("10.0.0.1/24")!]
    try state.apply(new)
    let key = RouterTable.Key(router: "r1", vni: Self.vni)
    let interface = try #require(state.routers.indexes[key])
    #expect(state.baselines.traffic(routerInterface: interface, effects.counters).rxPackets == 29)
    #expect(state.routers.earlier.keys.map(\.router) == ["gone"])
  }

  @Test("the guard's time ends, also when it ended between two runs")
  func faultEnds() throws {
    let effects = try RecordedEffects()
    var state = try start(Self.state, effects)
    _ = state.restore(Self.state)
    state.ticks = 100 * PortFault.ticksPerSecond
    state.openShutPorts()
    #expect(state.ports["b"]?.isUp == true)

    let later = try RecordedEffects()
    later.nowSeconds = 1100
    #expect(try start(Self.state, later).ports["b"]?.fault == nil)
    // Nobody asks for the guard any more.
    #expect(try start(Self.state, try RecordedEffects()) { $0.ports["b"]?.hasBPDUGuard = false }.ports["b"]?.fault == nil)
  }

  @Test("what the configuration no longer allows is left out")
  func disallowed() throws {
    let effects = try RecordedEffects()
    var state = try start(nil, effects) { new in
      new.vnis[Self.vni]?.learning = false
      new.ports["a"]?.antiSpoofing = true
      new.ports["a"]?.macs = [MACAddress(bits: 0x0200_0000_00aa)]
      new.ports["b"]?.vni = nil
    }
    #expect(state.restore(Self.state).restored == 0)
    #expect(state.underlay.vteps[Self.far] == nil, "nothing is known behind it")

    let limited = try RecordedEffects()
    state = try start(nil, limited) { new in
      new.vnis[Self.vni]?.acceptFrom = .peers
      new.ports["b"]?.macLimit = 1
    }
    var saved = Self.state
    saved.addresses += [Self.address(8, place: 3), Self.address(9, place: 3)]
    let result = state.restore(saved)
    // 1 behind port a, and one of 7, 8 and 9 behind port b; the VTEP is no peer.
    #expect(result.restored == 2 && result.noRoom == 2)
  }

  @Test("addresses behind a port whose guest does not come back are forgotten")
  func returns() throws {
    let effects = try RecordedEffects()
    effects.statuses["a"] = PortStatus(state: .waiting)
    var state = try start(nil, effects)
    _ = state.restore(Self.state)
    // Known at once: frames to them wait for the guest and are not flooded.
    #expect(entries(effects).contains { $0.key.mac == Self.mac(1) })
    state.ticks = 49
    state.endReturns()
    state.settle()
    #expect(entries(effects).contains { $0.key.mac == Self.mac(1) })
    state.ticks = 50
    state.endReturns()
    state.settle()
    #expect(entries(effects).map(\.key.mac) == [Self.mac(2), Self.mac(6), Self.mac(7)])
  }
}

extension DataplaneTests {
  @Suite("Saved again")
  struct SavedAgainTests {
    @Test("counters of routers and BFD sessions that have not come yet are saved again")
    func savedAgain() throws {
      try DataplaneFixture.run { plane in
        var routers = RouterTable()
        routers.earlier[RouterTable.Key(router: "r1", vni: Topology.vni)] = TrafficReport(rxPackets: 29)
        let running = try RunningState(plane, routers: routers)
        let (far, counts) = (Topology.vtepAddress(Topology.far, .ipv4), BFDCounts(flaps: 5, wrongKeys: 6))
        running.bfd.continueCounts([far: counts])
        let saved = running.saved(countingSince: 0)
        #expect(
          saved.routers == [SavedState.RouterInterface(router: "r1", vni: Topology.vni, traffic: TrafficReport(rxPackets: 29))])
        #expect(saved.vteps == [SavedState.VTEPCounts(address: far, traffic: TrafficReport(), bfd: counts)])
      }
    }
  }
}
