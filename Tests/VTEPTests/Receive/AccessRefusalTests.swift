// Frames of guests that go nowhere, each for the one reason that the table below names.

import Encap
import Testing

@testable import VTEP

/// A frame that is dropped on the way in.
struct RefusedFrame: CustomTestStringConvertible, Sendable {
  var name: String
  var reason: DropReason
  /// As the port carries it.
  var bytes: Frame

  var testDescription: String { name }

  private static let one = Topology.guest(1)
  private static let two = Topology.guest(2)
  private static let good = Frame.udp(from: one, to: two)

  /// On a port with an untagged binding only.
  static let untagged: [RefusedFrame] = [
    RefusedFrame(name: "no octet", reason: .runtFrame, bytes: []),
    RefusedFrame(name: "13 octets", reason: .runtFrame, bytes: Array(good[..<13])),
    RefusedFrame(name: "tag cut off", reason: .runtFrame, bytes: Array(good.tagged(100)[..<14])),
    RefusedFrame(name: "tag cut in its last octet", reason: .runtFrame, bytes: Array(good.tagged(100)[..<17])),
    RefusedFrame(
      name: "group source", reason: .sourceMulticast, bytes: .udp(from: MACAddress(bits: 0x0100_5e00_0001), to: two)),
    RefusedFrame(name: "broadcast source", reason: .sourceMulticast, bytes: .udp(from: .broadcast, to: two)),
    RefusedFrame(name: "zero source", reason: .sourceZero, bytes: .udp(from: .zero, to: two)),
    RefusedFrame(
      name: "spanning tree", reason: .linkLocalControl, bytes: .udp(from: one, to: MACAddress(bits: 0x0180_c200_0000))),
    RefusedFrame(
      name: "LLDP", reason: .linkLocalControl, bytes: .udp(from: one, to: MACAddress(bits: 0x0180_c200_000e))),
    RefusedFrame(
      name: "LLDP, tagged", reason: .linkLocalControl,
      bytes: Frame.udp(from: one, to: MACAddress(bits: 0x0180_c200_000e)).tagged(100)),
    RefusedFrame(name: "VLAN 100", reason: .vlanNotBound, bytes: good.tagged(100)),
    RefusedFrame(name: "VLAN 4095", reason: .vlanReserved, bytes: good.tagged(4095)),
    RefusedFrame(name: "service VLAN", reason: .vlanNotBound, bytes: good.tagged(100, tpid: 0x88a8)),
    RefusedFrame(name: "tag behind a priority tag", reason: .innerVLAN, bytes: good.tagged(100).tagged(0, priority: 5)),
    RefusedFrame(
      name: "cut tag behind a priority tag", reason: .runtFrame, bytes: Array(good.tagged(100).tagged(0)[..<18])),
  ]

  /// On a port with a binding of VLAN 100 only.
  static let tagged: [RefusedFrame] = [
    RefusedFrame(name: "untagged", reason: .untaggedNotBound, bytes: good),
    RefusedFrame(name: "priority tag", reason: .untaggedNotBound, bytes: good.tagged(0, priority: 7)),
    RefusedFrame(name: "VLAN 101", reason: .vlanNotBound, bytes: good.tagged(101)),
    RefusedFrame(name: "VLAN 4095", reason: .vlanReserved, bytes: good.tagged(4095)),
    RefusedFrame(name: "two tags", reason: .innerVLAN, bytes: good.tagged(7).tagged(100)),
    RefusedFrame(name: "two tags, service tag inside", reason: .innerVLAN, bytes: good.tagged(7, tpid: 0x88a8).tagged(100)),
    RefusedFrame(name: "second tag cut off", reason: .runtFrame, bytes: Array(good.tagged(7).tagged(100)[..<18])),
    RefusedFrame(name: "second tag cut in its last octet", reason: .runtFrame, bytes: Array(good.tagged(7).tagged(100)[..<21])),
    RefusedFrame(name: "zero source, tagged", reason: .sourceZero, bytes: Frame.udp(from: .zero, to: two).tagged(100)),
  ]
}

extension DataplaneTests {
  @Suite("Access: refused frames")
  struct AccessRefusalTests {
    @Test("on an untagged binding", arguments: RefusedFrame.untagged)
    func untagged(_ refused: RefusedFrame) throws { try check(refused, .untagged) }

    @Test("on a tagged binding", arguments: RefusedFrame.tagged)
    func tagged(_ refused: RefusedFrame) throws { try check(refused, .tagged) }

    /// The bad frame stands between good ones, which must not suffer.
    private func check(_ refused: RefusedFrame, _ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment) { plane in
        let good = Frame.udp(from: Topology.guest(1), to: Topology.guest(3))
        plane.send(good, from: .vm1)
        plane.sendRaw(refused.bytes, at: .vm1)
        plane.send(good, from: .vm1)
        plane.expect(local: [.vm3: [good, good]], drops: [.vm1: [refused.reason: 1]])
      }
    }

    @Test("a burst of nothing but bad frames")
    func allBad() throws {
      try DataplaneFixture.run { plane in
        for _ in 0..<3 {
          for refused in RefusedFrame.untagged { plane.sendRaw(refused.bytes, at: .vm1) }
        }
        let reasons = Dictionary(grouping: RefusedFrame.untagged, by: \.reason).mapValues { $0.count * 3 }
        plane.expect(drops: [.vm1: reasons])
      }
    }

    @Test("the address after the reserved block is relayed")
    func notReserved() throws {
      try DataplaneFixture.run { plane in
        plane.changeDomain { $0.flood = [] }
        let frame = Frame.udp(from: Topology.guest(1), to: MACAddress(bits: 0x0180_c200_0010))
        plane.send(frame, from: .vm1)
        plane.expect(local: [.vm2: [frame], .vm3: [frame]])
      }
    }
  }
}
