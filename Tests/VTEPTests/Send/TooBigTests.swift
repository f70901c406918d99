// What the sender of a frame that is too big for its path gets: one answer, out of its port and in its VLAN, within a limit. The bytes of
// answers are PacketTooBigTests' matter.

import CDPDK
import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Too big")
  struct TooBigTests {
    private let guest = Topology.guest
    private let largest = Topology.underlayMTU - 36

    private func run(_ attachment: Attachment = .untagged, _ body: (DataplaneFixture) throws -> Void) throws {
      try DataplaneFixture.run(.ipv4, attachment) { plane in
        plane.change { $0.repliesTooBig = true }
        plane.test.shared.pointee.policyStates[Int(Place.vm1.rawValue)].reset(now: cdpdk_cycles())
        try body(plane)
      }
    }

    private func answer(_ frame: Frame, largest: Int) -> Frame {
      let question = frame.withUnsafeBytes { PacketTooBig(answering: $0.bytes, largestFrameByteCount: largest) }
      guard let question else { return [] }
      var answer = Frame(repeating: 0, count: question.frameByteCount)
      answer.withUnsafeMutableBytes { room in
        var span = room.mutableBytes
        frame.withUnsafeBytes { question.write(into: &span, quoting: $0.bytes) }
      }
      return answer
    }

    @Test("IPv4 and IPv6", arguments: Attachment.allCases)
    func answers(_ attachment: Attachment) throws {
      try run(attachment) { plane in
        let frames = [
          Frame.udp(from: guest(1), to: guest(21), byteCount: largest + 1), .udp6(from: guest(1), to: guest(21), byteCount: largest + 1),
        ]
        for frame in frames {
          plane.send(frame, from: .vm1)
          plane.expect(local: [.vm1: [answer(frame, largest: largest)]], drops: [.vm1: [.tooBigForUnderlay: 1]])
        }
      }
    }

    @Test("to an unknown station: an answer for the path of each copy; broadcast: none")
    func flooded() throws {
      try run { plane in
        let frame = Frame.udp(from: guest(1), to: guest(99), byteCount: largest + 1)
        plane.changePort(.vm2) { $0.isUp = false }
        plane.changePort(.vm3) { $0.isUp = false }
        plane.send(frame, from: .vm1)
        plane.send(.udp(from: guest(1), to: .broadcast, byteCount: largest + 1), from: .vm1)
        plane.expect(local: [.vm1: [answer(frame, largest: largest)]], drops: [.vm1: [.tooBigForUnderlay: 2]])
      }
    }

    @Test("the VLAN is the one that the station was seen in; one that is not known has the port's only one")
    func places() throws {
      try run(.tagged) { plane in
        let map = VLANMap([100: Topology.domain, 200: Topology.domain])
        plane.change { model in
          model.vlanMaps[Int(Place.vm1.rawValue)] = map
          model.ports[Int(Place.vm1.rawValue)].vlanDomains = map.domains
          model.domains[Int(Topology.domain)].locals.append(LocalTarget(port: Place.vm1.rawValue, vlan: 200))
        }
        let frame = Frame.udp(from: guest(1), to: guest(21), byteCount: largest + 1)
        plane.learn(guest(1), at: .port(Place.vm1.rawValue, vlan: 200))
        plane.sendRaw(frame.tagged(200), at: .vm1)
        plane.expect(raw: [.vm1: [answer(frame, largest: largest).tagged(200)]], drops: [.vm1: [.tooBigForUnderlay: 1]])
        // A first frame.
        let stranger = Frame.udp(from: guest(8), to: guest(21), byteCount: largest + 1)
        plane.sendRaw(stranger.tagged(200), at: .vm1)
        plane.run()
        _ = Sighting.takeAll(plane.test.learnRings[0])
        plane.expect(raw: [.vm1: [answer(stranger, largest: largest).tagged(200)]], drops: [.vm1: [.tooBigForUnderlay: 1]])
        // A station that the table has elsewhere: two VLANs, then one.
        try plane.setStatic(guest(9), at: .vtep(Topology.far))
        let placed = Frame.udp(from: guest(9), to: guest(21), byteCount: largest + 1)
        plane.sendRaw(placed.tagged(200), at: .vm1)
        plane.expect(drops: [.vm1: [.tooBigForUnderlay: 1]])
        plane.changeDomain { $0.locals.removeAll { $0.port == Place.vm1.rawValue && $0.vlan == 100 } }
        plane.sendRaw(placed.tagged(200), at: .vm1)
        plane.expect(raw: [.vm1: [answer(placed, largest: largest).tagged(200)]], drops: [.vm1: [.tooBigForUnderlay: 1]])
      }
    }

    @Test("a large segment gets one answer, about its first piece", arguments: [false, true])
    func segments(_ isIPv6: Bool) throws {
      try run { plane in
        plane.changePort(.vm1) { $0.features = .offersOffloads }
        let frame = TCPFrame(from: guest(1), to: guest(21), isIPv6: isIPv6, byteCount: 20_000)
        let room = largest - frame.headerByteCount
        plane.send(frame.bytes(finished: false), from: .vm1, as: .large(segment: UInt16(room)))
        plane.expect(tunnelled: frame.segments(room).map { plane.tunnelled(to: Topology.near, $0) })
        plane.send(frame.bytes(finished: false), from: .vm1, as: .large(segment: UInt16(room + 1)))
        let first = frame.segments(room + 1)[0]
        plane.expect(local: [.vm1: [answer(first, largest: largest)]], drops: [.vm1: [.tooBigForUnderlay: 1]])
      }
    }

    @Test("no more than the limit, and none when replies are off")
    func limit() throws {
      try run { plane in
        let frame = Frame.udp(from: guest(1), to: guest(21), byteCount: largest + 1)
        // The worker's clock stands still.
        var replies: [Frame] = []
        for _ in 0..<110 {
          plane.send(frame, from: .vm1)
          plane.run()
          replies += plane.take(.vm1)
        }
        #expect(replies == Array(repeating: answer(frame, largest: largest), count: 100))
        plane.expect(drops: [.vm1: [.tooBigForUnderlay: 110]])
        plane.worker.nowCycles = cdpdk_cycles() &+ cdpdk_cycles_per_second() / 40
        plane.send(frame, from: .vm1)
        plane.run()
        #expect(plane.take(.vm1) == [answer(frame, largest: largest)])
        plane.change { $0.repliesTooBig = false }
        plane.test.shared.pointee.policyStates[Int(Place.vm1.rawValue)].reset(now: plane.worker.nowCycles)
        plane.expect(drops: [.vm1: [.tooBigForUnderlay: 1]])
        plane.send(frame, from: .vm1)
        plane.expect(drops: [.vm1: [.tooBigForUnderlay: 1]])
      }
    }
  }
}
