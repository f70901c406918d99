// CaptureRing: captured frames on their way from one worker to whoever writes them down. Bounded: what does not fit is counted. One
// writer, which never waits, and one reader.

import CDPDK
import Encap
import Glibc
import MACTable
import Synchronization

/// Which way a captured frame went.
public enum CaptureDirection: UInt8, Sendable {
  case fromPort, toPort, fromUnderlay, toUnderlay, dropped
}

/// What stands in front of a captured frame's octets.
struct CaptureRecord {
  /// Of the whole frame.
  var byteCount: UInt32 = 0
  /// Of its octets that follow.
  var capturedCount: UInt32 = 0
  /// Time-stamp counter.
  var cycles: UInt64 = 0
  var port = PortIndex.absent
  var direction = CaptureDirection.dropped
  /// Of a dropped frame.
  var reason: UInt8 = 0
  /// `DropContext.noVNI`: none.
  var vni = DropContext.noVNI
  /// Unspecified: none.
  var vtep = IPAddress(high: 0, low: 0)
}

struct CaptureRing: ~Copyable {
  /// Octets, a power of two. The kernel provides the memory with its first use.
  static let byteCount = 4 << 20

  private let memory: UnsafeMutableRawPointer
  /// Octets written and read since the beginning. Apart, since each side writes one of them.
  private let written = Atomic<Int>(0)
  private let padding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)
  private let read = Atomic<Int>(0)
  /// Frames for which there was no room.
  let missed = Counter()

  init?() {
    guard let memory = calloc(Self.byteCount, 1) else { return nil }
    self.memory = memory
  }

  deinit { free(memory) }

  /// Adds a frame, or counts it as missed.
  func put(_ record: CaptureRecord, _ mbuf: Mbuf) {
    let start = written.load(ordering: .relaxed)
    let size = Self.size(Int(record.capturedCount))
    guard start &- read.load(ordering: .acquiring) &+ size <= Self.byteCount else {
      missed.add(1)
      return
    }
    withUnsafeBytes(of: record) { copyIn($0.baseAddress.unsafelyUnwrapped, MemoryLayout<CaptureRecord>.size, at: start) }
    var position = start &+ MemoryLayout<CaptureRecord>.stride
    var left = Int(record.capturedCount)
    var next: OpaquePointer? = mbuf.raw
    while let buffer = next, left > 0 {
      let part = min(Int(cdpdk_mbuf_segment_length(buffer)), left)
      copyIn(cdpdk_mbuf_data(buffer), part, at: position)
      position &+= part
      left &-= part
      next = cdpdk_mbuf_next(buffer)
    }
    written.store(start &+ size, ordering: .releasing)
  }

  /// Takes the oldest frame; nil: there is none.
  func take() -> (record: CaptureRecord, octets: [UInt8])? {
    let start = read.load(ordering: .relaxed)
    guard start != written.load(ordering: .acquiring) else { return nil }
    var record = CaptureRecord()
    withUnsafeMutableBytes(of: &record) { copyOut(to: $0.baseAddress.unsafelyUnwrapped, MemoryLayout<CaptureRecord>.size, at: start) }
    let count = Int(record.capturedCount)
    let octets = [UInt8](unsafeUninitializedCapacity: count) { space, used in
      if count > 0, let target = space.baseAddress { copyOut(to: target, count, at: start &+ MemoryLayout<CaptureRecord>.stride) }
      used = count
    }
    read.store(start &+ Self.size(count), ordering: .releasing)
    return (record, octets)
  }

  /// The time of the oldest frame; nil: there is none.
  var oldest: UInt64? {
    let start = read.load(ordering: .relaxed)
    guard start != written.load(ordering: .acquiring) else { return nil }
    var record = CaptureRecord()
    withUnsafeMutableBytes(of: &record) { copyOut(to: $0.baseAddress.unsafelyUnwrapped, MemoryLayout<CaptureRecord>.size, at: start) }
    return record.cycles
  }

  private static func size(_ octetCount: Int) -> Int { MemoryLayout<CaptureRecord>.stride &+ (octetCount &+ 7) & ~7 }

  private func copyIn(_ source: UnsafeRawPointer, _ count: Int, at position: Int) {
    let offset = position & (Self.byteCount &- 1)
    let first = min(count, Self.byteCount &- offset)
    memcpy(memory + offset, source, first)
    if first < count { memcpy(memory, source + first, count &- first) }
  }

  private func copyOut(to target: UnsafeMutableRawPointer, _ count: Int, at position: Int) {
    let offset = position & (Self.byteCount &- 1)
    let first = min(count, Self.byteCount &- offset)
    memcpy(target, memory + offset, first)
    if first < count { memcpy(target + first, memory, count &- first) }
  }
}
