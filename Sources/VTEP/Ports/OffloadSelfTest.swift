// OffloadSelfTest: frames that a NIC sends with requests are compared, octet by octet, with what workers make of the same requests.

import CDPDK
import Encap
import Glibc

/// Sends frames from one NIC to another, or to itself. No worker uses either.
struct OffloadSelfTest {
  let sender: EthernetDevice
  let receiver: EthernetDevice
  let pool: OpaquePointer
  /// Of VXLAN.
  let udpPort: UInt16
  /// Of both NICs, in bytes.
  private let mtu: Int
  /// Of the exchange: in the frames' source port.
  private var number: UInt16 = 0

  init(from sender: EthernetDevice, to receiver: EthernetDevice, pool: OpaquePointer, udpPort: UInt16) {
    (self.sender, self.receiver, self.pool, self.udpPort) = (sender, receiver, pool, udpPort)
    // Beyond 9,216 a large segment would not have three pieces.
    mtu = min(max([sender, receiver].compactMap(\.mtu).min() ?? 1500, 576), 9216)
  }

  /// A frame that came back.
  private struct Arrival {
    var octets: [UInt8]
    /// The NIC says that its checksum is right.
    var isRight: Bool
  }

  /// Whether frames arrive at all: tried for a second.
  mutating func reaches() -> Bool {
    for _ in 0..<5 {
      let frame = nextFrame(isUDP: true, isIPv6: false, payloadByteCount: 100)
      if let octets = inSoftware(frame).first, !exchange(octets, milliseconds: 200).isEmpty { return true }
    }
    return false
  }

  /// What does not work of `offloads`, and how that shows.
  mutating func failures(of offloads: Set<NICOffload>) -> [NICOffload: String] {
    var failures: [NICOffload: String] = [:]
    for offload in NICOffload.allCases where offloads.contains(offload) {
      for isIPv6 in [false, true] where failures[offload] == nil {
        failures[offload] = failure(of: offload, isIPv6: isIPv6).map { "over IPv\(isIPv6 ? 6 : 4), \($0)" }
      }
    }
    return failures
  }

  private mutating func failure(of offload: NICOffload, isIPv6: Bool) -> String? {
    switch offload {
    case .tcpChecksum: checksumFailure(isUDP: false, isIPv6: isIPv6)
    case .udpChecksum: checksumFailure(isUDP: true, isIPv6: isIPv6)
    case .segmentation: segmentationFailure(isIPv6: isIPv6)
    case .multiSegment: chainFailure(isIPv6: isIPv6)
    case .innerChecksum: innerFailure(isSegmented: false, isOuterIPv6: isIPv6)
    case .innerSegmentation: innerFailure(isSegmented: true, isOuterIPv6: isIPv6)
    case .receivedChecksum: verdictFailure(isIPv6: isIPv6)
    }
  }

  private mutating func checksumFailure(isUDP: Bool, isIPv6: Bool) -> String? {
    for payloadByteCount in [100, 333] {
      let frame = nextFrame(isUDP: isUDP, isIPv6: isIPv6, payloadByteCount: payloadByteCount)
      if let failure = difference(inSoftware(frame), exchange(frame)) { return failure }
    }
    guard isUDP else { return nil }
    // A datagram whose sum is 0 has the checksum 0xffff (RFC 768).
    var frame = nextFrame(isUDP: true, isIPv6: isIPv6, payloadByteCount: 100)
    guard let complete = inSoftware(frame).first else { return "no packet buffers" }
    let field = frame.request.checksumOffset
    frame.octets.replaceSubrange(frame.octets.count - 2..<frame.octets.count, with: complete[field..<field + 2])
    return difference(inSoftware(frame), exchange(frame)).map { "of a datagram whose sum is 0, \($0)" }
  }

