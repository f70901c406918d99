// Mbuf+Virtio: the virtio-net header that stands before a frame on packet sockets and taps (virtio 1.3, section 5.1.6), and the
// same thing in the buffer's own fields, where the walk and all other drivers keep it.

import CDPDK
import Encap

extension cdpdk_virtio_header {
  /// Bits of `flags`.
  static var needsChecksum: UInt8 { 1 }
  static var isChecked: UInt8 { 2 }
  /// Values of `segmentation`, without `congestion`.
  static var tcpIPv4: UInt8 { 1 }
  static var fragments: UInt8 { 3 }
  static var tcpIPv6: UInt8 { 4 }
  static var udp: UInt8 { 5 }
  /// The TCP segment has CWR set: only the first piece keeps it (RFC 3168 section 6.1.2).
  static var congestion: UInt8 { 0x80 }

  /// For a train of datagrams (`DatagramTrain`).
  ///
  /// - Parameters:
  ///   - headerByteCount: octets of the headers that the datagrams share.
  ///   - datagramByteCount: octets behind the UDP header of each but the last.
  init(trainBehind headerByteCount: Int, datagramByteCount: Int) {
    self.init()
    flags = Self.needsChecksum
    segmentation = Self.udp
    header_length = UInt16(truncatingIfNeeded: headerByteCount)
    segment_size = UInt16(truncatingIfNeeded: datagramByteCount)
    checksum_start = UInt16(truncatingIfNeeded: headerByteCount &- 8)
    checksum_offset = 6
  }

  /// Kind of the segments that the frame is to be cut into; 0: the frame stays whole.
  var kind: UInt8 { segmentation & ~Self.congestion }
}

extension Mbuf {
  /// Notes what the kernel says about a received frame, in the form in which a guest's driver says it.
  ///
  /// - Parameter insertedByteCount: octets of a tag that was put back, which the kernel does not count.
  @inline(always)
  func note(_ header: cdpdk_virtio_header, insertedByteCount: UInt16 = 0) {
    guard header.flags != 0 || header.segmentation != 0 else { return }
    noteRequest(header, insertedByteCount)
  }

  @inline(never)
  private func noteRequest(_ header: cdpdk_virtio_header, _ insertedByteCount: UInt16) {
    let isUnfinished = header.flags & cdpdk_virtio_header.needsChecksum != 0
    cdpdk_mbuf_set_received(raw, isUnfinished ? 1 : 0, header.kind != 0 ? 1 : 0, header.segment_size, 0)
    // Fragments, which no kernel since Linux 4.14 asks for, are not datagrams: without a place they are refused.
    if isUnfinished && header.kind != cdpdk_virtio_header.fragments {
      cdpdk_mbuf_note_checksum(raw, header.checksum_start &+ insertedByteCount, header.checksum_offset)
    }
    if header.flags & cdpdk_virtio_header.isChecked != 0 { cdpdk_mbuf_trust_outer(raw) }
  }

  /// The kernel has said something about a received packet (`note`).
  var hasKernelNotes: Bool {
    cdpdk_mbuf_is_large_segment(raw) != 0 || cdpdk_mbuf_checksum_is_unfinished(raw) != 0 || cdpdk_mbuf_is_outer_trusted(raw) != 0
  }

  /// The header to send the frame with.
  var virtioHeader: cdpdk_virtio_header {
    guard hasRequest else { return cdpdk_virtio_header() }
    let request = request
    var header = cdpdk_virtio_header()
    header.flags = cdpdk_virtio_header.needsChecksum
    header.checksum_start = UInt16(truncatingIfNeeded: request.transportOffset)
    header.checksum_offset = UInt16(truncatingIfNeeded: request.checksumOffset &- request.transportOffset)
    guard request.segmentByteCount != 0 else { return header }
    header.header_length = UInt16(truncatingIfNeeded: request.headerByteCount)
    header.segment_size = UInt16(truncatingIfNeeded: request.segmentByteCount)
    if request.isUDP {
      header.segmentation = cdpdk_virtio_header.udp
    } else {
      header.segmentation = request.isIPv6 ? cdpdk_virtio_header.tcpIPv6 : cdpdk_virtio_header.tcpIPv4
      let flags = start.load(fromByteOffset: request.transportOffset &+ 13, as: UInt8.self)
      if flags & 0x80 != 0 { header.segmentation |= cdpdk_virtio_header.congestion }
    }
    return header
  }
}
