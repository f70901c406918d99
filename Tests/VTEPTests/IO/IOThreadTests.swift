// An io-core between a NIC in memory and the rings of four workers: flows are spread and stay in order, control frames pass when rings are
// full, and what the NIC does not take waits.

import CDPDK
import Encap
import Glibc
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("io-core")
  struct IOThreadTests {
    /// A NIC that holds 63 frames in each direction, which cannot be given back to DPDK.
    private nonisolated(unsafe) static let nic = Result {
      try MemoryPort(name: "io-nic", capacity: 63, runtime: TestRuntime.shared().runtime)
    }
    private static let counters = try! WorkerCounters()
    private let source = Topology.guest(21)
    private let destination = Topology.guest(1)

    /// A NIC with rings, an io-core that has both, and a count of buffers that are left over afterwards.
    private func run(rings count: Int = 4, _ body: (Scene) throws -> Void) throws {
      let test = try TestRuntime.shared()
      let nic = try Self.nic.get()
      nic.drain()
      let free = test.freeBufferCount
      let rings = try RingDevice(nic.device, workers: Array(repeating: nil, count: count), subject: "test")
      try body(try Scene(nic, rings, Self.counters))
      rings.close()
      nic.drain()
      #expect(test.freeBufferCount == free, "packet buffers are left over")
    }

    private func flow(_ number: Int, _ sequence: Int) -> Frame {
      var frame = Frame.udp(from: source, to: destination, FlowFields(sourcePort: UInt16(1000 + number)), byteCount: 60)
      frame.replaceSubrange(56..<60, with: [UInt8].big16(UInt16(number)) + .big16(UInt16(sequence)))
      return frame
    }

    @Test("flows are spread over all workers, and each stays in order with one of them")
    func flows() throws {
      try run { scene in
        var found = Array(repeating: [Frame](), count: 4)
        for sequence in 0..<20 {
          for number in 0..<50 { scene.nic.put(flow(number, sequence)) }
          scene.run()
          for ring in 0..<4 { found[ring] += scene.take(ring) }
        }
        #expect(found.allSatisfy { $0.count >= 100 }, "\(found.map(\.count))")
        for number in 0..<50 {
          let places = (0..<4).filter { ring in found[ring].contains { $0.big16(at: 56) == number } }
          #expect(places.count == 1)
          let sequences = found[places[0]].filter { $0.big16(at: 56) == number }.map { Int($0.big16(at: 58)) }
          #expect(sequences == Array(0..<20))
        }
      }
    }

    @Test("the NIC's hash decides where it tells one")
    func hashes() throws {
      try run { scene in
        for hash in [0, 0x3fff_ffff, 0x4000_0000, 0xffff_ffff] as [UInt32] {
          let buffer = MemoryPort.buffer(of: flow(1, 1), pool: scene.pool)
          cdpdk_mbuf_set_hash(buffer, hash)
          scene.nic.put(buffer)
        }
        scene.run()
        #expect((0..<4).map { scene.take($0).count } == [2, 1, 0, 1])
      }
    }

    @Test("fragments go with each other, and whatever has no flow goes somewhere")
    func others() throws {
      try run { scene in
        for number in 0..<20 {
          var first = flow(number, 0)
          first.replaceSubrange(20..<22, with: [0x20, 0])
          var later = flow(100 + number, 1)
          later.replaceSubrange(20..<22, with: [0, 8])
          scene.nic.put(first)
          scene.nic.put(later)
        }
        scene.run()
        #expect((0..<4).map { scene.take($0).count }.sorted() == [0, 0, 0, 40])
        for frame in [
          [1, 2, 3], [], Frame.arpRequest(from: source, target: 1), Frame.ethernet(from: source, to: .broadcast, type: 0x88cc, []),
        ] {
          scene.nic.put(frame)
        }
        scene.run()
        #expect((0..<4).map { scene.take($0).count }.reduce(0, +) == 4)
      }
    }

    @Test("a full ring keeps room for control frames", arguments: [1, 4])
    func fullRings(_ count: Int) throws {
      try run(rings: count) { scene in
        let arp = Frame.arpRequest(from: source, target: 1)
        let before = scene.dropped
        // A worker, this io-core, the slow path.
        let settings = CaptureSettings(filter: try PacketFilter("udp port 1007"), onlyDrops: true)
        let capture = try Capture(settings, port: Place.uplink.rawValue, Captures(shared: scene.shared, threads: 3))
        defer { capture.stop() }
        // All of one flow, whose ring is found out.
        for sequence in 0..<1000 {
          scene.nic.put(flow(7, sequence))
          scene.run()
        }
        let ring = (0..<count).first { cdpdk_packets_room(scene.rings.pairs[$0].toWorker) < 1023 } ?? 0
        #expect(scene.dropped - before == 1000 - (1023 - 128))
        // What is dropped here is in captures, like all drops.
        let captured = capture.take(limit: .max, byteLimit: .max, names: CaptureNames(ports: [Place.uplink.rawValue: "nic"]))
        #expect(captured.map(\.octets) == ((1023 - 128)..<1000).map { flow(7, $0) })
        #expect(captured.allSatisfy { $0.reason == .receiveFull && $0.port == "nic" && $0.direction == .dropped })
        for _ in 0..<100 {
          scene.nic.put(arp)
          scene.run()
        }
        let all = (0..<count).map { scene.take($0) }
        #expect(all.joined().count { $0 == arp } == 100 && scene.dropped - before == 1000 - (1023 - 128))
        #expect(all[ring].filter { $0 != arp }.map { Int($0.big16(at: 58)) } == Array(0..<(1023 - 128)))
        // Of control frames there may be too many, too.
        for _ in 0..<1100 {
          scene.nic.put(arp)
          scene.run()
        }
        #expect(scene.dropped - before == 1000 - (1023 - 128) + 77)
      }
    }

    @Test("what workers send leaves in order; what the NIC does not take waits, and nothing overtakes it")
    func sending() throws {
      try run(rings: 2) { scene in
        for sequence in 0..<100 { scene.give(flow(1, sequence), ring: 0) }
        scene.give(flow(2, 0), ring: 1)
        var sent: [Frame] = []
        for _ in 0..<10 {
          scene.run()
          #expect(scene.nic.sentCount <= 63)
          sent += scene.nic.take()
        }
        #expect(sent.filter { $0.big16(at: 56) == 1 }.map { Int($0.big16(at: 58)) } == Array(0..<100))
        #expect(sent.count == 101)
        // A NIC that takes nothing any more: rings fill, and are emptied when it goes.
        for sequence in 0..<500 { scene.give(flow(1, sequence), ring: 0) }
        for _ in 0..<10 { scene.run() }
        #expect(scene.nic.sentCount == 63 && scene.rings.queues[0].unsentCount > 0)
      }
    }

    @Test("a worker in a long nap is woken, others are not")
    func waking() throws {
      let event = cdpdk_event_create()
      let sleeper = Sleeper.make(event: event)
      func isSignalled() -> Bool {
        var value: UInt64 = 0
        return read(event, &value, 8) == 8
      }
      for (nap, wakes) in [(32, false), (1000, true), (0, false)] {
        sleeper.pointee.note(nap: nap)
        sleeper.pointee.wake()
        #expect(isSignalled() == wakes)
        sleeper.pointee.wake()
        #expect(!isSignalled(), "once is enough")
      }
    }

    // -- control ---------------------------------------------------------------------------------------------------------

    @Test("the reconciler gives a NIC's queues to io-cores, and takes them back before it closes the NIC")
    func control() throws {
      try run(rings: 2) { scene in
        let effects = try RecordedEffects()
        effects.rings = scene.rings
        var underlay = UnderlaySettings(addresses: [IPAddress(ipv4: 0xc000_0201)], devices: ["vtep0"])
        underlay.nics = ["0000:03:00.0"]
        let machine = Machine(socketOfCPU: [0: 0, 1: 0, 2: 0])
        let owned = [Machine.NIC(name: "0000:03:00.0", socket: 0)]
        let placement = Placement(machine, workers: 2, cores: [1, 2], nics: owned, ioCores: [0], owned: owned)
        var state = ControlState(underlay, workers: 2, effects: effects, placement: placement)
        try state.attachUnderlay(underlay)
        try state.apply(state.desired)
        #expect(state.model.ioQueues.map { $0.map(\.place.reason) } == [["the only io-core"]])
        let port = state.underlay.devices[0].portIndex
        #expect(scene.rings.queues[0].port == port && state.model.ports[Int(port)].transmitQueues == 2)
        let queues = state.model.receiveQueues.map { $0.filter { $0.kind == .ring }.map(\.queue) }
        #expect(queues == [[0], [1]] && effects.handedOver == [0])
        state.detachUnderlay(keeping: [])
        #expect(state.model.ioQueues.map(\.count) == [0])
        _ = effects.take()
        state.settle()
        let done = effects.take()
        let (wait, close) = (done.firstIndex(of: .wait) ?? .max, done.firstIndex(of: .close("underlay.tap vtep0")) ?? -1)
        #expect(done.first == .publish && wait < close, "\(done)")
      }
    }
  }
}

