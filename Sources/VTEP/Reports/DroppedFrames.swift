// DroppedFrames: the last frames that one thread has dropped, for each reason, for `vtepctl show drops --frames`. They are always kept: only
// that thread writes them, and reports read them without stopping it. A flood of drops costs a bounded part of it
// (docs/decisions/0040-dropped-frames-and-captures.md).

import CDPDK
import Encap
import Glibc
import MACTable
import Synchronization

/// What is known about a dropped frame besides its octets.
struct DropContext {
  /// Absent: not known, or none.
  var domain = DomainIndex.absent
  /// The VTEP that it came from or was to go to.
  var vtep = VTEPIndex.absent
  /// The VNI of a packet whose outer headers are still there, or of a frame without a domain; `noVNI`: that of the domain.
  var vni = DropContext.noVNI

  /// If it is at an uplink: the packet has its outer headers.
  var isOfWhole: Bool { domain == .absent || vni != DropContext.noVNI }

  /// No VNI.
  static let noVNI = UInt32.max
}

/// A frame that was dropped.
struct DroppedFrame {
  /// Ascending for each thread and reason.
  var number: UInt64
  /// Time-stamp counter when it was dropped, as exact as the worker's round.
  var cycles: UInt64
  var port: PortIndex
  var vni: VNI?
  var vtep: IPAddress?
  /// Of the whole frame.
  var byteCount: Int
  /// Its beginning.
  var octets: [UInt8]
}

/// The frames that one thread has dropped. A trivial value: pointers to memory that lives as long as the process.
struct DroppedFrames: @unchecked Sendable {
  /// Frames of a reason that are kept.
  static let capacity = 64
  /// Octets of a frame that are kept: all headers of a frame in a tunnel over IPv6.
  static let octetCount = 160
  /// Most frames of a reason that are looked at in a millisecond; the rest of a flood is only counted.
  static let perMillisecond = 64

  /// What stands in front of the octets: its number, twice, less one while it is being written; the time; lengths and port; VNI; VTEP.
  private static let headCount = 6
  private static let wordCount = headCount + octetCount / 8

  /// The writer's, for each reason.
  private struct Position {
    var next: UInt64 = 0
    /// When the current millisecond began, and how many frames were kept in it.
    var since: UInt64 = 0
    var count = 0
  }

  /// `capacity` records of `wordCount` words for each reason, in memory that the kernel provides with the first use. In words that are
  /// written one by one, so that a reader may look at any time.
  private let words: UnsafeMutablePointer<Counter>
  private let positions: UnsafeMutablePointer<Position>
  private let beginning: UnsafeMutableRawPointer

  init() {
    let count = DropReason.count * Self.capacity * Self.wordCount
    guard let memory = calloc(count, MemoryLayout<Counter>.stride) else { fatalError("out of memory for dropped frames") }
    words = memory.bindMemory(to: Counter.self, capacity: count)
    positions = .allocate(capacity: DropReason.count)
    positions.initialize(repeating: Position(), count: DropReason.count)
    beginning = .allocate(byteCount: Self.octetCount, alignment: 8)
  }

  // -- the thread that drops ----------------------------------------------------------------------------------------------

  /// A writer has begun, whose clock may be another one.
  func begin() {
    for reason in 0..<DropReason.count { positions[reason].count = 0 }
  }

  /// Whether one more frame may be kept now, which is then to be kept.
  ///
  /// - Parameter now: time-stamp counter.
  @inline(always)
  func admits(_ reason: DropReason, now: UInt64) -> Bool {
    let position = positions + Int(reason.rawValue)
    if position.pointee.count == Self.perMillisecond {
      guard now &- position.pointee.since >= cdpdk_cycles_per_second() / 1000 else { return false }
      position.pointee.count = 0
    }
    if position.pointee.count == 0 { position.pointee.since = now }
    position.pointee.count &+= 1
    return true
  }

  /// Keeps the beginning of a frame.
  ///
  /// - Parameters:
  ///   - vni: `DropContext.noVNI`: none.
  ///   - vtep: unspecified: none.
  @inline(never)
  func keep(_ mbuf: Mbuf, _ reason: DropReason, port: PortIndex, vni: UInt32, vtep: IPAddress, now: UInt64) {
    let position = positions + Int(reason.rawValue)
    let number = position.pointee.next
    position.pointee.next = number &+ 1
    let record = self.record(reason, number)
    let count = mbuf.copyBeginning(to: beginning, byteCount: Self.octetCount)
    record[0].set(number &* 2 &+ 1)
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    record[1].set(now)
    record[2].set(
      UInt64(UInt32(truncatingIfNeeded: mbuf.byteCount)) | UInt64(UInt16(truncatingIfNeeded: count)) &<< 32
        | UInt64(port.rawValue) &<< 48)
    record[3].set(UInt64(vni))
    record[4].set(vtep.high)
    record[5].set(vtep.low)
    for word in 0..<(count &+ 7) / 8 {
      record[Self.headCount &+ word].set(beginning.load(fromByteOffset: word &* 8, as: UInt64.self))
    }
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    record[0].set(number &* 2 &+ 2)
  }

  /// Frames of a reason that were kept since the start. For the thread that drops.
  func keptCount(_ reason: DropReason) -> UInt64 { positions[Int(reason.rawValue)].next }

  @inline(always)
  private func record(_ reason: DropReason, _ number: UInt64) -> UnsafeMutablePointer<Counter> {
    let place = Int(reason.rawValue) &* Self.capacity &+ Int(truncatingIfNeeded: number % UInt64(Self.capacity))
    return words + place &* Self.wordCount
  }

  // -- reports --------------------------------------------------------------------------------------------------------------

  /// The frames that are kept for a reason, oldest first. One that is being replaced is left out.
  func frames(_ reason: DropReason) -> [DroppedFrame] {
    (0..<Self.capacity).compactMap { frame(record(reason, UInt64($0))) }.sorted { $0.number < $1.number }
  }

  private func frame(_ record: UnsafeMutablePointer<Counter>) -> DroppedFrame? {
    let mark = record[0].value
    guard mark != 0, mark % 2 == 0 else { return nil }
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    let values = (1..<Self.wordCount).map { record[$0].value }
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    guard record[0].value == mark else { return nil }
    let vtep = IPAddress(high: values[3], low: values[4])
    let octets = values[5...].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * UInt64($0))) } }
    return DroppedFrame(
      number: mark / 2 - 1, cycles: values[0], port: PortIndex(rawValue: UInt16(values[1] >> 48)), vni: VNI(values[2]),
      vtep: vtep.isUnspecified ? nil : vtep, byteCount: Int(values[1] & 0xffff_ffff),
      octets: Array(octets.prefix(Int(values[1] >> 32 & 0xffff))))
  }
}

extension Mbuf {
  /// Copies the first octets of the packet, over all its buffers.
  ///
  /// - Returns: how many: fewer of a shorter packet.
  func copyBeginning(to target: UnsafeMutableRawPointer, byteCount: Int) -> Int {
    var copied = 0
    var next: OpaquePointer? = raw
    while let buffer = next, copied < byteCount {
      let part = min(Int(cdpdk_mbuf_segment_length(buffer)), byteCount &- copied)
      (target + copied).copyMemory(from: cdpdk_mbuf_data(buffer), byteCount: part)
      copied &+= part
      next = cdpdk_mbuf_next(buffer)
    }
    return copied
  }
}
