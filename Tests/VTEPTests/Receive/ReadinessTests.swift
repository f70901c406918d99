import CDPDK
import Encap
import Glibc
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Queues that are read only when frames wait")
  struct ReadinessTests {
    /// Two workers; the second has `slots` queues that it waits for, behind one that it polls.
    private func storage(slots: [QueueSlot], serials: [UInt32], generation: UInt64 = 1) -> SnapshotStorage {
      var model = ForwardingModel(receiveQueues: [[], []], decapPolicy: DecapPolicy())
      model.receiveQueues[0] = [ReceiveQueue(port: 9, queue: 0, descriptor: 0, slot: 99, serial: 1)]
      model.receiveQueues[1] = zip(slots, serials).map { slot, serial in
        ReceiveQueue(port: PortIndex(slot.rawValue), queue: 0, descriptor: 0, slot: slot, serial: serial)
      }
      model.receiveQueues[1].append(ReceiveQueue(port: 500, queue: 0))
      return SnapshotStorage(model, generation: generation)
    }

    private func slots(_ readiness: borrowing Readiness, _ storage: SnapshotStorage) -> [Int?] {
      (0..<readiness.count).map { position in
        readiness.queue(at: position, storage.snapshot, worker: 1).map { Int($0.pointee.port) }
      }
    }

    @Test("a new queue is read once without an event, then after each event until it is empty")
    func events() throws {
      let epoll = cdpdk_epoll_create()
      let event = cdpdk_event_create()
      defer {
        close(epoll)
        close(event)
      }
      var readiness = Readiness(epoll: epoll)
      let first = storage(slots: [3, 4], serials: [2, 3])
      #expect(first.snapshot.pointee.polledQueueEnds[1] == 2 && first.snapshot.pointee.receiveQueueStarts[2] == 4)
      readiness.follow(first.snapshot, worker: 1)
      #expect(slots(readiness, first) == [3, 4])
      readiness.remove(at: 0)
      readiness.remove(at: 0)
      readiness.follow(first.snapshot, worker: 1)
      #expect(readiness.count == 0, "nothing is new")

      cdpdk_epoll_add(epoll, event, 4, 1)
      readiness.takeEvents(isBusy: false)
      #expect(readiness.count == 0)
      cdpdk_event_signal(event)
      readiness.takeEvents(isBusy: false)
      readiness.takeEvents(isBusy: false)
      #expect(slots(readiness, first) == [4], "once, however often it is asked")
      readiness.remove(at: 0)
      readiness.takeEvents(isBusy: false)
      #expect(readiness.count == 0, "an edge is reported once")

      let second = storage(slots: [3, 4, 7], serials: [2, 3, 4], generation: 2)
      readiness.follow(second.snapshot, worker: 1)
      #expect(slots(readiness, second) == [7])
    }

    @Test("while polled queues have frames, it asks for events only now and then")
    func busy() throws {
      let epoll = cdpdk_epoll_create()
      let event = cdpdk_event_create()
      defer {
        close(epoll)
        close(event)
      }
      var readiness = Readiness(epoll: epoll)
      cdpdk_epoll_add(epoll, event, 4, 1)
      readiness.takeEvents(isBusy: false)
      cdpdk_event_signal(event)
      for _ in 0..<20 { readiness.takeEvents(isBusy: true) }
      #expect(readiness.count == 0, "20 busy rounds without a system call")
      for _ in 0..<20 { readiness.takeEvents(isBusy: true) }
      #expect(readiness.count == 1, "but not without end")
      readiness.remove(at: 0)
      cdpdk_event_signal(event)
      readiness.takeEvents(isBusy: true)
      readiness.takeEvents(isBusy: false)
      #expect(readiness.count == 1, "at once when there is nothing else to do")
    }

    @Test("a slot that is free, another worker's, or beyond all is no queue")
    func others() throws {
      var readiness = Readiness(epoll: -1)
      let storage = storage(slots: [3], serials: [2])
      for slot: QueueSlot in [3, 5, 99, 8000] { readiness.add(slot) }
      #expect(slots(readiness, storage) == [3, nil, nil, nil])
    }

    @Test("more queues than one question for events reports")
    func many() throws {
      let epoll = cdpdk_epoll_create()
      let events = (0..<200).map { _ in cdpdk_event_create() }
      defer { for descriptor in events + [epoll] { close(descriptor) } }
      for (slot, event) in events.enumerated() {
        cdpdk_epoll_add(epoll, event, UInt64(slot), 1)
        cdpdk_event_signal(event)
      }
      var readiness = Readiness(epoll: epoll)
      while readiness.wait(microseconds: 0) {}
      #expect(readiness.count == 200)
    }
  }
}
