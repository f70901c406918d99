// XDPQueue: the rings of an AF_XDP socket, as workers use them. Received packets are copied from the socket's memory into buffers of
// DPDK, and sent ones the other way: buffers stay what they are for all other devices, and of any size. Steps D1 and E7.
//
// The rings are Linux' (Documentation/networking/af_xdp.rst): of a pair of producer and consumer one is the kernel. Positions only grow,
// and wrap around at 32 bits.

import CDPDK
import Glibc
import Synchronization

/// One side of a ring: its positions, and where entries lie.
struct XDPRing {
  private let producer: UnsafeMutablePointer<Atomic<UInt32>>
  private let consumer: UnsafeMutablePointer<Atomic<UInt32>>
  private let flags: UnsafeMutablePointer<UInt32>
  private let entries: UnsafeMutableRawPointer
  private let mask: UInt32
  /// Ours: the next entry to write or to read.
  private var position: UInt32 = 0

  init?(_ ring: cdpdk_xdp_ring) {
    guard let producer = ring.producer, let consumer = ring.consumer, let flags = ring.flags, let entries = ring.entries else { return nil }
    self.producer = UnsafeMutableRawPointer(producer).assumingMemoryBound(to: Atomic<UInt32>.self)
    self.consumer = UnsafeMutableRawPointer(consumer).assumingMemoryBound(to: Atomic<UInt32>.self)
    self.flags = flags
    self.entries = entries
    mask = ring.size &- 1
  }

  /// The kernel wants a system call before it goes on.
  @inline(always)
  var wantsCall: Bool { UnsafePointer(flags).pointee & UInt32(XDP_RING_NEED_WAKEUP) != 0 }

  /// Entries that the kernel has produced and we have not read.
  @inline(always)
  var readableCount: Int { Int(producer.pointee.load(ordering: .acquiring) &- position) }

  /// Entries that we have produced and the kernel has not read.
  @inline(always)
  var pendingCount: Int { Int(position &- consumer.pointee.load(ordering: .acquiring)) }

  @inline(always)
  var freeCount: Int { Int(mask) &+ 1 &- pendingCount }

  /// The n-th entry from our position on.
  @inline(always)
  func place<Entry>(_ number: Int, as type: Entry.Type) -> UnsafeMutablePointer<Entry> {
    entries.assumingMemoryBound(to: Entry.self) + Int((position &+ UInt32(truncatingIfNeeded: number)) & mask)
  }

  /// Gives entries that were written to the kernel.
  @inline(always)
  mutating func produce(_ count: Int) {
    position &+= UInt32(truncatingIfNeeded: count)
    producer.pointee.store(position, ordering: .releasing)
  }

  /// Gives the places of entries that were read back to the kernel.
  @inline(always)
  mutating func consume(_ count: Int) {
    position &+= UInt32(truncatingIfNeeded: count)
    consumer.pointee.store(position, ordering: .releasing)
  }
}

/// The receiving side of a socket, used by one worker.
struct XDPReceiver {
  let descriptor: Int32
  let frames: UnsafeMutableRawPointer
  /// Clears the offset within a chunk.
  let chunkMask: UInt64
  var fill: XDPRing
  var ready: XDPRing

  /// Packets of the last `receive` for which there was no buffer, and their octets.
  var unbufferedCount = 0
  var unbufferedByteCount = 0

  /// Gives all chunks to the kernel.
  mutating func fillUp(chunkCount: Int, chunkByteCount: Int) {
    for number in 0..<chunkCount { fill.place(number, as: UInt64.self).pointee = UInt64(number * chunkByteCount) }
    fill.produce(chunkCount)
  }

  /// Takes a burst.
  ///
  /// - Parameters:
  ///   - buffers: `Limits.burst` places, filled from the first on.
  ///   - largePool: for packets that an ordinary buffer does not hold.
  /// - Returns: how many; below 0: none wait.
  mutating func receive(into buffers: UnsafeMutablePointer<OpaquePointer?>, pool: OpaquePointer, largePool: OpaquePointer) -> Int {
    unbufferedCount = 0
    unbufferedByteCount = 0
    let count = min(ready.readableCount, Limits.burst)
    guard count > 0 else { return -1 }
    var live = 0
    for number in 0..<count {
      let entry = ready.place(number, as: xdp_desc.self).pointee
      let byteCount = Int(entry.len)
      if let buffer = Self.buffer(byteCount, pool: pool, largePool: largePool) {
        cdpdk_mbuf_data(buffer).copyMemory(from: frames + Int(truncatingIfNeeded: entry.addr), byteCount: byteCount)
        cdpdk_mbuf_set_length(buffer, UInt16(truncatingIfNeeded: byteCount))
        buffers[live] = buffer
        live &+= 1
      } else {
        unbufferedCount &+= 1
        unbufferedByteCount &+= byteCount
      }
      fill.place(number, as: UInt64.self).pointee = entry.addr & chunkMask
    }
    ready.consume(count)
    // There is room: the ring holds all chunks of this side.
    fill.produce(count)
    if fill.wantsCall { cdpdk_xdp_wake_receive(descriptor) }
    return live
  }

