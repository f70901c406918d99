// Random frames of guests and packets of VTEPs: everyday ones, rare ones, and broken ones.

import Encap
import MACTable

@testable import VTEP

enum RandomFrame {
  /// A group that a controller may have placed.
  static let placedGroup = MACAddress(bits: 0x0100_5e00_0042)

  static func port(_ random: inout SeededRandom) -> Place { [.vm1, .vm1, .vm2, .vm3].randomElement(using: &random)! }

  /// As it is on the wire of a port.
  static func frame(_ plane: DataplaneFixture, _ random: inout SeededRandom) -> [UInt8] {
    var frame = inner(&random)
    let chance = Int.random(in: 0..<100, using: &random)
    if plane.attachment == .tagged, chance < 85, frame.count >= 14 {
      frame = frame.tagged(
        [100, 100, 100, 200].randomElement(using: &random)!, priority: [0, 0, 5].randomElement(using: &random)!,
        tpid: [0x8100, 0x8100, 0x8100, 0x88a8].randomElement(using: &random)!)
    } else if chance > 90, frame.count >= 14 {
      frame = frame.tagged([0, 7, 100, 300, 4095].randomElement(using: &random)!, priority: UInt8.random(in: 0...7, using: &random))
    }
    return damaged(frame, &random)
  }

  private static func source(_ random: inout SeededRandom) -> MACAddress {
    switch Int.random(in: 0..<40, using: &random) {
    case 0: .zero
    case 1: Topology.guest(1 | 1 << 40)
    default: Topology.guest([1, 1, 1, 2, 3, 4, 5, 6, 7, 21, 24].randomElement(using: &random)!)
    }
  }

  private static func destination(_ random: inout SeededRandom) -> MACAddress {
    switch Int.random(in: 0..<30, using: &random) {
    case 0: MACAddress(bits: 0x0180_c200_0000 | UInt64.random(in: 0...15, using: &random))
    case 1: .broadcast
    case 2: placedGroup
    case 3: MACAddress(bits: 0x0100_5e00_0001)
    case 4: LoopProbe.destination
    case 5: MACAddress(bits: 0x0100_0ccc_cccd)
    default: Topology.guest([1, 2, 3, 4, 5, 6, 21, 21, 21, 22, 24, 77].randomElement(using: &random)!)
    }
  }

  /// Untagged.
  private static func inner(_ random: inout SeededRandom) -> [UInt8] {
    let (source, destination) = (source(&random), destination(&random))
    let flow = FlowFields(
      sourcePort: .random(in: 0...999, using: &random), trafficClass: [0, 0, 1, 2, 3, 0xb8, 0x21].randomElement(using: &random)!,
      hopLimit: [1, 17, 64].randomElement(using: &random)!)
    let byteCount = [60, 64, 98, 590, 610, 660, 1450, 1514, 1565, 1700, 2500].randomElement(using: &random)!
    switch Int.random(in: 0..<14, using: &random) {
    case 0: return .udp6(from: source, to: destination, flow, byteCount: max(byteCount, 98))
    case 1: return .arpRequest(from: source, target: 9)
    case 2:
      return .ethernet(from: source, to: destination, type: 0x88b5, [UInt8](repeating: 3, count: Int.random(in: 0...50, using: &random)))
    case 3: return .ethernet(from: source, to: destination, type: 38, [0x42, 0x42, 3] + [UInt8](repeating: 0, count: 43))
    case 4: return TCPFrame(from: source, to: destination, byteCount: max(byteCount - 66, 0)).bytes(finished: true)
    case 5: return .ethernet(from: source, to: destination, type: 0x8808, [UInt8](repeating: 1, count: 46))
    default: return .udp(from: source, to: destination, flow, byteCount: byteCount)
    }
  }

  /// As it is on the wire of an uplink.
  static func packet(_ plane: DataplaneFixture, _ random: inout SeededRandom) -> [UInt8] {
    var inner = inner(&random)
    if Int.random(in: 0..<10, using: &random) == 0, inner.count >= 14 { inner = inner.tagged([0, 5, 100].randomElement(using: &random)!) }
    if inner.count > 1850 { inner = Array(inner.prefix(1850)) }
    var packet = plane.packet(from: [Topology.near, Topology.near, Topology.far].randomElement(using: &random)!, carrying: inner)
    switch Int.random(in: 0..<40, using: &random) {
    case 0: packet.vni = 77
    case 1: packet.vni = Topology.otherVNI.rawValue
    case 2: packet.paddingByteCount = 5
    case 3: packet.udpChecksum = .correct
    case 4: packet.udpChecksum = .wrong
    case 5: packet.udpChecksum = .zero
    case 6: packet.flags = 0
    case 7: packet.reserved = 0xff
    case 8: packet.source = Topology.address(99, plane.family)
    case 9: packet.source = Topology.ownAddress(plane.family)
    case 10: packet.destination = Topology.address(98, plane.family)
    case 11, 12:
      packet.destination = Topology.groupAddress(plane.family)
      packet.destinationMAC = Topology.nextHop(Topology.group, plane.family)
    case 13: packet.destinationPort = 53
    case 14: packet.destinationMAC = MACAddress(bits: 0x0200_0000_aaff)
    case 15, 16: packet.trafficClass = [3, 1, 0xb8, 0xff].randomElement(using: &random)!
    default: break
    }
    var octets = packet.bytes
    if Int.random(in: 0..<30, using: &random) == 0 { octets = octets.tagged([0, 9].randomElement(using: &random)!) }
    return damaged(octets, &random)
  }

  /// Now and then cut, or with an octet changed.
  private static func damaged(_ frame: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
    switch Int.random(in: 0..<25, using: &random) {
    case 0: return Array(frame.prefix(Int.random(in: 1...min(frame.count, 90), using: &random)))
    case 1:
      var frame = frame
      let position = Int.random(in: 0..<min(frame.count, 90), using: &random)
      frame[position] = UInt8.random(in: 0...255, using: &random)
      return frame
    default: return frame
    }
  }
}
