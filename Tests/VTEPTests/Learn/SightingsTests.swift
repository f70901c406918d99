// What a worker remembers of sources it has just found in the table must not outlive a change of the table: a guest that
// moves or is forgotten is noticed with its first frame, also when the one before came in the same second.

import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Remembered sightings")
  struct SightingsTests {
    private let guest = Topology.guest

    private var key: MACKey { MACKey(domain: Topology.domain, mac: guest(1)) }

    /// Sends the frame of guest 1 that the worker then remembers, changes the table, and sends the same again.
    private func check(
      _ attachment: Attachment, isCrowded: Bool, learned: Bool, sourceLocation: SourceLocation = #_sourceLocation,
      change: (MACTable) throws -> Void
    ) throws {
      try DataplaneFixture.run(.ipv4, attachment) { plane in
        if isCrowded { plane.crowd() }
        let frame = Frame.udp(from: guest(1), to: guest(2))
        for _ in 0..<3 { plane.send(frame, from: .vm1) }
        plane.expect(local: [.vm2: [frame, frame, frame]], sourceLocation: sourceLocation)
        try change(plane.table)
        plane.send(frame, from: .vm1)
        let event = Sighting.port(guest(1), .vm1, vlan: attachment.vlan)
        plane.expect(local: [.vm2: [frame]], learned: learned ? [event] : [], sourceLocation: sourceLocation)
      }
    }

    @Test("moved, removed, flushed, aged: reported at once", arguments: Attachment.allCases, [false, true])
    func changes(_ attachment: Attachment, isCrowded: Bool) throws {
      func check(_ learned: Bool, sourceLocation: SourceLocation = #_sourceLocation, change: (MACTable) throws -> Void) throws {
        try self.check(attachment, isCrowded: isCrowded, learned: learned, sourceLocation: sourceLocation, change: change)
      }
      try check(true) { _ = $0.learn(key, at: .port(Place.vm3.rawValue, vlan: 0), nowSeconds: 0) }
      try check(true) { _ = $0.learn(key, at: .vtep(Topology.far), nowSeconds: 0) }
      try check(true) { $0.remove(key) }
      try check(true) { table in
        // Guest 2 must stay known, or the frame would be flooded.
        table.flush(port: Place.vm1.rawValue)
      }
      try check(true) { table in
        table.configureDomain(Topology.domain, ageSeconds: 10, limit: 0)
        let other = MACKey(domain: Topology.domain, mac: guest(2))
        _ = table.learn(other, at: .port(Place.vm2.rawValue, vlan: attachment.vlan), nowSeconds: 1000)
        _ = table.sweep(slots: table.slotCount, nowSeconds: 1000)
      }
      // The operator's word is not contested, and another guest's move is no reason to ask again.
      try check(false) { try $0.setStatic(key, at: .vtep(Topology.far), type: .static) }
      try check(false) { table in
        _ = table.learn(MACKey(domain: Topology.domain, mac: guest(77)), at: .vtep(Topology.far), nowSeconds: 0)
      }
    }

    @Test("a flush of the whole domain", arguments: Attachment.allCases)
    func domainFlush(_ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment) { plane in
        plane.changeDomain { $0.flood = [] }
        let frame = Frame.arpRequest(from: guest(1), target: 2)
        plane.send(frame, from: .vm1)
        plane.expect(local: [.vm2: [frame], .vm3: [frame]])
        plane.table.flush(domain: Topology.domain)
        plane.send(frame, from: .vm1)
        plane.expect(local: [.vm2: [frame], .vm3: [frame]], learned: [.port(guest(1), .vm1, vlan: attachment.vlan)])
      }
    }

    @Test("the same source at another place is another sighting")
    func otherPlace() throws {
      try DataplaneFixture.run { plane in
        let frame = Frame.udp(from: guest(1), to: guest(2))
        for place in [Place.vm1, .vm3, .vm1, .vm3] {
          plane.send(frame, from: place)
          plane.expect(local: [.vm2: [frame]], learned: place == .vm3 ? [.port(guest(1), .vm3)] : [])
        }
        plane.send(plane.packet(carrying: frame))
        plane.expect(local: [.vm2: [frame]], learned: [.vtep(guest(1), Topology.near)])
      }
    }

    @Test("seen again in another second", arguments: Family.allCases)
    func seconds(_ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        let out = Frame.udp(from: guest(1), to: guest(2))
        let back = Frame.udp(from: guest(21), to: guest(2))
        for second in UInt32(100)..<105 {
          plane.worker.nowSeconds = second
          for _ in 0..<2 {
            plane.send(plane.packet(carrying: back))
            plane.send(out, from: .vm1)
            plane.expect(local: [.vm2: [back, out]])
          }
          #expect(plane.entry(guest(1))?.lastSeenSeconds == second)
          #expect(plane.entry(guest(21))?.lastSeenSeconds == second)
        }
      }
    }

    @Test("a remembered remote source that the operator gives to a local port is a loop", arguments: Family.allCases)
    func becomesOwn(_ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        let frame = Frame.udp(from: guest(21), to: guest(1))
        for learns in [true, false] {
          plane.changeDomain { $0.entry.learnsFromVTEPs = learns }
          for _ in 0..<2 {
            plane.send(plane.packet(carrying: frame))
            plane.expect(local: [.vm1: [frame]])
          }
          try plane.setStatic(guest(21), at: .port(Place.vm3.rawValue, vlan: 0))
          for _ in 0..<2 {
            plane.send(plane.packet(carrying: frame))
            plane.expect(drops: [.uplink: [.innerSourceOwn: 1]])
          }
          plane.table.remove(MACKey(domain: Topology.domain, mac: guest(21)))
          plane.learn(guest(21), at: .vtep(Topology.near))
        }
      }
    }

    @Test("more stations than are remembered", arguments: [false, true])
    func manyStations(_ isCrowded: Bool) throws {
      try DataplaneFixture.run { plane in
        if isCrowded { plane.crowd() }
        for number in 0..<UInt64(5000) { plane.learn(guest(0x10000 + number), at: .port(Place.vm1.rawValue, vlan: 0)) }
        let frames = (0..<UInt64(5000)).map { Frame.udp(from: guest(0x10000 + $0), to: guest(2), byteCount: 60) }
        for _ in 0..<2 {
          for frame in frames { plane.send(frame, from: .vm1) }
          plane.expect(local: [.vm2: frames])
        }
        // All from elsewhere: every one is reported.
        for frame in frames { plane.send(frame, from: .vm3) }
        plane.expect(
          local: [.vm2: frames], learned: (0..<UInt64(5000)).map { .port(guest(0x10000 + $0), .vm3) })
      }
    }
  }
}