  private mutating func segmentationFailure(isIPv6: Bool) -> String? {
    // Drivers have refused those that the MTU just allows.
    let longest = mtu - (isIPv6 ? 40 : 20) - 32
    for (segmentByteCount, count) in [(400, 7), (longest, 2)] {
      let frame = nextFrame(
        isUDP: false, isIPv6: isIPv6, payloadByteCount: count * segmentByteCount + 100, segmentByteCount: segmentByteCount)
      let expected = inSoftware(frame)
      if let failure = difference(expected, exchange(frame, count: expected.count)) { return failure }
    }
    return nil
  }

  private mutating func chainFailure(isIPv6: Bool) -> String? {
    guard let octets = inSoftware(nextFrame(isUDP: true, isIPv6: isIPv6, payloadByteCount: 900)).first else { return "no packet buffers" }
    return difference([octets], exchange(octets, buffers: [61, 333]))
  }

  /// Inside VXLAN, without and with an outer checksum.
  private mutating func innerFailure(isSegmented: Bool, isOuterIPv6: Bool) -> String? {
    for isIPv6 in [false, true] {
      for isUDP in isSegmented ? [false] : [false, true] {
        for computesUDPChecksum in [false, true] {
          let header = SelfTestFrame.outerHeader(
            from: sender.mac, to: receiver.mac, isIPv6: isOuterIPv6, udpPort: udpPort, computesUDPChecksum: computesUDPChecksum)
          let longest = mtu + 14 - header.byteCount - 14 - (isIPv6 ? 40 : 20) - 32
          let sizes = isSegmented ? [(7 * 400, 400), (3 * longest, longest)] : [(100, 0), (333, 0)]
          for (payloadByteCount, segmentByteCount) in sizes {
            let frame = nextFrame(
              isUDP: isUDP, isIPv6: isIPv6, payloadByteCount: payloadByteCount, segmentByteCount: segmentByteCount, isLast: !isSegmented)
            let expected = inSoftware(frame).compactMap { encapsulate($0, header) }
            let arrivals = exchange(frame, inside: header, count: expected.count)
            if let failure = difference(expected, arrivals, innerOffset: header.byteCount) {
              let kind = isSegmented ? "" : isUDP ? "UDP over " : "TCP over "
              return "of \(kind)IPv\(isIPv6 ? 6 : 4) inside\(computesUDPChecksum ? " with an outer checksum" : ""), \(failure)"
            }
          }
        }
      }
    }
    return nil
  }

  /// With packets of the kind for which workers rely on it.
  private mutating func verdictFailure(isIPv6: Bool) -> String? {
    for isBad in [false, true] {
      guard let inner = inSoftware(nextFrame(isUDP: false, isIPv6: false, payloadByteCount: 100)).first else { return "no packet buffers" }
      let frame = nextFrame(isUDP: true, isIPv6: isIPv6, payload: [8, 0, 0, 0, 0, 0, 1, 0] + inner, udpPort: udpPort)
      guard var octets = inSoftware(frame).first else { return "no packet buffers" }
      if isBad { octets[octets.count - 1] ^= 0x55 }
      let arrivals = exchange(octets)
      if let failure = difference([octets], arrivals) { return failure }
      if arrivals[0].isRight == isBad {
        return isBad ? "a wrong checksum passes for right" : "nothing is said about a right checksum"
      }
    }
    return nil
  }

  // -- frames -------------------------------------------------------------------------------------------------------------

