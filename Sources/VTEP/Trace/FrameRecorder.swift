// FrameRecorder: what a dry worker would send. In its view of the snapshot, every attached port has a device of the kind `recorder`; the
// batches that reach step E7 or D7 are noted here and freed. Plain memory: this stands behind a switch of the packet path.

import CDPDK
import Encap
import MACTable

/// The frames of one dry run, in the order in which they would leave.
struct FrameRecorder {
  /// Frames of which the octets are kept; further ones are counted.
  static let capacity = 64
  /// The longest frame: a segment of 64 KiB with outer headers.
  static let frameByteCount = 65_792

  struct Frame {
    var port: PortIndex
    var byteCount: Int
    /// A checksum or segments are left to the port.
    var hasRequest: Bool
  }

  private(set) var count = 0
  var router: RouterNote?
  private let frames: UnsafeMutablePointer<Frame>
  private let octets: UnsafeMutableRawPointer

  init() {
    frames = .allocate(capacity: Self.capacity)
    octets = .allocate(byteCount: Self.capacity * Self.frameByteCount, alignment: 64)
  }

  func deallocate() {
    frames.deallocate()
    octets.deallocate()
  }

  mutating func clear() {
    count = 0
    router = nil
  }

  mutating func add(_ mbuf: Mbuf, port: PortIndex) {
    defer { count &+= 1 }
    guard count < Self.capacity else { return }
    let start = octets + count &* Self.frameByteCount
    var used = 0
    var segment: OpaquePointer? = mbuf.raw
    while let raw = segment {
      let length = min(Int(cdpdk_mbuf_segment_length(raw)), Self.frameByteCount &- used)
      (start + used).copyMemory(from: cdpdk_mbuf_data(raw), byteCount: length)
      used &+= length
      segment = cdpdk_mbuf_next(raw)
    }
    frames[count] = Frame(port: port, byteCount: mbuf.byteCount, hasRequest: mbuf.hasRequest)
  }

  /// Those that were kept.
  var kept: [DryRun.Sent] {
    (0..<min(count, Self.capacity)).map { index in
      let frame = frames[index]
      let bytes = UnsafeRawBufferPointer(
        start: octets + index * Self.frameByteCount, count: min(frame.byteCount, Self.frameByteCount))
      return DryRun.Sent(port: frame.port, octets: Array(bytes), hasRequest: frame.hasRequest)
    }
  }
}

extension Worker {
  /// Notes a batch in place of sending it, and frees it. Only in a dry worker.
  @inline(never)
  mutating func record(_ batch: UnsafeMutablePointer<OpaquePointer?>, _ size: BatchSize, portIndex: PortIndex) -> BatchSize {
    if let recorder {
      for position in 0..<size.frames { recorder.pointee.add(Mbuf(batch[position].unsafelyUnwrapped), port: portIndex) }
    }
    cdpdk_mbuf_free_bulk(batch, UInt32(truncatingIfNeeded: size.frames))
    return size
  }
}
