// Uplinks whose NIC DPDK drives: NIC and tap are opened, followed and closed together.

import Encap
import MACTable
import Netlink
import Testing

@testable import VTEP

@Suite("Owned uplinks, control")
struct OwnedUplinkControlTests {
  private let effects: RecordedEffects
  private var state: ControlState
  private let peer = IPAddress(ipv4: 0xc000_0302)

  private static func underlay(_ nics: [String], _ devices: [String]) -> UnderlaySettings {
    var underlay = UnderlaySettings(addresses: [IPAddress(ipv4: 0xc000_0201)], devices: devices)
    underlay.nics = nics
    return underlay
  }

  init() throws {
    effects = try RecordedEffects()
    let underlay = Self.underlay(["0000:03:00.0"], ["u0"])
    state = ControlState(underlay, workers: 2, effects: effects)
    try state.attachUnderlay(underlay)
    try state.apply(state.desired)
    state.hasStarted = true
    var new = state.desired
    let vni = VNI(truncating: 5)
    new.vnis[vni] = VNISettings(vni: vni, flood: .replicate(peers: [peer]))
    try state.apply(new)
    _ = effects.take()
  }

  private var device: UnderlayDevice { state.underlay.devices[0] }
  private var entries: [PortEntry] { device.indexes.map { state.model.ports[Int($0)] } }
  private var adjacencies: [Adjacency] {
    state.underlay.vteps[peer].map { state.model.vteps[Int($0.index)].adjacencies } ?? []
  }

  @Test("workers know the NIC and its tap as a pair, and have the queues of both")
  func pair() {
    #expect(entries.map(\.kind) == [.ethdev, .tap])
    #expect(entries.map(\.isUnderlay) == [true, false])
    #expect(entries.map(\.partner) == device.indexes.reversed())
    #expect(state.model.receiveQueues.joined().map(\.port).sorted() == device.indexes.sorted())
    #expect(adjacencies.map(\.port) == [device.portIndex])
  }

  @Test("workers leave to a NIC what it was seen to do")
  mutating func offloads() throws {
    effects.offeredOffloads = Set(NICOffload.allCases)
    effects.failedOffloads = [.receivedChecksum: "over IPv6, nothing comes back"]
    var new = state.desired
    new.underlay = Self.underlay(["0000:03:00.0", "0000:04:00.0"], ["u0", "u1"])
    try state.apply(new)
    let added = state.underlay.devices[1]
    let entry = state.model.ports[Int(added.portIndex)]
    #expect(entry.features == [.completesTCP, .completesUDP, .cutsTCP, .completesInner, .cutsInner, .namesTunnels] && entry.sendsSegments)
    #expect(added.offloadTexts["tso"] == "used")
    #expect(added.offloadTexts["rx-udp-checksum"] == "software: the self-test has failed: over IPv6, nothing comes back")
    // They are chosen when the NIC is opened.
    new.underlay.offloads = .trust
    #expect(throws: VTEPError.self) { try state.apply(new) }
  }

  @Test("without a link nothing is sent that way")
  mutating func link() throws {
    effects.links["0000:03:00.0"] = false
    state.followNICs()
    state.settle()
    #expect(!device.isUp && adjacencies.isEmpty)
    #expect(effects.lines.take().contains { $0.contains("the NIC 0000:03:00.0 has no link") })
    effects.links["0000:03:00.0"] = true
    state.followNICs()
    state.settle()
    #expect(device.isUp && adjacencies.count == 1)
  }