  private mutating func nextFrame(
    isUDP: Bool, isIPv6: Bool, payloadByteCount: Int, segmentByteCount: Int = 0, isLast: Bool = true
  ) -> SelfTestFrame {
    nextFrame(
      isUDP: isUDP, isIPv6: isIPv6, payload: (0..<payloadByteCount).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ $0 >> 8 &+ 13) },
      segmentByteCount: segmentByteCount, isLast: isLast)
  }

  private mutating func nextFrame(
    isUDP: Bool, isIPv6: Bool, payload: [UInt8], udpPort: UInt16 = 9, segmentByteCount: Int = 0, isLast: Bool = true
  ) -> SelfTestFrame {
    number &+= 1
    return SelfTestFrame(
      from: sender.mac, to: receiver.mac, isUDP: isUDP, isIPv6: isIPv6, ports: (Self.firstPort &+ number, udpPort), payload: payload,
      segmentByteCount: segmentByteCount, isLast: isLast)
  }

  private static let firstPort: UInt16 = 49_152

  /// What workers make of the frame's request; empty: there are no packet buffers.
  private func inSoftware(_ frame: SelfTestFrame) -> [[UInt8]] {
    guard let mbuf = Mbuf(frame.octets, pool: pool) else { return [] }
    mbuf.request = frame.request
    guard mbuf.wantsSegments else {
      guard let finished = mbuf.finishingChecksum(pool: pool) else {
        mbuf.free()
        return []
      }
      defer { finished.free() }
      return [finished.octets]
    }
    defer { mbuf.free() }
    var segmenter = Segmenter(mbuf, pool: pool)
    var segments: [[UInt8]] = []
    while !segmenter.isAtEnd, let segment = segmenter.next() {
      segments.append(segment.octets)
      segment.free()
    }
    return segments
  }

  /// The flow of the last frame: with an outer source port by which it is known.
  private var flow: InnerFlow { InnerFlow(hash: UInt32((Self.firstPort &+ number).byteSwapped) << 16, trafficClass: 0, hopLimit: 0) }

  /// A complete frame inside VXLAN.
  private func encapsulate(_ inner: [UInt8], _ header: OuterHeader) -> [UInt8] {
    var octets = [UInt8](repeating: 0, count: header.byteCount) + inner
    octets.withUnsafeMutableBytes { bytes in
      let sum = InternetChecksum.partialSum(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(bytes)[header.byteCount...]))
      var start = MutableRawSpan(_unsafeBytes: bytes[..<header.byteCount])
      header.write(into: &start, innerByteCount: inner.count, innerSum: sum, vni: VNI(truncating: 0), flow: flow)
    }
    return octets
  }

  /// How what came back differs from what should have; nil: not at all.
  private func difference(_ expected: [[UInt8]], _ arrivals: [Arrival], innerOffset: Int? = nil) -> String? {
    if expected.isEmpty { return "no packet buffers" }
    if arrivals.isEmpty { return "nothing comes back" }
    let received = arrivals.map { SelfTestFrame.comparable($0.octets, innerOffset: innerOffset) }
    let wanted = expected.map { SelfTestFrame.comparable($0, innerOffset: innerOffset) }
    if received == wanted { return nil }
    if received.count != wanted.count { return "\(received.count) of \(wanted.count) packets come back" }
    guard let position = wanted.indices.first(where: { received[$0] != wanted[$0] }) else { return nil }
    guard received[position].count == wanted[position].count else {
      return "a packet has \(received[position].count) octets instead of \(wanted[position].count)"
    }
    let octet = wanted[position].indices.first { received[position][$0] != wanted[position][$0] } ?? 0
    return "octet \(octet) of a packet is wrong"
  }

  // -- exchange -----------------------------------------------------------------------------------------------------------

  private func exchange(_ frame: SelfTestFrame, count: Int = 1) -> [Arrival] {
    guard let mbuf = Mbuf(frame.octets, pool: pool) else { return [] }
    mbuf.request = frame.request
    guard cdpdk_mbuf_prepare(mbuf.raw, sender.portID) != 0 else {
      mbuf.free()
      return []
    }
    return exchange(mbuf, count: count)
  }

  /// As workers send it.
  private func exchange(_ frame: SelfTestFrame, inside header: OuterHeader, count: Int) -> [Arrival] {
    guard let mbuf = Mbuf(frame.octets, pool: pool) else { return [] }
    mbuf.request = frame.request
    let byteCount = mbuf.wireByteCount
    let sum = frame.request.finishedSum(mbuf.bytes, byteCount: byteCount)
    guard mbuf.prepending(header.byteCount, pool: pool, chains: false) != nil else {
      mbuf.free()
      return []
    }
    var start = MutableRawSpan(_unsafeStart: mbuf.start, byteCount: header.byteCount)
    header.write(into: &start, innerByteCount: byteCount, innerSum: sum, vni: VNI(truncating: 0), flow: flow)
    guard mbuf.leave(frame.request, behind: header, namesTunnels: sender.namesTunnels, to: sender.portID) else {
      mbuf.free()
      return []
    }
    return exchange(mbuf, count: count)
  }

  private func exchange(_ octets: [UInt8], buffers: [Int] = [], milliseconds: Int = 1000) -> [Arrival] {
    Mbuf(octets, buffers: buffers, pool: pool).map { exchange($0, count: 1, milliseconds: milliseconds) } ?? []
  }

  /// Sends a packet and waits for those that it becomes.
  private func exchange(_ mbuf: Mbuf, count: Int, milliseconds: Int = 1000) -> [Arrival] {
    var raw: OpaquePointer? = mbuf.raw
    guard cdpdk_tx_burst(sender.portID, 0, &raw, 1) == 1 else {
      mbuf.free()
      return []
    }
    var arrivals: [Arrival] = []
    let end = MonotonicClock.preciseSeconds() + Double(milliseconds) / 1000
    repeat {
      let before = arrivals.count
      for queue in 0..<receiver.queueCount { receive(queue: UInt16(queue), into: &arrivals) }
      // Drivers free what was sent, and some send it, with the next burst.
      if arrivals.count == before {
        _ = cdpdk_tx_burst(sender.portID, 0, &raw, 0)
        usleep(200)
      }
    } while arrivals.count < count && MonotonicClock.preciseSeconds() < end
    return arrivals
  }

  private func receive(queue: UInt16, into arrivals: inout [Arrival]) {
    withUnsafeTemporaryAllocation(of: OpaquePointer?.self, capacity: Limits.burst) { burst in
      guard let base = burst.baseAddress else { return }
      let count = Int(cdpdk_rx_burst(receiver.portID, queue, base, UInt16(Limits.burst)))
      for case let raw? in burst.prefix(count) {
        let octets = Mbuf(raw).octets
        if SelfTestFrame.matches(octets, from: sender.mac, to: receiver.mac, port: Self.firstPort &+ number) {
          arrivals.append(
            Arrival(octets: octets, isRight: cdpdk_mbuf_checksum_verdict(raw) == cdpdk_checksum_is_right()))
        }
        cdpdk_mbuf_free(raw)
      }
    }
  }
}