  @inline(always)
  private static func buffer(_ byteCount: Int, pool: OpaquePointer, largePool: OpaquePointer) -> OpaquePointer? {
    guard let buffer = cdpdk_mbuf_alloc(pool) else { return nil }
    if byteCount <= Int(cdpdk_mbuf_tailroom(buffer)) { return buffer }
    cdpdk_mbuf_free(buffer)
    return cdpdk_mbuf_alloc(largePool)
  }
}

/// The sending side of a socket. Workers share it: each holds the queue's lock.
struct XDPSender {
  let descriptor: Int32
  /// The driver sends from our memory.
  var isZeroCopy = false
  let frames: UnsafeMutableRawPointer
  let chunkByteCount: Int
  var pending: XDPRing
  var done: XDPRing
  /// Chunks that nothing is in.
  let freeChunks: UnsafeMutablePointer<UInt64>
  var freeCount: Int
  /// Packets of the last `send` that the interface has refused.
  var refusedCount = 0

  /// Copies a batch into the transmit ring. The buffers stay the caller's.
  ///
  /// - Returns: packets for which there was room, from the first on.
  mutating func send(_ batch: UnsafeMutablePointer<OpaquePointer?>, _ count: Int) -> Int {
    refusedCount = 0
    reclaim()
    let room = min(count, freeCount, pending.freeCount)
    for number in 0..<room {
      freeCount &-= 1
      let chunk = freeChunks[freeCount]
      let byteCount = copy(batch[number].unsafelyUnwrapped, to: frames + Int(truncatingIfNeeded: chunk))
      pending.place(number, as: xdp_desc.self).pointee = xdp_desc(addr: chunk, len: UInt32(truncatingIfNeeded: byteCount), options: 0)
    }
    pending.produce(room)
    wake()
    return room
  }

  /// - Returns: octets; no more than a chunk holds. Nothing longer comes: a device whose MTU a chunk does not hold is not opened.
  private func copy(_ buffer: OpaquePointer, to target: UnsafeMutableRawPointer) -> Int {
    var byteCount = 0
    var next: OpaquePointer? = buffer
    while let segment = next {
      let part = min(Int(cdpdk_mbuf_segment_length(segment)), chunkByteCount &- byteCount)
      (target + byteCount).copyMemory(from: cdpdk_mbuf_data(segment), byteCount: part)
      byteCount &+= part
      next = cdpdk_mbuf_next(segment)
    }
    return byteCount
  }

  /// Takes back the chunks of packets that have left.
  private mutating func reclaim() {
    let count = done.readableCount
    for number in 0..<count { freeChunks[freeCount &+ number] = done.place(number, as: UInt64.self).pointee }
    freeCount &+= count
    done.consume(count)
  }

  /// Has the kernel send. Without zero-copy a call takes 32 packets or ends with the one that the interface refuses (EBUSY), which is lost.
  private mutating func wake() {
    if isZeroCopy {
      if pending.wantsCall { _ = cdpdk_xdp_wake_transmit(descriptor) }
      return
    }
    // Each call takes at least one.
    for _ in 0...pending.pendingCount where pending.pendingCount > 0 {
      let code = cdpdk_xdp_wake_transmit(descriptor)
      if code == -EBUSY { refusedCount &+= 1 }
      // EAGAIN: more of the batch is left, or completions have to be read first.
      if code == -EAGAIN { reclaim() }
      if code != 0 && code != -EBUSY && code != -EAGAIN { return }
    }
  }
}

/// One receive queue of an interface and what is sent beside it.
struct XDPQueue {
  var receiver: XDPReceiver
  /// Those who send write it, on other processors.
  private let padding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)
  var sender: XDPSender

  /// The rings and the memory of a socket that is not bound yet. Nil: it has none.
  ///
  /// - Parameters: chunks of `chunkByteCount` octets for received packets, which come first in its memory, and for those to be sent.
  init?(_ socket: cdpdk_xdp_socket, chunkByteCount: Int, receiveCount: Int, sendCount: Int) {
    guard let frames = socket.frames, let fill = XDPRing(socket.fill), let ready = XDPRing(socket.receive),
      let pending = XDPRing(socket.transmit), let done = XDPRing(socket.completion)
    else { return nil }
    receiver = XDPReceiver(
      descriptor: socket.descriptor, frames: frames, chunkMask: ~UInt64(chunkByteCount - 1), fill: fill, ready: ready)
    // Before it is bound: a driver that copies nothing takes its first chunks then.
    receiver.fillUp(chunkCount: receiveCount, chunkByteCount: chunkByteCount)
    let free = UnsafeMutablePointer<UInt64>.allocate(capacity: sendCount)
    for number in 0..<sendCount { free[number] = UInt64((receiveCount + number) * chunkByteCount) }
    sender = XDPSender(
      descriptor: socket.descriptor, frames: frames, chunkByteCount: chunkByteCount, pending: pending, done: done, freeChunks: free,
      freeCount: sendCount)
  }

  /// No worker may use it any more.
  func deallocate() { sender.freeChunks.deallocate() }
}
