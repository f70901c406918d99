// What a router's report does to a VTEP's MTU, and for how long; reports that are none do nothing. Interface: 1500.

import Encap
import MACTable
import Netlink
import Testing

@testable import VTEP

@Suite("Path MTU")
struct PathMTUTests {
  private let effects: RecordedEffects
  private var state: ControlState
  private let own = IPAddress(ipv4: 0xc000_0201)
  private let peers = [IPAddress(ipv4: 0xc000_0301), IPAddress(ipv4: 0xc000_0302)]
  private let group = IPAddress(ipv4: 0xef01_0101)
  private let router = IPAddress(ipv4: 0xc633_6401)

  init() throws {
    effects = try RecordedEffects()
    let underlay = UnderlaySettings(addresses: [own], devices: ["u0"])
    state = ControlState(underlay, workers: 1, effects: effects)
    try state.attachUnderlay(underlay)
    var new = state.desired
    new.vnis[VNI(truncating: 5)] = VNISettings(vni: VNI(truncating: 5), flood: .replicate(peers: peers))
    new.vnis[VNI(truncating: 6)] = VNISettings(vni: VNI(truncating: 6), flood: .multicast(group: group))
    try state.apply(new)
    _ = effects.take()
    _ = effects.lines.take()
  }

  private func report(
    _ mtu: Int, about destination: IPAddress? = nil, from source: IPAddress? = nil, port: UInt16 = 4789
  ) -> PathMTUReport? {
    let (source, destination) = (source ?? own, destination ?? peers[0])
    var quote: [UInt8] = [0x45, 0, 0x23, 0x28, 0, 0, 0x40, 0, 63, 17, 0, 0] + source.bytes + destination.bytes
    quote += [0xc3, 0x50, UInt8(port >> 8), UInt8(port & 0xff), 0, 0, 0, 0]
    var message: [UInt8] = [3, 4, 0, 0, 0, 0, UInt8(mtu >> 8), UInt8(mtu & 0xff)] + quote
    message.replaceSubrange(2..<4, with: [UInt8].big16(message.internetChecksum))
    let packet = [0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0] + router.bytes + own.bytes + message
    return packet.withUnsafeBytes { PathMTUReport(ipv4: $0.bytes) }
  }

  private func mtu(_ address: IPAddress) -> Int? {
    state.underlay.vteps[address].flatMap { record in
      state.model.vteps[Int(record.index)].adjacencies.map { Int($0.maxInnerByteCount) + $0.header.byteCount - 14 }.min()
    }
  }

  private mutating func heed(_ report: PathMTUReport?) throws {
    state.heed(try #require(report))
    state.settle()
  }

  @Test("a report lowers the MTU of its VTEP only, once, and for its time")
  mutating func lowers() throws {
    #expect(mtu(peers[0]) == 1500)
    try heed(report(1400))
    #expect(mtu(peers[0]) == 1400 && mtu(peers[1]) == 1500)
    #expect(effects.take().filter { $0 == .publish }.count == 1)
    #expect(effects.lines.take() == ["VTEP 192.0.3.1: path MTU 1400, reported by 198.51.100.1; for 600 s"])
    // Again: it holds longer, and that is all.
    effects.nowSeconds += 599
    try heed(report(1400))
    #expect(effects.take().isEmpty && effects.lines.take().isEmpty)
    effects.nowSeconds += 599
    state.expirePathMTUs()
    #expect(state.stale.isEmpty && mtu(peers[0]) == 1400)
    // A smaller link behind it.
    try heed(report(1300))
    #expect(mtu(peers[0]) == 1300 && effects.lines.take().count == 1)
    effects.nowSeconds += 600
    state.expirePathMTUs()
    state.settle()
    #expect(mtu(peers[0]) == 1500 && state.underlay.pathMTUs.isEmpty)
  }

  @Test("nothing raises the MTU, and nothing but one of our packets to a VTEP lowers it")
  mutating func ignored() throws {
    for mtu in [1500, 1501, 8999] { try heed(report(mtu)) }
    try heed(report(1400, about: IPAddress(ipv4: 0xc000_0399)))
    try heed(report(1400, about: group))
    try heed(report(1400, from: peers[1]))
    try heed(report(1400, port: 4790))
    #expect(effects.take().isEmpty && effects.lines.take().isEmpty && state.underlay.pathMTUs.isEmpty)
    try heed(report(1400))
    try heed(report(1450))
    #expect(mtu(peers[0]) == 1400 && state.underlay.pathMTUs.count == 1)
  }

  @Test("the route's MTU and the report's: the smaller one; another route is another path")
  mutating func routes() throws {
    effects.routeMTU = 1420
    state.stale.routes = true
    state.settle()
    #expect(mtu(peers[0]) == 1420)
    try heed(report(1450))
    #expect(state.underlay.pathMTUs.isEmpty)
    try heed(report(1400))
    #expect(mtu(peers[0]) == 1400)
    state.stale.routes = true
    state.settle()
    #expect(mtu(peers[0]) == 1400)
    effects.routeMTU = 1480
    state.stale.routes = true
    state.settle()
    #expect(mtu(peers[0]) == 1480 && state.underlay.pathMTUs.isEmpty)
  }
}
