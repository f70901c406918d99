// What the reconciler does, and in which order, when the configuration or the ports change. `RecordedEffects` checks with each effect that
// nothing names what workers do not know, and that nothing is closed that they use.

import Encap
import Glibc
import MACTable
import Netlink
import Testing

@testable import VTEP

private let group = IPAddress(ipv4: 0xef01_0101)
private func vni(_ number: UInt32) -> VNI { VNI(truncating: number) }
private func peer(_ number: UInt32) -> IPAddress { IPAddress(ipv4: 0xc000_0300 + number) }
private func mac(_ number: UInt64) -> MACAddress { MACAddress(bits: 0x0200_0000_0000 + number) }

private func port(_ name: String, _ vni: UInt32) -> PortSettings {
  var port = PortSettings(name: name, kind: .tap, device: name)
  port.options.vni = VNI(truncating: vni)
  return port
}

extension ControlState {
  /// Applies an edit of what is wanted.
  fileprivate mutating func change(_ edit: (inout DesiredState) -> Void) throws(VTEPError) {
    var new = desired
    edit(&new)
    try apply(new)
  }
}

@Suite("Control state")
struct ControlStateTests {
  private let effects: RecordedEffects
  private var state: ControlState

  init() throws {
    effects = try RecordedEffects()
    let underlay = UnderlaySettings(addresses: [IPAddress(ipv4: 0xc000_0201)], devices: ["u0"])
    state = ControlState(underlay, workers: 1, effects: effects)
    try state.attachUnderlay(underlay)
    try state.apply(state.desired)
    state.hasStarted = true
    _ = effects.take()
  }

  private func lookup(_ vni: UInt32, _ mac: MACAddress) -> MACLocation? {
    guard let domain = state.domains[VNI(truncating: vni)] else { return nil }
    let key = MACKey(domain: domain.index, mac: mac)
    let found = effects.table.reader.lookup(key, hash: effects.table.reader.hash(key))
    return found.isHit ? found.location : nil
  }

  @Test("a new VNI and port: opened first, published, waited for, and only then named by the table")
  mutating func create() throws {
    try state.change { new in
      new.vnis[vni(5)] = VNISettings(vni: vni(5), flood: .multicast(group: group))
      new.vnis[vni(5)]?.macs = [mac(1): peer(1)]
      new.ports["vm1"] = port("vm1", 5)
      new.ports["vm1"]?.macs = [mac(2)]
    }
    let found = effects.take()
    let order: [RecordedEffects.Effect] = [.open("vm1"), .request(peer(1)), .publish, .wait, .write, .join(group, vni(5)), .slowPath]
    #expect(found.filter(order.contains).reduce(into: []) { if $0.last != $1 { $0.append($1) } } == order)
    #expect(lookup(5, mac(1)) == underlayLocation(peer(1)))
    #expect(lookup(5, mac(2)) == state.ports["vm1"].map { .port($0.index, vlan: 0) })
    #expect(state.model.domains.first?.locals.count == 1)
    #expect(state.stale.isEmpty)
  }

  @Test("each worker gets a transmit queue of its own at dpdk ports and NICs that have enough, and only there", arguments: [1, 3, 4, 9])
  mutating func workerQueues(_ queues: Int) throws {
    let effects = try RecordedEffects()
    effects.deviceQueues = queues
    let underlay = UnderlaySettings(addresses: [IPAddress(ipv4: 0xc000_0201)], devices: ["u0"])
    var state = ControlState(underlay, workers: 4, effects: effects)
    try state.attachUnderlay(underlay)
    for name in ["nic", "mem"] {
      effects.statuses[name] = PortStatus(state: .up, receiveQueues: queues, transmitQueues: queues)
    }
    try state.change { new in
      new.vnis[vni(5)] = VNISettings(vni: vni(5), flood: .none)
      for (name, kind) in [("nic", PortKind.dpdk), ("mem", .memif)] {
        new.ports[name] = PortSettings(name: name, kind: kind, device: name)
        new.ports[name]?.vni = vni(5)
      }
    }
    func entry(_ name: String) -> PortEntry? { state.ports[name].map { effects.models.last!.ports[Int($0.index)] } }
    #expect(entry("nic")?.hasWorkerQueues == (queues >= 4) && entry("nic")?.transmitQueues == UInt16(queues))
    #expect(entry("mem")?.hasWorkerQueues == false)
    let uplink = try #require(state.underlay.devices.first?.portIndex)
    #expect(effects.models.last!.ports[Int(uplink)].hasWorkerQueues == (queues >= 4))
  }

