// A port in memory: a DPDK device (net_ring) over two rings. What a test puts into one ring the device receives, what the
// device transmits the test takes out of the other. Buffers are passed on, not copied, so shared ones stay shared.

import CDPDK
import Glibc

@testable import VTEP

final class MemoryPort {
  let device: EthernetDevice
  let capacity: Int
  private let pool: OpaquePointer
  private let toDevice: OpaquePointer
  private let fromDevice: OpaquePointer
  /// What its second transmit queue sends.
  private let fromSecondQueue: OpaquePointer?
  private static let pointerByteCount = UInt32(MemoryLayout<OpaquePointer>.size)

  /// - Parameters:
  ///   - capacity: frames that may wait in each direction, a power of two less one.
  ///   - queues: 1 or 2; the second one receives nothing.
  init(name: String, capacity: Int, queues: Int = 1, runtime: DPDKRuntime) throws {
    guard let toDevice = cdpdk_ring_create("\(name)-in", Self.pointerByteCount, UInt32(capacity + 1)),
      let fromDevice = cdpdk_ring_create("\(name)-out", Self.pointerByteCount, UInt32(capacity + 1))
    else { throw VTEPError(.environment, "rings of \(name)", VTEPError.errnoText(cdpdk_errno())) }
    fromSecondQueue = queues > 1 ? cdpdk_ring_create("\(name)-out-2", Self.pointerByteCount, UInt32(capacity + 1)) : nil
    let idle = queues > 1 ? cdpdk_ring_create("\(name)-in-2", Self.pointerByteCount, 2) : nil
    var receive: [OpaquePointer?] = [toDevice, idle]
    var transmit: [OpaquePointer?] = [fromDevice, fromSecondQueue]
    let portID = rte_eth_from_rings(name, &receive, UInt32(queues), &transmit, UInt32(queues), 0)
    try VTEPError.check(portID, "device \(name)")
    device = try EthernetDevice.start(UInt16(portID), queues: queues, purpose: .plain, runtime: runtime, subject: name)
    self.capacity = capacity
    self.toDevice = toDevice
    self.fromDevice = fromDevice
    pool = runtime.pool
  }

  /// What a driver says about a received frame.
  enum Received {
    case plain
    case unfinished
    case large(segment: UInt16)
    /// The kernel says where the checksum is: computed over the last `covered` octets, with its field `offset` octets into them.
    case placed(covered: Int, offset: Int, segment: Int = 0)
    /// The driver looked for headers, and that was all.
    case looked
    /// A NIC has found the checksum right.
    case right
  }

  /// Lets the device receive a frame, spread over buffers of these sizes; the last one holds the rest.
  func put(_ frame: [UInt8], segments: [Int] = [], as received: Received = .plain) {
    put(Self.buffer(of: frame, segments: segments, as: received, pool: pool))
  }

  /// A frame as a driver hands it over, spread over buffers of these sizes; the last one holds the rest.
  static func buffer(of frame: [UInt8], segments: [Int] = [], as received: Received = .plain, pool: OpaquePointer) -> OpaquePointer {
    var rest = frame[...]
    var head: OpaquePointer?
    for byteCount in segments + [.max] {
      let part = rest.prefix(byteCount)
      rest = rest.dropFirst(byteCount)
      guard let buffer = cdpdk_mbuf_alloc(pool) else { preconditionFailure("no packet buffer") }
      if !part.isEmpty {
        guard let room = cdpdk_mbuf_append(buffer, UInt16(part.count)) else { preconditionFailure("frame too big") }
        part.withUnsafeBytes { room.copyMemory(from: $0.baseAddress!, byteCount: part.count) }
      }
      if let head {
        precondition(cdpdk_mbuf_chain(head, buffer) == 0)
      } else {
        head = buffer
      }
    }
    switch received {
    case .plain: break
    case .unfinished: cdpdk_mbuf_set_received(head, 1, 0, 0, 1)
    case .large(let segment): cdpdk_mbuf_set_received(head, 1, 1, segment, 1)
    case .placed(let covered, let offset, let segment):
      cdpdk_mbuf_set_received(head, 1, segment > 0 ? 1 : 0, UInt16(segment), 0)
      cdpdk_mbuf_note_checksum(head, UInt16(frame.count - covered), UInt16(offset))
    case .right: cdpdk_mbuf_set_checksum_right(head)
    case .looked: cdpdk_mbuf_set_received(head, 0, 0, 0, 1)
    }
    return head!
  }

  /// Lets the device receive a frame of at most 128 octets that lies in its buffer's headroom.
  func putIntoHeadroom(_ frame: [UInt8]) {
    guard let buffer = cdpdk_mbuf_alloc(pool), let room = cdpdk_mbuf_prepend(buffer, UInt16(frame.count)) else {
      preconditionFailure("no room in front of a new buffer")
    }
    frame.withUnsafeBytes { room.copyMemory(from: $0.baseAddress!, byteCount: frame.count) }
    put(buffer)
  }

  /// Lets the device receive a buffer as it is.
  func put(_ buffer: OpaquePointer) {
    var pointer: OpaquePointer? = buffer
    precondition(cdpdk_ring_enqueue(toDevice, &pointer, Self.pointerByteCount) == 0, "ring full")
  }

  /// Frames that the device has not been asked for yet.
  var waitingCount: Int { Int(cdpdk_ring_count(toDevice)) }
  /// Frames that the device has sent and nobody has taken.
  var sentCount: Int { Int(cdpdk_ring_count(fromDevice)) }

  /// Takes what the device has sent, in order, and frees it.
  func take() -> [[UInt8]] { take(takeBuffers()) }

  /// The same of its second transmit queue.
  func takeFromSecondQueue() -> [[UInt8]] { take(takeBuffers(from: fromSecondQueue!)) }

  private func take(_ buffers: [OpaquePointer]) -> [[UInt8]] {
    buffers.map { buffer in
      defer { cdpdk_mbuf_free(buffer) }
      return Self.bytes(of: buffer)
    }
  }

  /// The same, for a look at the buffers; the caller frees them.
  func takeBuffers() -> [OpaquePointer] { takeBuffers(from: fromDevice) }

  private func takeBuffers(from ring: OpaquePointer) -> [OpaquePointer] {
    var taken: [OpaquePointer] = []
    var pointer: OpaquePointer?
    while cdpdk_ring_dequeue(ring, &pointer, Self.pointerByteCount, 1) == 1 {
      taken.append(pointer!)
    }
    return taken
  }

  /// Throws away what waits in either direction.
  func drain() {
    var pointer: OpaquePointer?
    while cdpdk_ring_dequeue(toDevice, &pointer, Self.pointerByteCount, 1) == 1 { cdpdk_mbuf_free(pointer) }
    for buffer in takeBuffers() { cdpdk_mbuf_free(buffer) }
  }

  /// All bytes, over all segments.
  static func bytes(of buffer: OpaquePointer) -> [UInt8] {
    let count = Int(cdpdk_mbuf_length(buffer))
    return [UInt8](unsafeUninitializedCapacity: count) { space, used in
      // DPDK copies only where the bytes lie in several segments.
      guard count > 0, let bytes = __rte_pktmbuf_read(buffer, 0, UInt32(count), space.baseAddress!) else { return }
      if bytes != UnsafeRawPointer(space.baseAddress!) { memcpy(space.baseAddress!, bytes, count) }
      used = count
    }
  }
}