  @Test("a report of a lost link makes a snapshot at once, in which all flows take the other uplink")
  mutating func reported() throws {
    var new = state.desired
    new.underlay = Self.underlay(["0000:03:00.0", "0000:04:00.0"], ["u0", "u1"])
    try state.apply(new)
    let other = state.underlay.devices[1]
    effects.routeInterfaces = [1, try #require(other.link?.index)]
    state.stale.routes = true
    state.settle()
    #expect(adjacencies.map(\.port) == [device.portIndex, other.portIndex])
    _ = effects.take()
    // Of the other, and of none: nothing happens.
    let portIDs = state.underlay.devices.map { $0.nic?.device.portID }
    #expect(!state.followLinks { $0.device.portID == portIDs[1] } && !state.followLinks { _ in true })
    effects.links["0000:03:00.0"] = false
    #expect(!state.followLinks { $0.device.portID == portIDs[1] })
    #expect(state.followLinks { $0.device.portID == portIDs[0] })
    state.settle()
    #expect(effects.take().contains(.publish) && adjacencies.map(\.port) == [other.portIndex])
    #expect(!state.followLinks { _ in true })
    effects.links["0000:03:00.0"] = true
    #expect(state.followLinks { $0.device.portID == portIDs[0] })
    state.settle()
    #expect(effects.take().contains(.publish) && adjacencies.count == 2)
  }

  @Test("a NIC that is taken away is given back, with its tap, and opened again when it is there")
  mutating func takenAway() throws {
    let indexes = device.indexes
    effects.broken = ["u0"]
    state.removeNIC("0000:04:00.0")
    #expect(device.isUp && effects.take().isEmpty)
    state.removeNIC("0000:03:00.0")
    #expect(effects.count(.close("underlay.tap u0")) == 2 && adjacencies.isEmpty)
    #expect(effects.lines.take().contains { $0.contains("the NIC 0000:03:00.0 was taken away") })
    #expect(indexes.allSatisfy { !state.model.ports[Int($0)].isAttached } && state.model.receiveQueues.joined().isEmpty)
    state.removeNIC("0000:03:00.0")
    state.retryUnderlay()
    #expect(device.device == nil && device.fault != nil)
    effects.broken = []
    state.retryUnderlay()
    state.settle()
    #expect(device.isUp && device.indexes == indexes && adjacencies.count == 1)
  }

  @Test("with the tap the NIC is closed, and both are opened again")
  mutating func deleted() throws {
    let indexes = device.indexes
    state.removeUnderlayLink(index: device.link?.index ?? 0)
    state.settle()
    #expect(effects.count(.close("underlay.tap u0")) == 2)
    #expect(indexes.allSatisfy { !state.model.ports[Int($0)].isAttached } && state.model.receiveQueues.joined().isEmpty)
    effects.broken = ["u0"]
    state.retryUnderlay()
    #expect(device.fault != nil && device.device == nil)
    effects.broken = []
    state.retryUnderlay()
    state.settle()
    #expect(device.isUp && device.fault == nil && device.indexes == indexes && entries.map(\.kind) == [.ethdev, .tap])
  }

  @Test(
    "a NIC or tap that is in use is not paired anew",
    arguments: [(["0000:04:00.0"], ["u0"]), (["0000:03:00.0"], ["u1"]), (["0000:03:00.0,x=1"], ["u0"]), ([], ["u0"])])
  mutating func pairedAnew(_ nics: [String], _ devices: [String]) throws {
    var new = state.desired
    new.underlay = Self.underlay(nics, devices)
    let error = #expect(throws: VTEPError.self) { try state.apply(new) }
    #expect(error?.remedy == "restart vtepd" && error?.kind == .refused, "\(String(describing: error))")
    #expect(state.running.underlay.nics == ["0000:03:00.0"] && device.isUp && effects.count(.close("underlay.tap u0")) == 0)
  }

  @Test("another uplink comes beside it, or takes its place")
  mutating func another() throws {
    var new = state.desired
    new.underlay = Self.underlay(["0000:03:00.0", "0000:04:00.0"], ["u0", "u1"])
    try state.apply(new)
    #expect(state.underlay.devices.map(\.name) == ["u0", "u1"] && effects.count(.close("underlay.tap u0")) == 0)
    new.underlay = Self.underlay(["0000:04:00.0"], ["u1"])
    try state.apply(new)
    #expect(state.underlay.devices.map(\.name) == ["u1"] && effects.count(.close("underlay.tap u0")) == 2)
    new.underlay = Self.underlay([], ["eth0"])
    try state.apply(new)
    #expect(state.underlay.devices.map(\.devargs) == [nil] && effects.count(.close("underlay.tap u1")) == 2)
  }
}
