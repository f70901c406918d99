// KernelSender: how one worker gives frames to packet sockets and taps. What it needs for that it has once, not once per port. A packet
// socket takes up to 64 messages per system call, of one frame or one train each; a tap takes one frame per call, which the kernel does
// not offer otherwise.

import CDPDK
import Encap
import Glibc

/// One worker's side of packet sockets and taps that it sends on.
struct KernelSender: ~Copyable {
  /// Messages of one system call.
  static let messageLimit = 64
  /// Buffers of the frames of one system call, and of one message of it (UIO_MAXIOV).
  private static let pieceLimit = 4096
  private static let messagePieceLimit = 1024

  private let messages: UnsafeMutablePointer<cdpdk_message>
  private let pieces: UnsafeMutablePointer<iovec>
  private let headers: UnsafeMutablePointer<cdpdk_virtio_header>
  /// Frames of the batch that each message holds.
  private let frames: UnsafeMutablePointer<Range<Int>>

  /// Frames of the last `send` that the kernel did not take, and its errno; in order.
  let refusals: UnsafeMutablePointer<Refusal>
  private(set) var refusalCount = 0

  struct Refusal {
    var position: Int32
    var errorNumber: Int32
  }

  init() {
    messages = .allocate(capacity: Self.messageLimit)
    messages.initialize(repeating: cdpdk_message(), count: Self.messageLimit)
    pieces = .allocate(capacity: Self.pieceLimit)
    pieces.initialize(repeating: iovec(), count: Self.pieceLimit)
    headers = .allocate(capacity: Self.messageLimit)
    headers.initialize(repeating: cdpdk_virtio_header(), count: Self.messageLimit)
    frames = .allocate(capacity: Self.messageLimit)
    frames.initialize(repeating: 0..<0, count: Self.messageLimit)
    refusals = .allocate(capacity: Limits.transmitBatch)
  }

  deinit {
    messages.deallocate()
    pieces.deallocate()
    headers.deallocate()
    frames.deallocate()
    refusals.deallocate()
  }

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
