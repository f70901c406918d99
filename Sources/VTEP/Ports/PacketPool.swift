// PacketPool: packet buffers for one port's received frames, separate from all others: a guest that sends too much exhausts
// only its own pool (docs/decisions/0008).

import CDPDK

/// A pool of packet buffers. It lives until every buffer has been returned, possibly longer than its port.
struct PacketPool: Sendable {
  nonisolated(unsafe) let raw: OpaquePointer
  private let count: UInt32

  /// A burst of the largest segments: 32 of 64 KiB, in buffers of at least 1,500 octets.
  private static let buffersPerBurst = 1536
  /// Buffers in each worker's cache, plus half as many.
  private static let cache: UInt32 = 128

  /// - Parameters:
  ///   - name: unique, at most 25 characters.
  ///   - queues: of the port.
  ///   - dataRoom: size of a buffer in octets.
  /// - Returns: nil when there is not enough memory.
  init?(name: String, queues: Int, workers: Int, dataRoom: UInt16) {
    let count = UInt32(Self.buffersPerBurst * min(queues, 4)) + UInt32(workers) * (Self.cache + Self.cache / 2)
    guard let raw = rte_pktmbuf_pool_create(name, count, Self.cache, 0, dataRoom, Int32(SOCKET_ID_ANY)) else { return nil }
    self.raw = raw
    self.count = count
  }

  var freeCount: UInt32 { rte_mempool_avail_count(raw) }

  /// All buffers have been returned.
  var isWhole: Bool { freeCount == count }

  /// Frees the memory. No device or worker may refer to the pool any more.
  func free() { rte_mempool_free(raw) }
}