  @Test("thousands of next hops that the kernel refuses make one line, and another when it refuses again after a good round")
  mutating func refusedNeighbors() throws {
    effects.refusal = NetlinkError("resolve neighbour", code: ENOBUFS, detail: "full")
    try state.change { new in
      new.vnis[vni(1)] = VNISettings(vni: vni(1), flood: .replicate(peers: (1...3000).map(peer)))
    }
    func warnings() -> [String] { effects.lines.take().filter { $0.hasPrefix("neighbour ") } }
    let lines = warnings()
    #expect(lines.count == 1 && lines[0].hasSuffix("(full), and 2999 other next hops"), "\(lines)")
    _ = effects.take()
    state.retryNeighbors()
    #expect(effects.take().count == 3000)
    #expect(warnings() == [])
    effects.refusal = nil
    state.retryNeighbors()
    effects.refusal = NetlinkError("resolve neighbour", code: ENOBUFS)
    state.retryNeighbors()
    #expect(warnings().count == 1)
  }

  @Test("a VTEP that only a controller's addresses named is forgotten with the last of them")
  mutating func controllerVTEP() throws {
    func layer(_ name: String?) -> ControllerLayer {
      var layer = ControllerLayer()
      if let name { layer.switches[vni(5)] = LogicalSwitchSettings(name: name) }
      return layer
    }
    func isForgotten() -> Bool {
      _ = effects.take()
      effects.nowSeconds += 100
      state.forgetIdleVTEPs()
      state.settle()
      return effects.take().contains(.release(peer(1)))
    }
    let address = ControllerEdit.Address(vni: vni(5), mac: mac(1), destination: TunnelDestination(peer(1)))
    for end in ["layer", "address", "move"] {
      state.follow(layer("ls0"))
      state.enter(ControllerEdit(addresses: [address]))
      #expect(lookup(5, mac(1)) == underlayLocation(peer(1)) && underlayLocation(peer(1)) != nil)
      #expect(!isForgotten())
      switch end {
      case "layer": state.follow(layer(nil))
      case "address": state.enter(ControllerEdit(addresses: [ControllerEdit.Address(vni: vni(5), mac: mac(1), destination: nil)]))
      default:
        state.enter(ControllerEdit(addresses: [ControllerEdit.Address(vni: vni(5), mac: mac(1), destination: TunnelDestination(peer(2)))]))
      }
      #expect(isForgotten(), "\(end)")
      state.follow(layer(nil))
      _ = isForgotten()
    }
  }

  private func underlayLocation(_ address: IPAddress) -> MACLocation? { state.underlay.vteps[address].map { .vtep($0.index) } }

  @Test("a change of one VNI leaves the others, the ports and their devices alone")
  mutating func changeOne() throws {
    try state.change { new in
      for number in 1...100 as ClosedRange<UInt32> {
        new.vnis[vni(number)] = VNISettings(vni: vni(number), flood: .replicate(peers: [peer(number % 10)]))
      }
      new.ports["vm1"] = port("vm1", 5)
    }
    _ = effects.take()
    let visits = state.visitedVNIs
    try state.change { $0.vnis[vni(50)]?.ageingSeconds = 17 }
    let found = effects.take()
    #expect(found.contains(.publish))
    #expect(!found.contains(.wait))
    #expect(!found.contains(.open("vm1")) && !found.contains(.close("port vm1")))
    #expect(state.visitedVNIs - visits <= 5)
  }

  @Test("a port and a VNI that go: leave the table first, are closed afterwards, and the group is left")
  mutating func delete() throws {
    try state.change { new in
      new.vnis[vni(5)] = VNISettings(vni: vni(5), flood: .multicast(group: group))
      new.ports["vm1"] = port("vm1", 5)
      new.ports["vm1"]?.macs = [mac(2)]
    }
    _ = effects.take()
    try state.change { new in
      new.vnis = [:]
      new.ports = [:]
    }
    let found = effects.take()
    let order: [RecordedEffects.Effect] = [.publish, .wait, .write, .close("port vm1"), .leave(group, vni(5))]
    #expect(found.filter(order.contains).reduce(into: []) { if $0.last != $1 { $0.append($1) } } == order)
    #expect(effects.table.count == 0)
    #expect(state.model.ports.allSatisfy { !$0.isAttached || $0.isUnderlay })
  }

