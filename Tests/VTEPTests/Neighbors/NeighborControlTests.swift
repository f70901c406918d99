// What the operator and the controller say of IP addresses reaches the neighbour table, and leaves it with its cause.

import Encap
import MACTable
import Testing

@testable import VTEP

@Suite("Neighbours, control side")
struct NeighborControlTests {
  private let effects: RecordedEffects
  private var state: ControlState
  private let vni = VNI(truncating: 5000)
  private let fileVNI = VNI(truncating: 7)
  private let here = TunnelDestination(IPAddress(ipv4: 0xc000_0302))

  init() throws {
    effects = try RecordedEffects()
    var desired = DesiredState(underlay: UnderlaySettings(addresses: [IPAddress(ipv4: 0xc000_0201)], devices: ["u0"]))
    state = ControlState(desired.underlay, workers: 1, effects: effects)
    try state.attachUnderlay(desired.underlay)
    desired.hasController = true
    try state.apply(desired)
    state.hasStarted = true
  }

  private func mac(_ number: UInt64) -> MACAddress { MACAddress(bits: 0x0200_0000_0000 + number) }
  private func ip(_ number: UInt32) -> IPAddress { IPAddress(ipv4: 0x0a00_0000 + number) }

  private func found(_ vni: VNI, _ address: IPAddress) -> InnerNeighbor? {
    state.domains[vni].flatMap { effects.neighborTable?.reader.find($0.index, address) }
  }

  private func address(_ number: UInt64, _ addresses: [UInt32], isGone: Bool = false) -> ControllerEdit.Address {
    .init(vni: vni, mac: mac(number), destination: isGone ? nil : here, addresses: addresses.map(ip))
  }

  private mutating func follow(_ names: [VNI: String], _ addresses: [ControllerEdit.Address] = []) {
    var layer = ControllerLayer()
    for (vni, name) in names { layer.switches[vni] = LogicalSwitchSettings(name: name) }
    state.follow(layer)
    state.enter(ControllerEdit(addresses: addresses))
  }

  @Test mutating func whatTheFileSays() throws {
    var desired = state.desired
    desired.vnis[fileVNI] = VNISettings(vni: fileVNI, flood: .none)
    desired.vnis[fileVNI]?.macs = [mac(1): here.address]
    desired.vnis[fileVNI]?.neighbors = [ip(1): mac(1), ip(2): mac(1)]
    try state.apply(desired)
    #expect(found(fileVNI, ip(1))?.mac == mac(1) && found(fileVNI, ip(2))?.sources == .file)
    let index = Int(try #require(state.domains[fileVNI]).index)
    #expect(!state.model.domains[index].entry.suppressesNeighbors)
    desired.vnis[fileVNI]?.neighbors = [ip(2): mac(1)]
    desired.vnis[fileVNI]?.neighborSuppression = .known
    try state.apply(desired)
    #expect(found(fileVNI, ip(1)) == nil && found(fileVNI, ip(2)) != nil)
    #expect(state.model.domains[index].entry.suppressesNeighbors)
    desired.vnis[fileVNI] = nil
    try state.apply(desired)
    #expect(effects.neighborTable?.count == 0 && state.installedNeighbors.isEmpty)
    desired.vnis[fileVNI] = VNISettings(vni: fileVNI, flood: .none)
    // Of a station whose place is a port's, or learned.
    desired.vnis[fileVNI]?.neighbors = [ip(1): mac(9)]
    try state.apply(desired)
    #expect(found(fileVNI, ip(1))?.mac == mac(9))
    desired.vnis[fileVNI]?.neighbors = [ip(1): .broadcast]
    #expect(throws: VTEPError.self) { try state.apply(desired) }
  }

  @Test mutating func whatTheControllerSays() throws {
    follow([vni: "ls0"], [address(1, [1, 101]), address(2, [2])])
    #expect(found(vni, ip(1)) != nil && found(vni, ip(101))?.mac == mac(1) && found(vni, ip(2))?.isContested == false)
    // Two stations with one address: nobody can tell which one has it.
    follow([vni: "ls0"], [address(2, [1, 2])])
    #expect(found(vni, ip(1))?.isContested == true && found(vni, ip(2))?.isContested == false)
    follow([vni: "ls0"], [address(1, [101])])
    #expect(found(vni, ip(1))?.mac == mac(2) && found(vni, ip(1))?.isContested == false)
    // A station that is gone takes its addresses along, a logical switch all of them.
    follow([vni: "ls0"], [address(2, [], isGone: true)])
    #expect(found(vni, ip(1)) == nil && found(vni, ip(2)) == nil && found(vni, ip(101)) != nil)
    follow([vni: "other"], [address(3, [3])])
    #expect(found(vni, ip(101)) == nil && found(vni, ip(3))?.mac == mac(3))
    follow([:])
    #expect(effects.neighborTable?.count == 0 && state.controller.addressesOfStations.isEmpty)
    follow([vni: "ls0"])
    #expect(effects.neighborTable?.count == 0)
  }
}
