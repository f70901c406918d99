// Two worker threads on one device with one transmit queue, while snapshots come and go: nothing is lost, doubled or mixed
// up, and the order within a port is kept.

import CDPDK
import Encap
import Glibc
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Several workers")
  struct SharedQueueTests {
    /// What worker n receives from.
    private static let sources: [Place] = [.vm1, .vm2]
    private let test: TestRuntime
    private let table: MACTable
    private let model: ForwardingModel

    init() throws {
      test = try TestRuntime.shared()
      table = try MACTable(capacity: 1024, portCount: Limits.ports, vtepCount: Limits.vteps, domainCount: Limits.domains)
      for (number, place) in [(1, Place.vm1), (2, .vm2)] {
        let key = MACKey(domain: Topology.domain, mac: Topology.guest(UInt64(number)))
        _ = table.learn(key, at: .port(place.rawValue, vlan: 0), nowSeconds: 0)
      }
      _ = table.learn(MACKey(domain: Topology.domain, mac: Topology.guest(21)), at: .vtep(Topology.near), nowSeconds: 0)
      var model = Topology.model(.ipv4, .untagged, ports: test.ports)
      model.receiveQueues = Self.sources.map { [ReceiveQueue(port: $0.rawValue, queue: 0)] }
      self.model = model
    }

    /// The inner UDP source port is the frame's number.
    private func frame(_ place: Place, _ number: Int, to station: UInt64 = 21) -> Frame {
      let guest = Topology.guest(place == .vm1 ? 1 : 2)
      return .udp(from: guest, to: Topology.guest(station), FlowFields(sourcePort: UInt16(number)), byteCount: 60 + number % 200)
    }

    private func port(_ place: Place) -> MemoryPort { test.ports[Int(place.rawValue)] }

    private func waitUntil(_ condition: () -> Bool) -> Bool {
      let deadline = time(nil) + 60
      while !condition() {
        if time(nil) > deadline { return false }
        usleep(1000)
      }
      return true
    }

    /// Runs `body` with both workers going, and checks that they have received `count` frames each, sent as many, dropped
    /// none, and kept no buffer. `body` returns what it took from the uplink.
    private func withWorkers(
      sleepsWhenIdle: Bool, frames count: Int, _ body: (inout SnapshotPublisher) throws -> [[UInt8]]
    ) throws {
      let freeBuffers = test.freeBufferCount
      let before = test.counters.map(CounterValues.init)
      let threads = try WorkerThreads(test, table.reader, sleepsWhenIdle: sleepsWhenIdle)
      defer { threads.stop() }
      var publisher = SnapshotPublisher(shared: threads.shared)
      publisher.publish(model)
      try threads.start()
      let sent = try body(&publisher)
      threads.stop()

      // Every frame once, whole, and in its port's order.
      for place in Self.sources {
        let mac = [UInt8].octets(Topology.guest(place == .vm1 ? 1 : 2))
        let inner = sent.filter { Array($0[56..<62]) == mac }.map { Array($0[50...]) }
        #expect(inner == (0..<count).map { frame(place, $0) }, "\(place)")
      }
      #expect(sent.count == Self.sources.count * count)
      let after = test.counters.map(CounterValues.init)
      for (place, (now, then)) in zip(Self.sources, zip(after, before)) {
        #expect(now.received(place, since: then).packets == count)
        #expect(now.sent(.uplink, since: then).packets == count)
        #expect(now.drops(since: then) == [:])
      }
      for port in test.ports { port.drain() }
      #expect(test.freeBufferCount == freeBuffers, "packet buffers leaked")
    }

    @Test("two threads, one transmit queue, and a new snapshot every few frames", arguments: [false, true])
    func oneQueue(_ sleepsWhenIdle: Bool) throws {
      let count = 3000
      try withWorkers(sleepsWhenIdle: sleepsWhenIdle, frames: count) { publisher in
        var sent: [[UInt8]] = []
        for number in 0..<count {
          for place in Self.sources { port(place).put(frame(place, number)) }
          if number % 20 == 19 {
            // The same, anew: everything a worker holds of the old one is freed.
            publisher.publish(model)
            publisher.waitForWorkers()
            sent += port(.uplink).take()
          }
        }
        _ = waitUntil {
          sent += port(.uplink).take()
          return sent.count >= Self.sources.count * count
        }
        return sent
      }
    }

    @Test("a NIC with as many transmit queues as workers: each has one, whatever the flow, and waits for nobody")
    func queuePerWorker() throws {
      let count = 500
      let freeBuffers = test.freeBufferCount
      let nic = try MemoryPort(name: "test-nic", capacity: 2047, queues: 2, runtime: test.runtime)
      let index = Int(Place.vm3.rawValue)
      let key = MACKey(domain: Topology.domain, mac: Topology.guest(3))
      _ = table.learn(key, at: .port(Place.vm3.rawValue, vlan: 0), nowSeconds: 0)
      var model = model
      FrameDevice.ethdev(nic.device).fill(&model.ports[index])
      model.ports[index].transmitQueues = 2
      model.ports[index].hasWorkerQueues = true
      let locks = test.transmitLocks + index * Limits.workers
      for queue in 0..<2 { cdpdk_spin_lock(locks + queue) }
      let threads = try WorkerThreads(test, table.reader, sleepsWhenIdle: false)
      var publisher = SnapshotPublisher(shared: threads.shared)
      publisher.publish(model)
      try threads.start()
      for number in 0..<count {
        for place in Self.sources { port(place).put(frame(place, number, to: 3)) }
      }
      var found: [[[UInt8]]] = [[], []]
      let isComplete = waitUntil {
        found[0] += nic.take()
        found[1] += nic.takeFromSecondQueue()
        return found[0].count + found[1].count == 2 * count
      }
      for queue in 0..<2 { cdpdk_spin_unlock(locks + queue) }
      threads.stop()
      #expect(isComplete)
      for (queue, place) in Self.sources.enumerated() { #expect(found[queue] == (0..<count).map { frame(place, $0, to: 3) }, "\(place)") }
      for port in test.ports { port.drain() }
      #expect(test.freeBufferCount == freeBuffers, "packet buffers leaked")
      try nic.device.remove(subject: "test-nic")
    }

    @Test("a worker does not transmit while another one does")
    func lock() throws {
      try withWorkers(sleepsWhenIdle: false, frames: 100) { _ in
        // As the other worker would, in the middle of transmitting.
        let lock = test.transmitLocks + Int(Place.uplink.rawValue) * Limits.workers
        cdpdk_spin_lock(lock)
        for number in 0..<100 {
          for place in Self.sources { port(place).put(frame(place, number)) }
        }
        let isTaken = waitUntil { Self.sources.allSatisfy { port($0).waitingCount < 100 } }
        // Long enough for a worker without manners; one that waits is not disturbed by waiting longer.
        usleep(50_000)
        let sentMeanwhile = port(.uplink).sentCount
        cdpdk_spin_unlock(lock)
        #expect(isTaken)
        #expect(sentMeanwhile == 0)
        _ = waitUntil { port(.uplink).sentCount == 200 }
        return port(.uplink).take()
      }
    }
  }
}
