// Events: notes between those of the MAC table, names of the time, filters, gaps; and what the observers make of changed records.

import Encap
import Glibc
import Logging
import MACTable
import Netlink
import Testing

@testable import VTEP

private func vni(_ number: UInt32) -> VNI { VNI(truncating: number) }
private func mac(_ number: UInt64) -> MACAddress { MACAddress(bits: 0x0200_0000_0000 + number) }

@Suite("Event log")
struct EventLogTests {
  private let table: MACTable
  private let log: EventLog

  init() throws {
    table = try MACTable(capacity: 1024, portCount: 64, vtepCount: 64, domainCount: 64)
    log = EventLog(ring: table.events)
    log.name(DomainIndex(1), vni(5001))
    log.name(PortIndex(3), "vm1")
    log.name(VTEPIndex(5), IPAddress(ipv4: 0xc000_0202))
  }

  private func learn(_ number: UInt64, at place: MACLocation = .port(3, vlan: 0), domain: DomainIndex = 1) {
    _ = table.learn(MACKey(domain: domain, mac: mac(number)), at: place, nowSeconds: 0)
  }

  private func types(_ filter: EventFilter = EventFilter(), after sequence: UInt64 = 0) -> [EventType] {
    log.page(after: sequence, filter, limit: .max).events.map(\.type)
  }

  @Test("notes come between the table's events, in order, once the writer has taken them")
  func notes() {
    learn(1)
    log.note(.portDown, Event.Subject(port: "vm1"), "port vm1:\ndown")
    #expect(types() == [.macLearned])
    log.takeNotes()
    learn(1, at: .vtep(5))
    let events = log.page(after: 0, limit: 10).events
    #expect(events.map(\.type) == [.macLearned, .portDown, .macMoved] && events.map(\.sequence) == [1, 2, 3])
    #expect(
      events.map(\.text) == [
        "VNI 5001: 02:00:00:00:00:01 learned at port vm1", "port vm1: down",
        "VNI 5001: 02:00:00:00:00:01 moved from port vm1 to vtep 192.0.2.2",
      ])
    #expect(events.allSatisfy { abs(Double($0.milliseconds) / 1000 - Double(time(nil))) < 60 })
    #expect(log.last == 3)
  }

  @Test("an index means what it meant at the time of the event")
  func names() {
    learn(1)
    learn(2, at: .vtep(5))
    log.name(PortIndex(3), "vm2")
    log.name(VTEPIndex(5), IPAddress(ipv4: 0xc000_0203))
    learn(3)
    learn(4, at: .vtep(5))
    let places = log.page(after: 0, limit: 10).events.map { $0.to.map { "\($0)" } }
    #expect(places == ["port vm1", "vtep 192.0.2.2", "port vm2", "vtep 192.0.2.3"])
    // An index whose owners nobody remembers is no reason to lose the event.
    learn(5, at: .port(9, vlan: 0), domain: 7)
    let last = log.page(after: 4, limit: 10).events
    #expect(last.count == 1 && last[0].to == nil && last[0].subject.vni == nil)
  }

  @Test("filters")
  func filters() {
    log.name(DomainIndex(2), vni(5002))
    learn(1)
    learn(2, at: .vtep(5))
    learn(1, at: .vtep(5), domain: 2)
    log.note(.portUp, Event.Subject(port: "vm1"), "port vm1: up")
    log.note(.vtepReachable, Event.Subject(address: IPAddress(ipv4: 0xc000_0202)), "VTEP 192.0.2.2: reachable")
    log.takeNotes()
    #expect(types(EventFilter(mac: mac(1))) == [.macLearned, .macLearned])
    #expect(log.page(after: 0, EventFilter(vni: vni(5001)), limit: 10).events.map(\.sequence) == [1, 2])
    #expect(log.page(after: 0, EventFilter(port: "vm1"), limit: 10).events.map(\.sequence) == [1, 4])
    #expect(types(EventFilter(types: [.portUp, .portDown])) == [.portUp])
    #expect(types(EventFilter(types: [.macLearned], vni: vni(5002), mac: mac(2))) == [])
    // A page ends where the limit was reached; what did not match is passed over.
    let page = log.page(after: 0, EventFilter(types: [.macLearned]), limit: 2)
    #expect(page.events.count == 2 && page.last == 2)
    #expect(log.page(after: 3, EventFilter(types: [.portDown]), limit: 2).last == 5)
  }

  @Test("a reader that is too slow learns how many it lost, notes among them")
  func gap() {
    log.note(.portUp, "port vm1: up")
    log.takeNotes()
    for number in 0..<UInt64(EventRing.defaultCapacity) {
      learn(number % 512 + 1, at: number / 512 % 2 == 0 ? .vtep(5) : .port(3, vlan: 0))
    }
    let page = log.page(after: 0, limit: 3)
    // One event, and the slot that the writer may be at work on.
    #expect(page.gap == EventRing.Gap(first: 1, last: 2) && page.events.map(\.sequence) == [3, 4, 5] && page.last == 5)
  }

  @Test("the log has ten lines of a type in a second, and says where the rest is")
  func lines() throws {
    let lines = LogLines()
    log.setLog(Logger(label: "test") { _ in KeepingLog(lines) })
    for number in 0..<200 { log.report(.vtepUnreachable, "VTEP \(number): unreachable") }
    log.report(.nextHopFailed, "next hop")
    let found = lines.take()
    // The clock may have gone on to the next second in between.
    #expect((12...24).contains(found.count) && found.contains { $0.hasPrefix("more of this: see vtepctl monitor --type vtep-unreachable") })
    #expect(found.contains { $0.hasPrefix("next hop") })
    log.takeNotes()
    #expect(types().count == 201)
  }

  @Test("every type belongs to a group, and says what it means and which fields it has")
  func reference() {
    for type in EventType.allCases {
      #expect(EventGroup.allCases.contains { type.rawValue.hasPrefix($0.rawValue + "-") && $0 == type.group }, "\(type.rawValue)")
      #expect(!type.meaning.isEmpty && !type.meaning.contains("\n") && !type.meaning.contains("|"))
    }
    for group in EventGroup.allCases { #expect(EventType.allCases.contains { $0.group == group }, "\(group)") }
  }
}

