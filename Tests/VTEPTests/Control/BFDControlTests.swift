// What BFD's news do to flood sets and service nodes, and which sessions there are: without threads or devices.

import Encap
import MACTable
import Netlink
import Testing

@testable import VTEP

@Suite("BFD and flood sets")
struct BFDControlTests {
  private let effects: RecordedEffects
  private var state: ControlState
  private let vni = VNI(truncating: 5)

  private func peer(_ number: Int) -> IPAddress { IPAddress(ipv4: 0xc000_0300 | UInt32(number)) }

  init() throws {
    effects = try RecordedEffects()
    var underlay = UnderlaySettings(addresses: [IPAddress(ipv4: 0xc000_0201)], devices: ["u0"])
    underlay.bfd = UnderlayBFD()
    state = ControlState(underlay, workers: 1, effects: effects)
    try state.attachUnderlay(underlay)
    try state.apply(DesiredState(underlay: underlay))
    state.hasStarted = true
  }

  private mutating func change(_ edit: (inout DesiredState) -> Void) throws {
    var new = state.desired
    edit(&new)
    try state.apply(new)
  }

  private mutating func tell(_ address: IPAddress, _ old: BFDState, _ new: BFDState, hasFailed: Bool = false) {
    state.heed([
      BFDService.Change(
        address: address, health: BFDHealth(isForwarding: new == .up, hasFailed: hasFailed), old: old, new: new,
        diagnostic: .detectionTimeExpired)
    ])
    state.settle()
  }

  private var flooded: [IPAddress] {
    state.domains[vni].map { state.model.domains[Int($0.index)].flood.map { state.model.vteps[Int($0)].entry.address } } ?? []
  }

  @Test("a VTEP that is lost leaves the flood set, and comes back; one that was never up stays")
  mutating func floodSet() throws {
    try change { [vni, peers = [peer(1), peer(2)]] in $0.vnis[vni] = VNISettings(vni: vni, flood: .replicate(peers: peers)) }
    #expect(Set(effects.bfdTargets.keys) == [peer(1), peer(2)])
    #expect(state.model.vteps.filter(\.entry.hasBFD).count == 2)
    #expect(flooded == [peer(1), peer(2)])
    tell(peer(1), .down, .up)
    tell(peer(1), .up, .down, hasFailed: true)
    #expect(flooded == [peer(2)])
    tell(peer(1), .down, .up)
    #expect(flooded == [peer(1), peer(2)])
    // Without BFD nothing counts as lost.
    tell(peer(2), .up, .down, hasFailed: true)
    #expect(flooded == [peer(1)])
    try change { $0.underlay.bfd = nil }
    state.settle()
    #expect(effects.bfdTargets.isEmpty && flooded == [peer(1), peer(2)])
    #expect(state.model.vteps.filter(\.entry.hasBFD).isEmpty)
  }

  @Test("chosen VTEPs only; a group has no session")
  mutating func chosen() throws {
    try change { [vni, chosen = peer(2), peers = [peer(1), peer(2)]] in
      $0.underlay.bfd?.vteps = [chosen]
      $0.vnis[vni] = VNISettings(vni: vni, flood: .replicate(peers: peers))
      $0.vnis[VNI(truncating: 6)] = VNISettings(vni: VNI(truncating: 6), flood: .multicast(group: IPAddress(ipv4: 0xef01_0101)))
    }
    #expect(Set(effects.bfdTargets.keys) == [peer(2)])
  }

  @Test("a service node that is lost is left for another, and one that is up is preferred to one that BFD knows nothing of")
  mutating func serviceNodes() throws {
    var layer = ControllerLayer()
    var settings = LogicalSwitchSettings(name: "ls0")
    settings.flood = [peer(1), peer(2), peer(3)].map { TunnelDestination($0) }
    layer.switches[vni] = settings
    for number in 1...2 { layer.bfd[peer(number)] = BFDSettings() }
    try change { $0.underlay.bfd = nil }
    state.follow(layer)
    #expect(Set(effects.bfdTargets.keys) == [peer(1), peer(2)])
    for number in 1...3 { resolve(peer(number)) }
    #expect(flooded == [peer(1)])
    tell(peer(2), .down, .up)
    #expect(flooded == [peer(2)])
    tell(peer(1), .down, .up)
    #expect(flooded == [peer(1)])
    tell(peer(1), .up, .down, hasFailed: true)
    #expect(flooded == [peer(2)])
    tell(peer(2), .up, .down, hasFailed: true)
    // The third is not lost, as far as anybody knows.
    #expect(flooded == [peer(3)])
  }

  private mutating func resolve(_ address: IPAddress) {
    let mac = MACAddress(bits: 0x0200_0000_0000 | UInt64(address.ipv4 & 0xff))
    if state.update(Neighbor(interfaceIndex: 1, address: address, mac: mac, state: .reachable)) { state.stale.adjacencies = true }
    state.settle()
  }

  @Test("a Tunnel row with BFD makes a VTEP of its own, which goes with the row")
  mutating func tunnels() throws {
    try change { $0.underlay.bfd = nil }
    var layer = ControllerLayer()
    layer.bfd[peer(9)] = BFDSettings()
    state.follow(layer)
    #expect(Array(effects.bfdTargets.keys) == [peer(9)])
    layer.bfd = [:]
    state.follow(layer)
    #expect(effects.bfdTargets.isEmpty)
    effects.nowSeconds += 100
    state.forgetIdleVTEPs()
    state.settle()
    #expect(state.underlay.vteps[peer(9)] == nil)
  }
}
