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
    private static let framesPerPort = 4000
    private static let sources: [Place] = [.vm1, .vm2]

    /// The inner UDP source port is the frame's number.
    private func frame(_ place: Place, _ number: Int) -> Frame {
      let guest = Topology.guest(place == .vm1 ? 1 : 2)
      return .udp(from: guest, to: Topology.guest(21), FlowFields(sourcePort: UInt16(number)), byteCount: 60 + number % 200)
    }

    @Test("two threads, one transmit queue", arguments: [false, true])
    func oneQueue(_ sleepsWhenIdle: Bool) throws {
      let test = try TestRuntime.shared()
      let freeBuffers = test.freeBufferCount
      let table = try MACTable(
        capacity: 1024, portCount: Limits.ports, vtepCount: Limits.vteps, domainCount: Limits.domains)
      for (number, place) in [(1, Place.vm1), (2, .vm2)] {
        let key = MACKey(domain: Topology.domain, mac: Topology.guest(UInt64(number)))
        _ = table.learn(key, at: .port(place.rawValue, vlan: 0), nowSeconds: 0)
      }
      _ = table.learn(MACKey(domain: Topology.domain, mac: Topology.guest(21)), at: .vtep(Topology.near), nowSeconds: 0)

      var model = Topology.model(.ipv4, .untagged, ports: test.ports)
      model.receiveQueues = Self.sources.map { [ReceiveQueue(port: $0.rawValue, queue: 0)] }
      let shared = try TestRuntime.sharedState()
      var publisher = SnapshotPublisher(shared: shared)
      publisher.publish(model)
      let before = test.counters.map(CounterValues.init)
      let contexts = UnsafeMutablePointer<WorkerContext>.allocate(capacity: TestRuntime.workers)
      for worker in 0..<TestRuntime.workers {
        (contexts + worker).initialize(
          to: DataplaneFixture.context(worker, test, table.reader, shared, sleepsWhenIdle: sleepsWhenIdle))
        try VTEPError.check(
          rte_eal_remote_launch(WorkerLoop.entry, contexts + worker, UInt32(worker + 1)), "start worker \(worker)")
      }

      var sent: [[UInt8]] = []
      for number in 0..<Self.framesPerPort {
        for place in Self.sources { test.ports[Int(place.rawValue)].put(frame(place, number)) }
        if number % 20 == 19 {
          // The same, anew: everything a worker holds of the old one is freed.
          publisher.publish(model)
          publisher.waitForWorkers()
          sent += test.ports[Int(Place.uplink.rawValue)].take()
        }
      }
      let deadline = time(nil) + 60
      while sent.count < Self.sources.count * Self.framesPerPort && time(nil) < deadline {
        sent += test.ports[Int(Place.uplink.rawValue)].take()
        usleep(1000)
      }
      shared.pointee.stops.store(true, ordering: .sequentiallyConsistent)
      for worker in 0..<TestRuntime.workers { #expect(rte_eal_wait_lcore(UInt32(worker + 1)) == 0) }
      sent += test.ports[Int(Place.uplink.rawValue)].take()

      // Every frame once, whole, and in its port's order.
      for place in Self.sources {
        let mac = [UInt8].octets(Topology.guest(place == .vm1 ? 1 : 2))
        let inner = sent.filter { Array($0[56..<62]) == mac }.map { Array($0[50...]) }
        #expect(inner == (0..<Self.framesPerPort).map { frame(place, $0) }, "\(place)")
      }
      #expect(sent.count == Self.sources.count * Self.framesPerPort)
      let after = test.counters.map(CounterValues.init)
      for (place, (now, then)) in zip(Self.sources, zip(after, before)) {
        #expect(now.received(place, since: then).packets == Self.framesPerPort)
        #expect(now.sent(.uplink, since: then).packets == Self.framesPerPort)
        #expect(now.drops(since: then) == [:])
      }
      contexts.deallocate()
      for port in test.ports { port.drain() }
      #expect(test.freeBufferCount == freeBuffers, "packet buffers leaked")
    }
  }
}