@Suite("Event observers")
struct EventObserverTests {
  private let effects: RecordedEffects
  private var state: ControlState
  private var observer = EventObserver()
  private let peer = IPAddress(ipv4: 0xc000_0301)

  init() throws {
    effects = try RecordedEffects()
    let underlay = UnderlaySettings(addresses: [IPAddress(ipv4: 0xc000_0201)], devices: ["u0"])
    state = ControlState(underlay, workers: 1, effects: effects)
    try state.attachUnderlay(underlay)
    var new = state.desired
    new.vnis[vni(5)] = VNISettings(vni: vni(5), flood: .replicate(peers: [peer]))
    var port = PortSettings(name: "vm1", kind: .tap, device: "tap1")
    port.options.vni = vni(5)
    new.ports["vm1"] = port
    try state.apply(new)
    state.hasStarted = true
  }

  /// What has happened since the last call, as text.
  private mutating func look(since: UInt64 = 0) -> [String] {
    observer.look(at: state, effects.events)
    let before = effects.events.last
    effects.events.takeNotes()
    return effects.events.page(after: before, limit: .max).events.map { "\($0.type.rawValue): \($0.text)" }.sorted()
  }

  private mutating func neighbor(_ address: UInt64?, _ kind: Neighbor.State) {
    let changed = state.update(
      Neighbor(interfaceIndex: 1, address: peer, mac: address.map { MACAddress(bits: $0) }, state: kind))
    if changed { state.stale.adjacencies = true }
    state.settle()
  }

