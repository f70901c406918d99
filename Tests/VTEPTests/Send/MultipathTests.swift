// Several next hops to one VTEP: flows spread over them, one flow never does.

import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Multipath")
  struct MultipathTests {
    private let guest = Topology.guest

    private func frame(_ flow: Int) -> Frame {
      .udp(from: guest(1), to: guest(21), FlowFields(sourcePort: UInt16(1024 + flow)), byteCount: 60)
    }

    private func setPaths(_ plane: DataplaneFixture, _ places: [Place]) {
      plane.setAdjacencies(Topology.near, places.map { Topology.adjacency(Topology.near, plane.family, via: $0) })
    }

    /// The flows that leave by each uplink, told by their inner source port.
    private func flows(_ plane: DataplaneFixture, _ place: Place) -> [Int] {
      let inner = plane.family == .ipv4 ? 50 : 70
      return plane.take(place).map { Int($0.big16(at: inner + 34)) - 1024 }
    }

    @Test("flows use both next hops, each flow only one", arguments: Family.allCases)
    func twoPaths(_ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        setPaths(plane, [.uplink, .secondUplink])
        var first: Set<Int> = []
        var second: Set<Int> = []
        for _ in 0..<3 {
          for flow in 0..<400 { plane.send(frame(flow), from: .vm1) }
          plane.run()
          let counts = (flows(plane, .uplink), flows(plane, .secondUplink))
          #expect(counts.0.count + counts.1.count == 400)
          first.formUnion(counts.0)
          second.formUnion(counts.1)
        }
        #expect(first.isDisjoint(with: second), "a flow changed its way")
        #expect(first.union(second).count == 400)
        #expect(first.count > 120 && second.count > 120, "\(first.count) and \(second.count) of 400 flows")
        plane.expect()
      }
    }

    @Test("a next hop listed three times gets three quarters")
    func weights() throws {
      try DataplaneFixture.run { plane in
        setPaths(plane, [.uplink, .uplink, .uplink, .secondUplink])
        for flow in 0..<1000 { plane.send(frame(flow), from: .vm1) }
        plane.run()
        let count = flows(plane, .uplink).count
        #expect(count > 650 && count < 850, "\(count) of 1000")
        #expect(count + flows(plane, .secondUplink).count == 1000)
        plane.expect()
      }
    }

    @Test("source ports stay spread over the range on each path", arguments: Family.allCases)
    func sourcePorts(_ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        setPaths(plane, [.uplink, .secondUplink])
        for flow in 0..<1000 { plane.send(frame(flow), from: .vm1) }
        plane.run()
        let udp = family == .ipv4 ? 34 : 54
        for place in [Place.uplink, .secondUplink] {
          let packets = plane.take(place)
          let ports = Set(packets.map { $0.big16(at: udp) })
          #expect(ports.allSatisfy { $0 >= 49_152 })
          #expect(ports.count * 10 >= packets.count * 9, "\(ports.count) source ports for \(packets.count) flows")
          // Both halves of the range.
          #expect(ports.contains { $0 < 57_344 } && ports.contains { $0 >= 57_344 })
        }
        plane.expect()
      }
    }

    @Test("one unresolved next hop holds its flows only")
    func halfResolved() throws {
      try DataplaneFixture.run { plane in
        let resolved = Topology.adjacency(Topology.near, .ipv4)
        let unresolved = Topology.adjacency(Topology.near, .ipv4, via: .secondUplink, isResolved: false)
        plane.setAdjacencies(Topology.near, [resolved, unresolved])
        for flow in 0..<100 { plane.send(frame(flow), from: .vm1) }
        plane.run()
        let sent = flows(plane, .uplink)
        #expect(sent.count + plane.worker.held.count == 100)
        setPaths(plane, [.uplink, .secondUplink])
        plane.run()
        let late = flows(plane, .secondUplink)
        #expect(late == late.sorted() && Set(late).union(sent).count == 100)
        #expect(flows(plane, .uplink).isEmpty)
        plane.expect()
      }
    }
  }
}