/// What an io-core sees: a NIC, and rings to workers that only exist here.
private final class Scene {
  let nic: MemoryPort
  let rings: RingDevice
  let pool: OpaquePointer
  let shared: UnsafeMutablePointer<SharedState>
  private let counters: WorkerCounters
  private var thread: IOThread

  init(_ nic: MemoryPort, _ rings: RingDevice, _ counters: WorkerCounters) throws {
    self.nic = nic
    self.rings = rings
    self.counters = counters
    let test = try TestRuntime.shared()
    pool = test.runtime.pool
    shared = try TestRuntime.sharedState()
    var publisher = SnapshotPublisher(shared: shared)
    var model = ForwardingModel(workers: 1)
    let place = Placement.Queue(worker: 0, socket: nil, reason: "", crossesSockets: false)
    rings.queues[0].port = Place.uplink.rawValue
    model.ioQueues = [[ForwardingModel.PlacedIOQueue(queue: rings.queues, number: 0, port: Place.uplink.rawValue, place: place)]]
    publisher.publish(model)
    var context = try IOContext(index: 0, workers: 1, shared: shared, sleepsWhenIdle: false)
    context.counters = counters
    thread = IOThread(context)
    self.publisher = publisher
  }

  /// Owns the snapshot.
  private let publisher: SnapshotPublisher

  /// Until there is nothing to receive.
  func run() {
    repeat { _ = thread.runOnce() } while nic.waitingCount > 0
  }

  /// What a worker finds.
  func take(_ ring: Int) -> [Frame] {
    var frames: [Frame] = []
    var frame: OpaquePointer?
    while cdpdk_packets_take(rings.pairs[ring].toWorker, &frame, 1) == 1 {
      frames.append(MemoryPort.bytes(of: frame!))
      cdpdk_mbuf_free(frame)
    }
    return frames
  }

  /// What a worker sends.
  func give(_ frame: Frame, ring: Int) {
    var buffer: OpaquePointer? = MemoryPort.buffer(of: frame, pool: pool)
    precondition(cdpdk_packets_put(rings.pairs[ring].fromWorker, &buffer, 1) == 1, "ring full")
  }

  var dropped: Int { Int(counters.drop(port: Place.uplink.rawValue, .receiveFull).pointee.value) }
}
