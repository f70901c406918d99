// PacketPool: packet buffers that one port's received frames are copied into, apart from everybody else's: a guest that asks
// for more than there are finds its own pool empty, and no other (docs/decisions/0008).

import CDPDK

/// A pool of packet buffers. It lives until every buffer is back, which may be later than its port.
struct PacketPool: Sendable {
  nonisolated(unsafe) let raw: OpaquePointer
  private let count: UInt32

  /// A burst of the largest segments there are: 32 of 64 KiB, in buffers of 1,500 octets and more.
  private static let buffersPerBurst = 1536
  /// Buffers that each worker keeps at hand, and half of that again.
  private static let cache: UInt32 = 128

  /// - Parameters:
  ///   - name: unique, at most 25 characters.
  ///   - queues: of the port.
  ///   - dataRoom: octets of a buffer.
  /// - Returns: nil when there is not enough memory.
  init?(name: String, queues: Int, workers: Int, dataRoom: UInt16) {
    let count = UInt32(Self.buffersPerBurst * min(queues, 4)) + UInt32(workers) * (Self.cache + Self.cache / 2)
    guard let raw = rte_pktmbuf_pool_create(name, count, Self.cache, 0, dataRoom, Int32(SOCKET_ID_ANY)) else { return nil }
    self.raw = raw
    self.count = count
  }

  var freeCount: UInt32 { rte_mempool_avail_count(raw) }

  /// Nobody has a buffer of it.
  var isWhole: Bool { freeCount == count }

  /// Gives the memory back. No device and no worker may know the pool any more.
  func free() { rte_mempool_free(raw) }
}
