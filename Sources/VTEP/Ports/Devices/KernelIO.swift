// KernelIO: how one worker takes frames from packet sockets and taps and gives frames to them. What it needs for that it has once,
// not once per port: message and buffer arrays, and buffers in wait for the next frames. System calls are made once per burst; a tap
// takes and gives one frame per call, which the kernel does not offer otherwise.

import CDPDK
import Encap
import Glibc

/// One worker's side of packet sockets and taps.
struct KernelIO: ~Copyable {
  /// Messages of one system call.
  static let messageLimit = 64
  /// Buffers of the frames of one system call, and of one message of it (UIO_MAXIOV).
  private static let pieceLimit = 4096
  private static let messagePieceLimit = 1024
  /// Octets after which a burst of large segments ends, so that it is still in the cache when it is sent.
  private static let burstByteCount = 256 * 1024

  private let messages: UnsafeMutablePointer<cdpdk_message>
  private let pieces: UnsafeMutablePointer<iovec>
  private let headers: UnsafeMutablePointer<cdpdk_virtio_header>
  /// Frames of the batch that each message holds.
  private let frames: UnsafeMutablePointer<Range<Int>>
  private let controls: UnsafeMutableRawPointer
  private let receiveHeaders: UnsafeMutablePointer<cdpdk_virtio_header>
  /// For received frames: each message has a buffer for an ordinary frame, and behind it one for what else a large segment has.
  private let heads: UnsafeMutablePointer<OpaquePointer?>
  private let tails: UnsafeMutablePointer<OpaquePointer?>
  private let receivePieces: UnsafeMutablePointer<iovec>
  private let receiveMessages: UnsafeMutablePointer<cdpdk_message>
  /// Messages from the first on whose buffers may be used up.
  private var usedCount = Limits.burst
  /// Size of the heads as they are set up now.
  private var headByteCount = 0
  /// Messages to ask for in the next call: fewer while large segments come.
  private var askFor = Limits.burst

  /// The kernel has said something about a frame of the last `receive` beyond its octets (`Mbuf.note`).
  var hasNotes = false
  /// What the last `receive` lost.
  private(set) var losses = Losses()

  /// Frames of the last `send` that the kernel did not take, and its errno; in order.
  let refusals: UnsafeMutablePointer<Refusal>
  private(set) var refusalCount = 0

  private let pool: OpaquePointer
  /// Buffers of nearly 64 KiB.
  private let largePool: OpaquePointer

