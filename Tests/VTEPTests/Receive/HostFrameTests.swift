// What passes between a NIC that DPDK drives and its tap: classes have limits, control frames come first and are not lost where others are.

import CDPDK
import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  /// The uplink is the NIC, and the second uplink's place is its tap.
  @Suite("Host frames")
  struct HostFrameTests {
    private let frame = Frame.udp(from: Topology.guest(21), to: Topology.guest(1))
    private let router = MACAddress(bits: 0x0200_0000_cc01)
    private var arp: Frame { Frame.arpRequest(from: router, target: 1) }
    private var ssh: Frame { Frame.udp(from: router, to: Topology.uplinkMAC) }

    private func run(sourceLocation: SourceLocation = #_sourceLocation, _ body: (DataplaneFixture) throws -> Void) throws {
      try DataplaneFixture.run(sourceLocation: sourceLocation) { plane in
        plane.ownUplink()
        // Budgets are full.
        plane.tick()
        plane.run()
        try body(plane)
      }
    }

    private func counted(_ plane: DataplaneFixture, _ place: Place, _ kind: HostFrameClass) -> [UInt64] {
      let counters = plane.test.counters[0]
      return [
        counters.hostFrames(port: place.rawValue, kind).pointee.value, counters.hostDrops(port: place.rawValue, kind).pointee.value,
      ]
    }

    @Test("a flood of control frames is cut to the limit of its class, and nothing else suffers", arguments: [Place.uplink, .secondUplink])
    func flood(_ place: Place) throws {
      try run { plane in
        let budget = Int(HostFrameClass.neighbor.limit / 20)
        let other: Place = place == .uplink ? .secondUplink : .uplink
        let lldp = Frame.ethernet(
          from: router, to: MACAddress(bits: 0x0180_c200_000e), type: 0x88cc, [UInt8](repeating: 7, count: 50))
        let before = counted(plane, place, .neighbor)
        for _ in 0..<budget + 100 { plane.sendRaw(arp, at: place) }
        plane.sendRaw(lldp, at: place)
        plane.sendRaw(ssh, at: place)
        plane.send(plane.packet(carrying: frame))
        plane.run()
        #expect(plane.take(other).map(\.hex) == ([Frame](repeating: arp, count: budget) + [lldp, ssh]).map(\.hex))
        plane.expect(local: [.vm1: [frame]], drops: [place: [.controlRateLimit: 100]])
        #expect(zip(counted(plane, place, .neighbor), before).map { $0 - $1 } == [UInt64(budget), 100])
        plane.tick()
        plane.expect()
        plane.sendRaw(arp, at: place)
        plane.run()
        #expect(plane.take(other).map(\.hex) == [arp.hex])
        plane.expect()
      }
    }

    @Test("control frames leave before what came in front of them", arguments: [Place.uplink, .secondUplink])
    func order(_ place: Place) throws {
      try run { plane in
        let bgp = TCPFrame(from: router, to: Topology.uplinkMAC, isIPv6: false, byteCount: 3000, destinationPort: 179)
        let ping = Frame.udp(from: router, to: Topology.uplinkMAC, byteCount: 120)
        for bytes in [ssh, ping, arp] { plane.sendRaw(bytes, at: place) }
        if place == .secondUplink {
          plane.sendRaw(
            bgp.bytes(finished: false), at: place, segments: [1500, 1500], as: .placed(covered: 3032, offset: 16, segment: 1448))
        } else {
          plane.sendRaw(bgp.segments(1448)[0], at: place)
        }
        plane.run()
        let urgent = [arp] + (place == .secondUplink ? bgp.segments(1448) : [bgp.segments(1448)[0]])
        #expect(plane.take(place == .uplink ? .secondUplink : .uplink).map(\.hex) == (urgent + [ssh, ping]).map(\.hex))
        plane.expect()
      }
    }

    @Test("control frames wait for room in the NIC, where others are dropped; the oldest goes when there are too many")
    func fullNIC() throws {
      try run { plane in
        let small = try TestRuntime.shared().smallPort()
        plane.changePort(.uplink) { $0.device = small.device.portID }
        let lldp = Frame.ethernet(from: router, to: MACAddress(bits: 0x0180_c200_000e), type: 0x88cc, [UInt8](repeating: 7, count: 50))
        for _ in 0..<small.capacity + 5 { plane.sendRaw(ssh, at: .secondUplink) }
        plane.run()
        #expect(plane.deltas.drops == [.uplink: [.transmitFull: 5]])
        plane.sendRaw(lldp, at: .secondUplink)
        plane.run()
        for _ in 0..<Limits.controlFrames { plane.sendRaw(arp, at: .secondUplink) }
        plane.run()
        // What goes to the tap does not wait for the NIC.
        small.put(arp)
        plane.put[Int(Place.uplink.rawValue)].add(arp.count)
        plane.run()
        #expect(plane.take(.secondUplink).map(\.hex) == [arp.hex])
        // The first two had to make room.
        #expect(plane.deltas.drops == [.uplink: [.transmitFull: 7]])
        #expect(small.take().map(\.hex) == [Frame](repeating: ssh, count: small.capacity).map(\.hex))
        var waited: [Frame] = []
        while waited.count < Limits.controlFrames - 1 {
          plane.run()
          let sent = small.take()
          try #require(!sent.isEmpty)
          waited += sent
        }
        #expect(waited.map(\.hex) == [Frame](repeating: arp, count: Limits.controlFrames - 1).map(\.hex))
        for _ in 0..<small.capacity { plane.taken[Int(Place.uplink.rawValue)].add(ssh.count) }
        for _ in 1..<Limits.controlFrames { plane.taken[Int(Place.uplink.rawValue)].add(arp.count) }
        plane.expect(drops: [.uplink: [.transmitFull: 7]])
      }
    }

    @Test("of a NIC that receives more than the worker takes, VXLAN packets are dropped, and control frames pass")
    func overload() throws {
      try run { plane in
        let packet = plane.packet(carrying: frame)
        /// Bursts of VXLAN, with an ARP request in each, while the clock goes on.
        func fill(_ bursts: Int) {
          for _ in 0..<bursts {
            for _ in 1..<Limits.burst { plane.send(packet) }
            plane.sendRaw(arp, at: .uplink)
          }
        }
        func received() -> (data: Int, arp: Int) { (plane.take(.vm1).count, plane.take(.secondUplink).count) }

        // A burst that passes: nothing is lost, however full the queue is.
        plane.worker.nowCycles = 1000
        fill(20)
        plane.run()
        #expect(received() == (20 * 31, 20))
        plane.expect()

        // It stays full for more than a tenth of a second.
        fill(7)
        #expect(plane.worker.runOnce() == Limits.burst)
        plane.worker.nowCycles += UplinkLoad.patience
        #expect(plane.worker.runOnce() == Limits.burst)
        #expect(received() == (2 * 31, 7))
        // A burst of frames is none the less processed, if it is short.
        let short = Int(Worker.burstsBeforeRelief)
        fill(short)
        plane.run()
        #expect(received() == (short * 31, short))
        plane.expect(drops: [.uplink: [.receiveFull: 5 * 31]])
        // Overload goes on, and so it is found sooner.
        fill(short + 7)
        plane.run()
        #expect(received() == (short * 31, short + 7))
        plane.expect(drops: [.uplink: [.receiveFull: 7 * 31]])
        // More than a queue of the usual length: what is left over is looked through after one more burst.
        fill(short + Worker.burstsOfRelief + 4)
        plane.run()
        #expect(received() == ((short + 1) * 31, short + Worker.burstsOfRelief + 4))
        plane.expect(drops: [.uplink: [.receiveFull: (Worker.burstsOfRelief + 3) * 31]])

        // The host's own traffic has its share meanwhile.
        let share = Int(HostFrameClass.host.limit / 20)
        for _ in 0..<share + 100 { plane.sendRaw(ssh, at: .uplink) }
        plane.run()
        #expect(plane.take(.secondUplink).count == share)
        plane.expect(drops: [.uplink: [.hostRateLimit: 100]])
        // And all that it wants later.
        plane.worker.nowCycles += UplinkLoad.patience
        for _ in 0..<share + 100 { plane.sendRaw(ssh, at: .uplink) }
        plane.run()
        #expect(plane.take(.secondUplink).count == share + 100)
        plane.expect()
      }
    }

    @Test("where no control frames come, nothing is dropped for them")
    func dataOnly() throws {
      try run { plane in
        // Other tests have used this worker's counters.
        for kind in HostFrameClass.allCases { plane.test.counters[0].hostFrames(port: Place.uplink.rawValue, kind).pointee.set(0) }
        plane.worker.nowCycles = 1000
        for _ in 0..<8 * Limits.burst { plane.send(plane.packet(carrying: frame)) }
        #expect(plane.worker.runOnce() == Limits.burst)
        plane.worker.nowCycles += UplinkLoad.patience
        plane.expect(local: [.vm1: [Frame](repeating: frame, count: 8 * Limits.burst)])
      }
    }
  }
}

extension TestRuntime {
  nonisolated(unsafe) private static var small: MemoryPort?

  /// One more, of few frames.
  fileprivate func smallPort() throws -> MemoryPort {
    if Self.small == nil { Self.small = try MemoryPort(name: "test-small", capacity: 31, runtime: runtime) }
    return Self.small!
  }
}