  @Test("an index is used again only after workers and table have forgotten what it stood for")
  mutating func reuse() throws {
    try state.change { new in
      new.vnis[vni(5)] = VNISettings(vni: vni(5), flood: .none)
      new.vnis[vni(5)]?.macs = [mac(1): peer(1)]
      new.ports["vm1"] = port("vm1", 5)
      new.ports["vm1"]?.macs = [mac(2)]
    }
    let old = (domain: state.domains[vni(5)]?.index, port: state.ports["vm1"]?.index)
    // In one change: the indexes of what goes are not free yet.
    try state.change { new in
      new.vnis = [vni(6): VNISettings(vni: vni(6), flood: .none)]
      new.ports = ["vm2": port("vm2", 6)]
    }
    #expect(state.domains[vni(6)]?.index != old.domain)
    #expect(state.ports["vm2"]?.index != old.port)
    // In the next they are.
    try state.change { new in
      new.vnis[vni(7)] = VNISettings(vni: vni(7), flood: .none)
      new.ports["vm3"] = port("vm3", 7)
    }
    #expect(state.domains[vni(7)]?.index == old.domain)
    #expect(state.ports["vm3"]?.index == old.port)
    #expect(lookup(7, mac(1)) == nil && lookup(7, mac(2)) == nil)
  }

  @Test("two changes in one batch make one snapshot")
  mutating func batch() throws {
    try state.change { new in
      new.vnis[vni(5)] = VNISettings(vni: vni(5), flood: .none)
      for name in ["vm1", "vm2"] { new.ports[name] = port(name, 5) }
    }
    _ = effects.take()
    for name in ["vm1", "vm2"] { effects.statuses[name] = PortStatus() }
    state.pollPorts()
    #expect(effects.effects.isEmpty)
    state.settle()
    #expect(effects.count(.publish) == 1 && effects.count(.wait) == 1)
    #expect(["vm1", "vm2"].allSatisfy { state.ports[$0]?.isUp == false })
    _ = effects.take()
    state.settle()
    #expect(effects.effects.isEmpty)
  }

