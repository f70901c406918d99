// KernelReceiver: how one worker takes frames from packet sockets and taps. What it needs for that it has once, not once per port: message
// arrays, and buffers in wait for the next frames. A packet socket takes one system call per burst; a tap gives one frame per call, which
// the kernel does not offer otherwise.

import CDPDK
import Encap
import Glibc

/// One worker's side of packet sockets and taps that it receives from.
struct KernelReceiver: ~Copyable {
  /// Octets after which a burst of large segments ends, so that it is still in the cache when it is sent.
  private static let burstByteCount = 256 * 1024

  private let controls: UnsafeMutableRawPointer
  private let headers: UnsafeMutablePointer<cdpdk_virtio_header>
  /// Each message has a buffer for an ordinary frame, and behind it one for what else a large segment has.
  private let heads: UnsafeMutablePointer<OpaquePointer?>
  private let tails: UnsafeMutablePointer<OpaquePointer?>
  private let pieces: UnsafeMutablePointer<iovec>
  private let messages: UnsafeMutablePointer<cdpdk_message>
  /// Messages from the first on whose buffers may be used up.
  private var usedCount = Limits.burst
  /// Size of the heads as they are set up now.
  private var headByteCount = 0
  /// Messages to ask for in the next call: fewer while large segments come.
  private var askFor = Limits.burst

  /// The kernel has said something about a frame of the last `receive` beyond its octets (`Mbuf.note`).
  var hasNotes = false
  /// The last `receive` from a tap found no more frames: one need not ask again before the next event. A packet socket is asked again:
  /// it may have ended a burst early with an error, which brings no event.
  private(set) var isDrained = false
  /// What the last `receive` lost.
  private(set) var losses = Losses()

  private let pool: OpaquePointer
  /// Buffers of nearly 64 KiB.
  private let largePool: OpaquePointer

  /// Frames that the kernel had and `receive` did not return.
  struct Losses {
    /// Longer than the longest IP packet with its Ethernet header.
    var tooLong = 0
    /// There was no large buffer for them.
    var unbuffered = 0
    /// Segments of a kind that a virtio-net header cannot describe (SCTP). The kernel has dropped them.
    var undescribed = 0
    /// Octets that were read of the first two.
    var byteCount = 0

    var count: Int { tooLong &+ unbuffered &+ undescribed }
  }

  init(pool: OpaquePointer, largePool: OpaquePointer) {
    self.pool = pool
    self.largePool = largePool
    controls = .allocate(byteCount: Limits.burst * Int(CDPDK_CONTROL_SIZE), alignment: 16)
    headers = .allocate(capacity: Limits.burst)
    headers.initialize(repeating: cdpdk_virtio_header(), count: Limits.burst)
    heads = .allocate(capacity: Limits.burst)
    heads.initialize(repeating: nil, count: Limits.burst)
    tails = .allocate(capacity: Limits.burst)
    tails.initialize(repeating: nil, count: Limits.burst)
    pieces = .allocate(capacity: Limits.burst * 3)
    pieces.initialize(repeating: iovec(), count: Limits.burst * 3)
    messages = .allocate(capacity: Limits.burst)
    messages.initialize(repeating: cdpdk_message(), count: Limits.burst)
  }

  deinit {
    for index in 0..<Limits.burst {
      if let head = heads[index] { cdpdk_mbuf_free(head) }
      if let tail = tails[index] { cdpdk_mbuf_free(tail) }
    }
    controls.deallocate()
    headers.deallocate()
    heads.deallocate()
    tails.deallocate()
    pieces.deallocate()
    messages.deallocate()
  }

  /// Takes a burst from a packet socket.
  ///
  /// - Parameters:
  ///   - headByteCount: octets that go into a frame's first buffer, at most its room: on the underlay those of the interface's
  ///     longest single frame, so that the datagrams of a train of longest ones do not lie across two buffers.
  ///   - keepsTags: put the tags back that the kernel has taken off. On the underlay they are only priority tags (VLAN 0).
  ///   - frames: `Limits.burst` places, filled from the first on.
  /// - Returns: how many; a negative errno when none waits. 0: nothing to hand on, but more may wait. See `losses`.
  mutating func receive(
    packetSocket descriptor: Int32, headByteCount: Int, keepsTags: Bool, into frames: UnsafeMutablePointer<OpaquePointer?>
  ) -> Int {
    losses = Losses()
    let ready = prepare(headByteCount: headByteCount)
    // Without buffers frames wait in the socket.
    guard ready > 0 else { return 0 }
    let count = Int(cdpdk_receive_messages(descriptor, messages, UInt32(min(ready, askFor))))
    guard count > 0 else { return failed(code: count) }
    usedCount = max(usedCount, count)
    var live = 0
    var byteCount = 0
    var notes: UInt8 = 0
    for index in 0..<count {
      let length = Int(messages[index].length) &- MemoryLayout<cdpdk_virtio_header>.size
      guard length > 0, cdpdk_message_is_truncated(messages + index) == 0, var mbuf = take(index, byteCount: length) else {
        lose(index, byteCount: length)
        continue
      }
      byteCount &+= length
      var tagByteCount: UInt16 = 0
      if keepsTags {
        let tag = cdpdk_message_tag(messages + index)
        // A new buffer always has room for it.
        if tag != 0, let tagged = mbuf.insertingTag(tag, pool: pool, chains: true) {
          mbuf = tagged
          tagByteCount = UInt16(EthernetView.tagByteCount)
        }
      }
      mbuf.note(headers[index], insertedByteCount: tagByteCount)
      notes |= headers[index].flags | headers[index].segmentation
      frames[live] = mbuf.raw
      live &+= 1
    }
    hasNotes = notes != 0
    askFor = byteCount > Self.burstByteCount ? Limits.burst / 4 : Limits.burst
    return live
  }