extension Mbuf {
  /// A packet in buffers of these sizes; what is left is in as few as possible. Nil: there are no buffers.
  fileprivate init?(_ octets: [UInt8], buffers: [Int] = [], pool: OpaquePointer) {
    var rest = octets[...]
    var sizes = buffers[...]
    var head: OpaquePointer?
    repeat {
      guard let buffer = cdpdk_mbuf_alloc(pool) else {
        if let head { cdpdk_mbuf_free(head) }
        return nil
      }
      let part = rest.prefix(min(sizes.popFirst() ?? .max, Int(cdpdk_mbuf_tailroom(buffer))))
      rest = rest.dropFirst(part.count)
      _ = part.withUnsafeBytes { bytes in
        bytes.baseAddress.map { cdpdk_mbuf_append(buffer, UInt16(bytes.count))?.copyMemory(from: $0, byteCount: bytes.count) }
      }
      if let head { _ = cdpdk_mbuf_chain(head, buffer) } else { head = buffer }
    } while !rest.isEmpty
    guard let head else { return nil }
    self.init(head)
  }

  fileprivate var octets: [UInt8] {
    var octets: [UInt8] = []
    var next: OpaquePointer? = raw
    while let segment = next {
      octets += UnsafeRawBufferPointer(start: cdpdk_mbuf_data(segment), count: Int(cdpdk_mbuf_segment_length(segment)))
      next = cdpdk_mbuf_next(segment)
    }
    return octets
  }
}