  @Test("a device that cannot be opened leaves everything as it was, and the devices that were opened before it are closed")
  mutating func failure() throws {
    try state.change { new in
      new.vnis[vni(5)] = VNISettings(vni: vni(5), flood: .none)
      new.ports["vm1"] = port("vm1", 5)
    }
    let (before, model) = (state, state.model)
    _ = effects.take()
    effects.broken = ["vm3"]
    #expect(throws: VTEPError.self) {
      try state.change { new in
        new.vnis[vni(6)] = VNISettings(vni: vni(6), flood: .replicate(peers: [peer(1)]))
        for name in ["vm2", "vm3", "vm4"] { new.ports[name] = port(name, 6) }
      }
    }
    #expect(effects.take() == [.open("vm2"), .close("port vm2")])
    #expect(state.desired == before.desired && state.running == before.running && state.revision == before.revision)
    #expect(state.ports.keys == before.ports.keys && state.domains[vni(6)] == nil && state.underlay.vteps[peer(1)] == nil)
    #expect(state.stale.isEmpty)
    #expect(state.model.domains.count == model.domains.count && state.model.receiveQueues.map(\.count) == model.receiveQueues.map(\.count))
    // What was read of the host's interfaces for the first served for all, and for no later change.
    #expect(effects.openedTogether.suffix(2) == [true, true] && !effects.opensTogether)
    // The indexes that the change would have taken are free.
    effects.broken = []
    try state.change { $0.ports["vm3"] = port("vm3", 5) }
    #expect(state.ports["vm3"]?.isUp == true)
  }

  @Test("interfaces are adjusted once all devices are open, and put back when something fails after that")
  mutating func adjusting() throws {
    try state.change { new in
      new.vnis[vni(5)] = VNISettings(vni: vni(5), flood: .none)
      for name in ["vm1", "vm2"] { new.ports[name] = port(name, 5) }
    }
    func setMTUs(_ new: inout DesiredState) {
      for name in ["vm1", "vm2"] { new.ports[name]?.options.mtu = 1400 }
    }
    let before = state
    effects.broken = ["vm3"]
    #expect(throws: VTEPError.self) {
      try state.change { new in
        setMTUs(&new)
        new.ports["vm3"] = port("vm3", 5)
      }
    }
    #expect(effects.adjusted.isEmpty, "nothing to put back")
    effects.broken = []
    effects.unadjustable = ["vm2"]
    #expect(throws: VTEPError.self) { try state.change { setMTUs(&$0) } }
    #expect(effects.adjusted == ["vm1 1400", "vm1 back to 1500"])
    effects.unadjustable = []
    effects.broken = ["u1"]
    #expect(throws: VTEPError.self) {
      try state.change { new in
        setMTUs(&new)
        new.underlay.devices.append("u1")
      }
    }
    #expect(effects.adjusted.suffix(4) == ["vm1 1400", "vm2 1400", "vm1 back to 1500", "vm2 back to 1500"])
    #expect(state.desired == before.desired && state.running == before.running && state.stale.isEmpty)
  }

  @Test("a return to what has run before goes on without the devices that cannot be opened")
  mutating func tolerance() throws {
    try state.change { new in
      new.vnis[vni(5)] = VNISettings(vni: vni(5), flood: .none)
      new.ports["vm1"] = port("vm1", 5)
    }
    var new = state.desired
    for name in ["vm2", "vm3"] { new.ports[name] = port(name, 5) }
    effects.broken = ["vm2"]
    var change = try state.check(new)
    change.isTolerant = true
    try state.apply(change)
    #expect(state.desired == new && state.ports["vm2"]?.fault?.cause == .attachment && state.ports["vm3"]?.isUp == true)
  }

  @Test("an underlay interface that cannot be opened when it is back is tried again")
  mutating func underlayIsRetried() throws {
    let device = try #require(state.underlay.devices.first)
    let link = try #require(device.link)
    state.removeUnderlayLink(index: link.index)
    state.settle()
    #expect(state.model.ports[Int(device.portIndex)].kind == .none)
    effects.broken = ["u0"]
    state.updateUnderlayLink(link)
    state.retryUnderlay()
    state.settle()
    #expect(state.underlay.devices[0].device == nil && state.underlay.devices[0].fault?.contains("broken") == true)
    effects.broken = []
    state.retryUnderlay()
    state.settle()
    #expect(state.underlay.devices[0].isUp && state.underlay.devices[0].fault == nil)
    #expect(state.model.ports[Int(device.portIndex)].kind != .none)
  }

  @Test("an underlay that cannot be opened gives the port back its device that had to make room")
  mutating func failureOfUnderlay() throws {
    try state.change { new in
      new.vnis[vni(5)] = VNISettings(vni: vni(5), flood: .none)
      new.ports["vm1"] = port("vm1", 5)
    }
    effects.broken = ["u1"]
    #expect(throws: VTEPError.self) {
      try state.change { new in
        new.underlay.devices = ["u0", "u1"]
        // The same interface with more queues: the device is opened anew.
        new.ports["vm1"]?.attachment.queues = 2
      }
    }
    #expect(state.ports["vm1"]?.device != nil && state.ports["vm1"]?.isUp == true)
    #expect(state.ports["vm1"]?.settings.attachment.queues == 1)
    #expect(state.underlay.devices.map(\.name) == ["u0"])
  }

  @Test("30 ports that change at one poll make one snapshot, and no VNI but theirs is looked at")
  mutating func manyPorts() throws {
    let names = (1...30).map { "vm\($0)" }
    try state.change { new in
      for number in 1...10_000 as ClosedRange<UInt32> { new.vnis[vni(number)] = VNISettings(vni: vni(number), flood: .none) }
      for (number, name) in names.enumerated() { new.ports[name] = port(name, UInt32(number + 1)) }
    }
    _ = effects.take()
    let visits = state.visitedVNIs
    for name in names { effects.statuses[name] = PortStatus() }
    state.pollPorts()
    state.settle()
    #expect(effects.count(.publish) == 1)
    #expect(state.visitedVNIs - visits == 30)
  }
}
