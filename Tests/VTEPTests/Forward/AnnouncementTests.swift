// Announcements of guests that have arrived: which frame, where to, and how often.

import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Announcements")
  struct AnnouncementTests {
    /// RFC 903, octet by octet: "reverse request", no IP addresses, padded to 60.
    private static func frame(_ mac: MACAddress) -> Frame {
      let body: [UInt8] = [0, 1, 8, 0, 6, 4, 0, 3] + .octets(mac) + [0, 0, 0, 0] + .octets(mac) + [0, 0, 0, 0]
      let frame = Frame.ethernet(from: mac, to: .broadcast, type: 0x8035, body)
      return frame + [UInt8](repeating: 0, count: 60 - frame.count)
    }

    private func announcement(_ serial: UInt64, _ number: UInt64, _ plane: DataplaneFixture) -> Announcement {
      Announcement(
        serial: serial, key: MACKey(domain: Topology.domain, mac: Topology.guest(number)),
        place: .port(Place.vm1.rawValue, vlan: plane.attachment.vlan))
    }

    @Test("goes where a broadcast of the guest would go, once", arguments: Family.allCases, Attachment.allCases)
    func onceEverywhere(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        let frame = Self.frame(Topology.guest(1))
        plane.change { $0.announcements = [announcement(1, 1, plane)] }
        plane.expect(local: [.vm2: [frame], .vm3: [frame]], tunnelled: [plane.tunnelled(to: Topology.group, frame)])
        // It stays in the snapshots for a while: other changes repeat nothing, a newer one is sent.
        plane.change { _ in }
        plane.expect()
        let next = Self.frame(Topology.guest(0x31))
        plane.change { $0.announcements.append(announcement(2, 0x31, plane)) }
        plane.expect(local: [.vm2: [next], .vm3: [next]], tunnelled: [plane.tunnelled(to: Topology.group, next)])
        plane.change { $0.announcements = [] }
        plane.expect()
      }
    }

    @Test("with nobody to tell it is a drop with a reason")
    func nobody() throws {
      try DataplaneFixture.run { plane in
        plane.change { model in
          model.domains[Int(Topology.domain)].flood = []
          model.domains[Int(Topology.domain)].locals.removeAll { $0.port != Place.vm1.rawValue }
          model.announcements = [announcement(1, 1, plane)]
        }
        plane.expect(drops: [.vm1: [.floodNoReceiver: 1]])
      }
    }

    @Test("a RARP that the guest's own side asks for passes with anti-spoofing, and is learned")
    func requestedByTheHypervisor() throws {
      try DataplaneFixture.run { plane in
        plane.limit(.vm1) { settings in
          settings.antiSpoofing = true
          settings.macs = [Topology.guest(0x31)]
        }
        let frame = Self.frame(Topology.guest(0x31))
        plane.send(frame, from: .vm1)
        plane.expect(
          local: [.vm2: [frame], .vm3: [frame]], tunnelled: [plane.tunnelled(to: Topology.group, frame)],
          learned: [.port(Topology.guest(0x31), .vm1)])
      }
    }
  }
}