  struct Refusal {
    var position: Int32
    var errorNumber: Int32
  }

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
    messages = .allocate(capacity: Self.messageLimit)
    messages.initialize(repeating: cdpdk_message(), count: Self.messageLimit)
    pieces = .allocate(capacity: Self.pieceLimit)
    pieces.initialize(repeating: iovec(), count: Self.pieceLimit)
    headers = .allocate(capacity: Self.messageLimit)
    headers.initialize(repeating: cdpdk_virtio_header(), count: Self.messageLimit)
    frames = .allocate(capacity: Self.messageLimit)
    frames.initialize(repeating: 0..<0, count: Self.messageLimit)
    receiveHeaders = .allocate(capacity: Limits.burst)
    receiveHeaders.initialize(repeating: cdpdk_virtio_header(), count: Limits.burst)
    controls = .allocate(byteCount: Limits.burst * Int(CDPDK_CONTROL_SIZE), alignment: 16)
    heads = .allocate(capacity: Limits.burst)
    heads.initialize(repeating: nil, count: Limits.burst)
    tails = .allocate(capacity: Limits.burst)
    tails.initialize(repeating: nil, count: Limits.burst)
    receivePieces = .allocate(capacity: Limits.burst * 3)
    receivePieces.initialize(repeating: iovec(), count: Limits.burst * 3)
    receiveMessages = .allocate(capacity: Limits.burst)
    receiveMessages.initialize(repeating: cdpdk_message(), count: Limits.burst)
    refusals = .allocate(capacity: Limits.transmitBatch)
  }

  deinit {
    for index in 0..<Limits.burst {
      if let head = heads[index] { cdpdk_mbuf_free(head) }
      if let tail = tails[index] { cdpdk_mbuf_free(tail) }
    }
    messages.deallocate()
    pieces.deallocate()
    headers.deallocate()
    frames.deallocate()
    receiveHeaders.deallocate()
    controls.deallocate()
    heads.deallocate()
    tails.deallocate()
    receivePieces.deallocate()
    receiveMessages.deallocate()
    refusals.deallocate()
  }

  // -- receiving --------------------------------------------------------------------------------------------------------

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
    let count = Int(cdpdk_receive_messages(descriptor, receiveMessages, UInt32(min(ready, askFor))))
    guard count > 0 else { return failed(code: count) }
    usedCount = max(usedCount, count)
    var live = 0
    var byteCount = 0
    var notes: UInt8 = 0
    for index in 0..<count {
      let length = Int(receiveMessages[index].length) &- MemoryLayout<cdpdk_virtio_header>.size
      guard length > 0, cdpdk_message_is_truncated(receiveMessages + index) == 0, let mbuf = take(index, byteCount: length) else {
        lose(index, byteCount: length)
        continue
      }
      byteCount &+= length
      var tagByteCount: UInt16 = 0
      if keepsTags {
        let tag = cdpdk_message_tag(receiveMessages + index)
        if tag != 0 {
          mbuf.insertTag(tag)
          tagByteCount = UInt16(EthernetView.tagByteCount)
        }
      }
      mbuf.note(receiveHeaders[index], insertedByteCount: tagByteCount)
      notes |= receiveHeaders[index].flags | receiveHeaders[index].segmentation
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

  /// The same from a queue of a tap, in which tags are part of the frame.
  mutating func receive(tap descriptor: Int32, headByteCount: Int, into frames: UnsafeMutablePointer<OpaquePointer?>) -> Int {
    losses = Losses()
    let ready = prepare(headByteCount: headByteCount)
    guard ready > 0 else { return 0 }
    var live = 0
    var byteCount = 0
    for index in 0..<ready where byteCount < Self.burstByteCount {
      let code = cdpdk_read_pieces(descriptor, receivePieces + index * 3, tails[index] == nil ? 2 : 3)
      let length = code &- MemoryLayout<cdpdk_virtio_header>.size
      guard length > 0 else {
        if index == 0 { return code < 0 ? code : 0 }
        break
      }
      usedCount = max(usedCount, index &+ 1)
      // The kernel does not say whether it has cut a frame that fills the buffers.
      guard length < room(index), let mbuf = take(index, byteCount: length) else {
        lose(index, byteCount: length)
        continue
      }
      mbuf.note(receiveHeaders[index])
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
      let place = receivePieces + index * 3
      place[0] = iovec(iov_base: receiveHeaders + index, iov_len: MemoryLayout<cdpdk_virtio_header>.size)
      place[1] = iovec(iov_base: cdpdk_mbuf_data(head), iov_len: min(headByteCount, Int(cdpdk_mbuf_tailroom(head))))
      if let tail = tails[index] {
        place[2] = iovec(iov_base: cdpdk_mbuf_data(tail), iov_len: Int(cdpdk_mbuf_tailroom(tail)))
      }
      cdpdk_message_set(
        receiveMessages + index, place, tails[index] == nil ? 2 : 3, controls + index * Int(CDPDK_CONTROL_SIZE), Int(CDPDK_CONTROL_SIZE))
    }
    usedCount = 0
    return Limits.burst
  }

  /// Octets that a message's buffers hold.
  private func room(_ index: Int) -> Int {
    receivePieces[index * 3 + 1].iov_len &+ (tails[index] == nil ? 0 : receivePieces[index * 3 + 2].iov_len)
  }

  /// The frame in a message's buffers, which the next `prepare` replaces. Nil: they are too small for it.
  private func take(_ index: Int, byteCount: Int) -> Mbuf? {
    guard let head = heads[index], byteCount <= room(index) else { return nil }
    heads[index] = nil
    let headRoom = receivePieces[index * 3 + 1].iov_len
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

  // -- sending ----------------------------------------------------------------------------------------------------------

  /// Sends a batch on a packet socket. The frames stay the caller's: the kernel has copied what it took. Those that it did not take
  /// are in `refusals`; the ones behind them went all the same.
  ///
  /// - Parameter joins: frames of one flow and size leave as one train (`DatagramTrain`), whose first frame's headers are
  ///   overwritten.
  mutating func send(
    packetSocket descriptor: Int32, _ batch: UnsafeMutablePointer<OpaquePointer?>, _ count: Int, joins: Bool
  ) {
    refusalCount = 0
    var position = 0
    while position < count {
      // As many messages as the arrays hold.
      var messageCount = 0
      var pieceCount = 0
      while position < count && messageCount < Self.messageLimit {
        let train = train(batch, from: position, to: joins ? count : position &+ 1)
        // The kernel takes no longer chain, and nothing makes one.
        guard train.pieceCount <= Self.messagePieceLimit else {
          refuse(position, EMSGSIZE)
          position &+= 1
          continue
        }
        if pieceCount &+ train.pieceCount > Self.pieceLimit { break }
        let place = pieces + pieceCount
        let used =
          train.count > 1
          ? write(train, batch + position, message: messageCount, to: place)
          : writeFrame(Mbuf(batch[position].unsafelyUnwrapped), message: messageCount, to: place)
        cdpdk_message_set(messages + messageCount, place, used, nil, 0)
        frames[messageCount] = position..<position &+ train.count
        pieceCount &+= used
        messageCount &+= 1
        position &+= train.count
      }
      flush(descriptor, messageCount)
    }
  }

  /// Writes a batch to a queue of a tap.
  mutating func send(tap descriptor: Int32, _ batch: UnsafeMutablePointer<OpaquePointer?>, _ count: Int) {
    refusalCount = 0
    for position in 0..<count {
      let mbuf = Mbuf(batch[position].unsafelyUnwrapped)
      guard Int(cdpdk_mbuf_segment_count(mbuf.raw)) < Self.messagePieceLimit else {
        refuse(position, EMSGSIZE)
        continue
      }
      let used = writeFrame(mbuf, message: 0, to: pieces)
      let code = cdpdk_write_pieces(descriptor, pieces, Int32(truncatingIfNeeded: used))
      guard code < 0 else { continue }
      refuse(position, Int32(truncatingIfNeeded: -code))
      // The interface is down or gone: the same holds for the rest.
      if code == Int(-EIO) || code == Int(-EBADFD) {
        for rest in position &+ 1..<count { refuse(rest, Int32(truncatingIfNeeded: -code)) }
        return
      }
    }
  }

  private mutating func flush(_ descriptor: Int32, _ messageCount: Int) {
    var at = 0
    var isRepeated = false
    while at < messageCount {
      let code = Int(cdpdk_send_messages(descriptor, messages + at, UInt32(messageCount &- at)))
      if code > 0 {
        at &+= code
        isRepeated = false
        continue
      }
      let number = Int32(truncatingIfNeeded: -code)
      switch number {
      case ENOBUFS, EMSGSIZE, ENOMEM: break
      case EAGAIN:
        // The send buffer is full.
        return refuse(messagesFrom: at, to: messageCount, number)
      default:
        // The next call gives the error of an earlier event on the socket (the interface was down, a frame could not be received),
        // whatever the message is.
        if !isRepeated {
          isRepeated = true
          continue
        }
        // The interface is down or gone.
        if number == ENETDOWN || number == ENXIO || number == ENODEV { return refuse(messagesFrom: at, to: messageCount, number) }
      }
      refuse(messagesFrom: at, to: at &+ 1, number)
      at &+= 1
      isRepeated = false
    }
  }

  @inline(never)
  private mutating func refuse(messagesFrom first: Int, to end: Int, _ errorNumber: Int32) {
    for message in first..<end {
      for position in frames[message] { refuse(position, errorNumber) }
    }
  }

  private mutating func refuse(_ position: Int, _ errorNumber: Int32) {
    refusals[refusalCount] = Refusal(position: Int32(truncatingIfNeeded: position), errorNumber: errorNumber)
    refusalCount &+= 1
  }

  /// Frames that leave in one message.
  private struct Train {
    /// 1: the frame goes alone.
    var count = 1
    /// Pieces of the message, with the virtio-net header's.
    var pieceCount: Int
    /// Octets of the headers that the frames share.
    var headerByteCount = 0
  }

  /// The frames from `position` on that make one train.
  private func train(_ batch: UnsafeMutablePointer<OpaquePointer?>, from position: Int, to end: Int) -> Train {
    let first = Mbuf(batch[position].unsafelyUnwrapped)
    var train = Train(pieceCount: 1 &+ first.bufferCount)
    guard position &+ 1 < end else { return train }
    train.headerByteCount = DatagramTrain.headerByteCount(first.bytes)
    guard train.headerByteCount != 0, !first.hasRequest else { return train }
    let headerByteCount = train.headerByteCount
    let byteCount = first.byteCount
    var total = byteCount
    var next = position &+ 1
    while next < end && next &- position < DatagramTrain.limit {
      let mbuf = Mbuf(batch[next].unsafelyUnwrapped)
      let size = mbuf.byteCount
      guard size <= byteCount, !mbuf.hasRequest, Int(cdpdk_mbuf_segment_length(mbuf.raw)) >= headerByteCount,
        total &+ size &- headerByteCount <= DatagramTrain.byteLimit,
        train.pieceCount &+ mbuf.bufferCount <= Self.messagePieceLimit,
        DatagramTrain.isContinued(first.bytes, by: mbuf.bytes, headerByteCount: headerByteCount)
      else { break }
      total &+= size &- headerByteCount
      train.pieceCount &+= mbuf.bufferCount
      next &+= 1
      // A shorter one is the last.
      if size < byteCount { break }
    }
    train.count = next &- position
    return train
  }

  /// - Returns: pieces used.
  private func writeFrame(_ mbuf: Mbuf, message: Int, to place: UnsafeMutablePointer<iovec>) -> Int {
    headers[message] = mbuf.virtioHeader
    place[0] = iovec(iov_base: headers + message, iov_len: MemoryLayout<cdpdk_virtio_header>.size)
    return 1 &+ append(mbuf, from: 0, to: place + 1)
  }

  /// - Parameter frames: those of the train.
  private func write(
    _ train: Train, _ frames: UnsafeMutablePointer<OpaquePointer?>, message: Int, to place: UnsafeMutablePointer<iovec>
  ) -> Int {
    let first = Mbuf(frames[0].unsafelyUnwrapped)
    let headerByteCount = train.headerByteCount
    var payloadByteCount = first.byteCount &- headerByteCount
    headers[message] = cdpdk_virtio_header(trainBehind: headerByteCount, datagramByteCount: payloadByteCount)
    place[0] = iovec(iov_base: headers + message, iov_len: MemoryLayout<cdpdk_virtio_header>.size)
    var used = 1 &+ append(first, from: 0, to: place + 1)
    for index in 1..<train.count {
      let mbuf = Mbuf(frames[index].unsafelyUnwrapped)
      payloadByteCount &+= mbuf.byteCount &- headerByteCount
      used &+= append(mbuf, from: headerByteCount, to: place + used)
    }
    first.withMutableBytes { DatagramTrain.write(into: &$0, headerByteCount: headerByteCount, payloadByteCount: payloadByteCount) }
    return used
  }

  /// - Parameter offset: within the first buffer.
  private func append(_ mbuf: Mbuf, from offset: Int, to place: UnsafeMutablePointer<iovec>) -> Int {
    var used = 0
    var skip = offset
    var next: OpaquePointer? = mbuf.raw
    while let segment = next {
      let count = Int(cdpdk_mbuf_segment_length(segment)) &- skip
      if count > 0 {
        place[used] = iovec(iov_base: cdpdk_mbuf_data(segment) + skip, iov_len: count)
        used &+= 1
      }
      skip = 0
      next = cdpdk_mbuf_next(segment)
    }
    return used
  }
}
