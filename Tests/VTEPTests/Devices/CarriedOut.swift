// What a NIC makes of a packet with a request, written from DPDK's description of the packet's fields (rte_mbuf_core.h).

import CDPDK
import Encap

@testable import VTEP

extension Mbuf {
  /// The packets that go out. Consumes the buffer.
  ///
  /// Inside a tunnel that the request names, the NIC writes outer lengths and IPv4 checksum, and leaves the UDP checksum alone.
  ///
  /// - Returns: none: the request names another tunnel than the packet has.
  func carriedOut(pool: OpaquePointer) -> [[UInt8]] {
    guard hasRequest else {
      defer { free() }
      return [MemoryPort.bytes(of: raw)]
    }
    let network = request.isTunnelled ? Int(cdpdk_mbuf_outer_l3(raw)) : 0
    if network != 0 {
      let isIPv6 = network == 40
      let type: [UInt8] = isIPv6 ? [0x86, 0xdd] : [0x08, 0x00]
      let flags = cdpdk_vxlan_flags(isIPv6 ? 1 : 0)
      guard cdpdk_mbuf_flags(raw) & flags == flags, cdpdk_mbuf_outer_l2(raw) == 14, Array(MemoryPort.bytes(of: raw)[12..<14]) == type else {
        free()
        return []
      }
      var whole = request
      whole.linkByteCount += 14 + network
      whole.isTunnelled = false
      request = whole
    }
    return finished(pool: pool).map { network == 0 ? $0 : Self.outerWritten($0, network) }
  }

  private func finished(pool: OpaquePointer) -> [[UInt8]] {
    guard wantsSegments else {
      guard let finished = finishingChecksum(pool: pool) else { return [] }
      defer { finished.free() }
      return [MemoryPort.bytes(of: finished.raw)]
    }
    defer { free() }
    var segmenter = Segmenter(self, pool: pool)
    var packets: [[UInt8]] = []
    while !segmenter.isAtEnd, let segment = segmenter.next() {
      packets.append(MemoryPort.bytes(of: segment.raw))
      segment.free()
    }
    return packets
  }

  private static func outerWritten(_ packet: [UInt8], _ network: Int) -> [UInt8] {
    var packet = packet
    let datagram = [UInt8].big16(UInt16(packet.count - 14 - network))
    packet.replaceSubrange(14 + network + 4..<14 + network + 6, with: datagram)
    if network == 40 {
      packet.replaceSubrange(18..<20, with: datagram)
    } else {
      packet.replaceSubrange(16..<18, with: [UInt8].big16(UInt16(packet.count - 14)))
      packet.replaceSubrange(24..<26, with: [0, 0])
      packet.replaceSubrange(24..<26, with: [UInt8].big16(Array(packet[14..<34]).internetChecksum))
    }
    return packet
  }
}