  @Test("ports: attached, down, up, fault, deleted")
  mutating func ports() throws {
    let first = look()
    #expect(first.contains("port-attached: port vm1: attached to tap1, up") && first.contains("port-up: port vm1: up"), "\(first)")
    #expect(look() == [])
    effects.statuses["vm1"] = PortStatus(state: .down)
    state.refresh("vm1")
    #expect(look() == ["port-down: port vm1: down"])
    effects.statuses["vm1"] = nil
    state.refresh("vm1")
    #expect(look() == ["port-up: port vm1: up"])
    state.takeDown("vm1", "the guest broke the rules")
    state.settle()
    #expect(
      look() == [
        "port-down: port vm1: down", "port-fault: port vm1: taken down: the guest broke the rules",
        "port-lost: port vm1: it has lost its device",
      ])
    var new = state.desired
    new.ports["vm1"] = nil
    try state.apply(new)
    #expect(look() == ["port-deleted: port vm1: deleted"])
  }

  @Test("VTEPs and next hops: new, resolved, moved, dead, back, MTU, gone")
  mutating func vteps() throws {
    let first = look()
    #expect(first.contains("vtep-appeared: VTEP 192.0.3.1: new") && !first.contains { $0.hasPrefix("vtep-reachable") }, "\(first)")
    neighbor(0x0200_0000_0099, .reachable)
    #expect(
      look() == [
        "next-hop-resolved: next hop 192.0.3.1%u0: is at 02:00:00:00:00:99", "vtep-reachable: VTEP 192.0.3.1: reachable",
      ])
    // The kernel asks again: no news.
    neighbor(0x0200_0000_0099, .stale)
    #expect(look() == [])
    neighbor(0x0200_0000_0098, .reachable)
    #expect(look() == ["next-hop-moved: next hop 192.0.3.1%u0: is at 02:00:00:00:00:98, was at 02:00:00:00:00:99"])
    neighbor(nil, .failed)
    #expect(look() == [])
    state.giveUpDoubtfulNeighbors(state.underlay.doubtfulNeighbors)
    state.settle()
    #expect(
      look() == [
        "next-hop-failed: next hop 192.0.3.1%u0: no longer answers", "vtep-unreachable: VTEP 192.0.3.1: unreachable: no next hop answers",
      ])
    neighbor(0x0200_0000_0098, .reachable)
    #expect(look().contains("vtep-reachable: VTEP 192.0.3.1: reachable"))
    effects.routeMTU = 1400
    state.stale.routes = true
    state.settle()
    #expect(look() == ["vtep-mtu: VTEP 192.0.3.1: MTU 1400, was 1500"])
    effects.routeInterfaces = [9]
    state.stale.routes = true
    state.settle()
    let unreachable = look()
    #expect(unreachable.count == 1 && unreachable[0].hasPrefix("vtep-unreachable: VTEP 192.0.3.1: unreachable: the route leaves by"))
    var new = state.desired
    new.vnis[vni(5)] = VNISettings(vni: vni(5), flood: .none)
    try state.apply(new)
    effects.nowSeconds += 1000
    state.forgetIdleVTEPs()
    state.settle()
    #expect(look() == ["vtep-gone: VTEP 192.0.3.1: forgotten"])
  }

  @Test("a limit that begins to drop frames, and one that drops nothing any more")
  mutating func limits() throws {
    var limits = LimitObserver()
    var new = state.desired
    new.vnis[vni(5)]?.storm = StormLimits(broadcast: 10)
    new.ports["vm1"]?.options.macLimit.own = 4
    try state.apply(new)
    _ = look()
    func found() -> [EventType] {
      let before = effects.events.last
      limits.look(at: state, effects.counters, effects.events)
      effects.events.takeNotes()
      return effects.events.page(after: before, limit: .max).events.map(\.type)
    }
    #expect(found() == [])
    let port = try #require(state.ports["vm1"]?.index)
    let domain = try #require(state.domains[vni(5)]?.index)
    effects.counters[0].drop(port: port, .portMACLimit).pointee.add(3)
    effects.counters[0].stormDrops(domain: domain, .broadcast).pointee.add(1)
    #expect(found() == [.limitPort, .guardStorm])
    effects.counters[0].drop(port: port, .portMACLimit).pointee.add(3)
    #expect(found() == [])
    #expect((0..<3).flatMap { _ in found() } == [])
    #expect(found() == [.guardEnded])
    #expect(found() == [.limitPortEnded])
    effects.counters[0].stormDrops(domain: domain, .broadcast).pointee.add(1)
    #expect(found() == [.guardStorm])
  }
}