  /// The socket's error, which is not always a frame's: an interface that went down is reported once, and what it had received
  /// before lies behind the report.
  private mutating func failed(code: Int) -> Int {
    if code == Int(-EINVAL) { losses.undescribed = 1 }
    return code == Int(-EINVAL) || code == Int(-ENETDOWN) ? 0 : code
  }

  /// The same from a queue of a tap, in which tags are part of the frame. See `isDrained`.
  mutating func receive(tap descriptor: Int32, headByteCount: Int, into frames: UnsafeMutablePointer<OpaquePointer?>) -> Int {
    losses = Losses()
    isDrained = false
    let ready = prepare(headByteCount: headByteCount)
    guard ready > 0 else { return 0 }
    var live = 0
    var byteCount = 0
    for index in 0..<ready where byteCount < Self.burstByteCount {
      let code = cdpdk_read_pieces(descriptor, pieces + index * 3, tails[index] == nil ? 2 : 3)
      let length = code &- MemoryLayout<cdpdk_virtio_header>.size
      guard length > 0 else {
        if index == 0 { return code < 0 ? code : 0 }
        isDrained = code == Int(-EAGAIN)
        break
      }
      usedCount = max(usedCount, index &+ 1)
      // The kernel does not say whether it has cut a frame that fills the buffers.
      guard length < room(index), let mbuf = take(index, byteCount: length) else {
        lose(index, byteCount: length)
        continue
      }
      mbuf.note(headers[index])
      frames[live] = mbuf.raw
      live &+= 1
      byteCount &+= length
    }
    return live
  }

  /// Fills in buffers where they were used up.
  ///
  /// - Returns: messages that have at least their first buffer.
  private mutating func prepare(headByteCount: Int) -> Int {
    if self.headByteCount != headByteCount {
      self.headByteCount = headByteCount
      usedCount = Limits.burst
    }
    for index in 0..<usedCount {
      if heads[index] == nil { heads[index] = cdpdk_mbuf_alloc(pool) }
      guard let head = heads[index] else { return index }
      if tails[index] == nil { tails[index] = cdpdk_mbuf_alloc(largePool) }
      let place = pieces + index * 3
      place[0] = iovec(iov_base: headers + index, iov_len: MemoryLayout<cdpdk_virtio_header>.size)
      place[1] = iovec(iov_base: cdpdk_mbuf_data(head), iov_len: min(headByteCount, Int(cdpdk_mbuf_tailroom(head))))
      if let tail = tails[index] {
        place[2] = iovec(iov_base: cdpdk_mbuf_data(tail), iov_len: Int(cdpdk_mbuf_tailroom(tail)))
      }
      cdpdk_message_set(
        messages + index, place, tails[index] == nil ? 2 : 3, controls + index * Int(CDPDK_CONTROL_SIZE), Int(CDPDK_CONTROL_SIZE))
    }
    usedCount = 0
    return Limits.burst
  }

  /// Octets that a message's buffers hold.
  private func room(_ index: Int) -> Int {
    pieces[index * 3 + 1].iov_len &+ (tails[index] == nil ? 0 : pieces[index * 3 + 2].iov_len)
  }

  /// The frame in a message's buffers, which the next `prepare` replaces. Nil: they are too small for it.
  private func take(_ index: Int, byteCount: Int) -> Mbuf? {
    guard let head = heads[index], byteCount <= room(index) else { return nil }
    heads[index] = nil
    let headRoom = pieces[index * 3 + 1].iov_len
    cdpdk_mbuf_set_length(head, UInt16(truncatingIfNeeded: min(byteCount, headRoom)))
    if byteCount > headRoom, let tail = tails[index] {
      tails[index] = nil
      cdpdk_mbuf_set_length(tail, UInt16(truncatingIfNeeded: byteCount &- headRoom))
      cdpdk_mbuf_join(head, head, tail)
    }
    return Mbuf(head)
  }

  /// Counts a frame that did not fit. Its buffers serve the next one.
  @inline(never)
  private mutating func lose(_ index: Int, byteCount: Int) {
    losses.byteCount &+= max(byteCount, 0)
    if tails[index] == nil { losses.unbuffered &+= 1 } else { losses.tooLong &+= 1 }
  }
}
