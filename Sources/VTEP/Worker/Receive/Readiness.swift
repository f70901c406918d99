// Readiness: which of a worker's receive queues have frames waiting. The cost of a round grows with these queues, not with all that
// there are: a queue is read from an event of its descriptor on until it says that it is empty.
//
// Descriptors are watched for edges: one event for each time that frames arrive in an empty queue. So a queue must be read until it is
// empty, and one that is new must be read once without an event, since that may have come before the snapshot that names the queue.

import CDPDK
import Glibc
import MACTable

struct Readiness: ~Copyable {
  private let epoll: Int32
  private let events: UnsafeMutablePointer<epoll_event>
  /// Slots of queues to read.
  private let ready: UnsafeMutablePointer<QueueSlot>
  private(set) var count = 0
  /// By slot.
  private let isReady: UnsafeMutablePointer<Bool>
  /// The newest queue that has been taken note of.
  private var latestSerial: UInt32 = 0
  /// This worker waits for queues.
  private var hasQueues = false
  /// It has others, which nothing can wait for.
  private(set) var mustPoll = false
  private var roundsSinceEvents = 0
  /// The control side's event has come.
  private var isSignalled = false

  private static let eventLimit: Int32 = 64
  /// Rounds between two questions for events while there is enough to do: with queues that events have named, and with polled ones.
  /// Each is a system call, an eighth of the time of a round with a full burst from a polled queue; 32 such rounds take 50 µs.
  private static let busyRounds = 8
  private static let polledRounds = 32

  /// Data of the event that names no queue and only wakes the worker; with its descriptor in the low bits.
  static let wakeEvent = UInt64(1) << 32

  /// - Parameter epoll: -1: there is nothing to wait for.
  init(epoll: Int32) {
    self.epoll = epoll
    events = .allocate(capacity: Int(Self.eventLimit))
    events.initialize(repeating: epoll_event(), count: Int(Self.eventLimit))
    ready = .allocate(capacity: Limits.receiveQueues)
    isReady = .allocate(capacity: Limits.receiveQueues)
    isReady.initialize(repeating: false, count: Limits.receiveQueues)
  }

  deinit {
    events.deallocate()
    ready.deallocate()
    isReady.deallocate()
  }

  /// There are queues to read, or events to ask for.
  @inline(always)
  var isDue: Bool { hasQueues }

  /// Takes note of the queues of a new snapshot.
  mutating func follow(_ snapshot: UnsafePointer<ForwardingSnapshot>, worker: Int) {
    let begin = Int(snapshot.pointee.polledQueueEnds[worker])
    let end = Int(snapshot.pointee.receiveQueueStarts[worker + 1])
    hasQueues = begin < end || count > 0
    mustPoll = Int(snapshot.pointee.receiveQueueStarts[worker]) < begin
    guard snapshot.pointee.latestQueueSerial > latestSerial else { return }
    for position in begin..<end where snapshot.pointee.receiveQueues[position].serial > latestSerial {
      add(snapshot.pointee.receiveQueues[position].slot)
    }
    latestSerial = snapshot.pointee.latestQueueSerial
  }

  /// Has a queue read.
  mutating func add(_ slot: QueueSlot) {
    guard !isReady[Int(slot)] else { return }
    isReady[Int(slot)] = true
    ready[count] = slot
    count &+= 1
  }

  /// The queue is empty. Another one takes its position.
  mutating func remove(at position: Int) {
    count &-= 1
    isReady[Int(ready[position])] = false
    ready[position] = ready[count]
  }

  /// Nil: no queue of this worker has the slot any more.
  func queue(at position: Int, _ snapshot: UnsafePointer<ForwardingSnapshot>, worker: Int) -> UnsafePointer<ReceiveQueue>? {
    let slot = Int(ready[position])
    guard slot < snapshot.pointee.slotCount else { return nil }
    let place = snapshot.pointee.queuesOfSlots[slot]
    guard place >= snapshot.pointee.polledQueueEnds[worker], place < snapshot.pointee.receiveQueueStarts[worker &+ 1] else { return nil }
    return snapshot.pointee.receiveQueues + Int(place)
  }

  /// Asks for events, unless that was a few rounds ago and there is something else to do.
  ///
  /// - Parameter isBusy: polled queues had frames in this round.
  @inline(always)
  mutating func takeEvents(isBusy: Bool) {
    roundsSinceEvents &+= 1
    let patience = count > 0 ? Self.busyRounds : isBusy ? Self.polledRounds : 0
    if roundsSinceEvents >= patience { wait(microseconds: 0) }
  }

  /// Whether the control side's event has come since the last question.
  @inline(always)
  mutating func takeSignal() -> Bool {
    defer { isSignalled = false }
    return isSignalled
  }

  /// Waits for events, and notes the queues that they name.
  ///
  /// - Returns: false when the time was over first.
  @discardableResult
  @inline(never)
  mutating func wait(microseconds: Int) -> Bool {
    roundsSinceEvents = 0
    let found = Int(cdpdk_epoll_wait(epoll, events, Self.eventLimit, microseconds))
    guard found > 0 else { return false }
    for index in 0..<found {
      let data = events[index].data.u64
      if data < Self.wakeEvent {
        add(QueueSlot(rawValue: UInt16(truncatingIfNeeded: data)))
      } else {
        cdpdk_event_clear(Int32(truncatingIfNeeded: data & 0xffff_ffff))
        isSignalled = true
      }
    }
    return true
  }
}
