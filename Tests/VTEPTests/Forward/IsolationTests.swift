// Isolated ports: to the overlay and to ports that are not isolated, and nowhere else.

import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Access: isolation")
  struct IsolationTests {
    private let guest = Topology.guest

    /// Ports vm1 and vm2 are isolated, vm3 is not.
    private func run(_ attachment: Attachment, _ body: (DataplaneFixture) throws -> Void) throws {
      try DataplaneFixture.run(.ipv4, attachment) { plane in
        for place in [Place.vm1, .vm2] { plane.changePort(place) { $0.features.insert(.isIsolated) } }
        try body(plane)
      }
    }

    @Test("unicast", arguments: Attachment.allCases)
    func unicast(_ attachment: Attachment) throws {
      try run(attachment) { plane in
        plane.send(.udp(from: guest(1), to: guest(2)), from: .vm1)
        plane.expect(drops: [.vm1: [.portIsolated: 1]])
        let toOpen = Frame.udp(from: guest(1), to: guest(3))
        let back = Frame.udp(from: guest(3), to: guest(1))
        let away = Frame.udp(from: guest(1), to: guest(21))
        plane.send(toOpen, from: .vm1)
        plane.send(back, from: .vm3)
        plane.send(away, from: .vm1)
        plane.expect(local: [.vm3: [toOpen], .vm1: [back]], tunnelled: [plane.tunnelled(to: Topology.near, away)])
        let fromAway = Frame.udp(from: guest(21), to: guest(2))
        plane.send(plane.packet(carrying: fromAway))
        plane.expect(local: [.vm2: [fromAway]])
      }
    }

    @Test("flooded", arguments: Attachment.allCases)
    func flooded(_ attachment: Attachment) throws {
      try run(attachment) { plane in
        let broadcast = Frame.arpRequest(from: guest(1), target: 9)
        let unknown = Frame.udp(from: guest(1), to: guest(99))
        plane.send(broadcast, from: .vm1)
        plane.send(unknown, from: .vm1)
        plane.expect(
          local: [.vm3: [broadcast, unknown]],
          tunnelled: [plane.tunnelled(to: Topology.group, broadcast), plane.tunnelled(to: Topology.group, unknown)])
        let open = Frame.arpRequest(from: guest(3), target: 9)
        plane.send(open, from: .vm3)
        plane.expect(local: [.vm1: [open], .vm2: [open]], tunnelled: [plane.tunnelled(to: Topology.group, open)])
        let away = Frame.arpRequest(from: guest(21), target: 9)
        plane.send(plane.packet(carrying: away))
        plane.expect(local: [.vm1: [away], .vm2: [away], .vm3: [away]])
      }
    }

    @Test("nobody else is there: the reason says why")
    func nobody() throws {
      try run(.untagged) { plane in
        plane.changeDomain { $0.flood = [] }
        plane.changePort(.vm3) { $0.isUp = false }
        plane.send(.arpRequest(from: guest(1), target: 9), from: .vm1)
        plane.expect(drops: [.vm1: [.portIsolated: 1]])
        plane.changePort(.vm2) { $0.isUp = false }
        plane.send(.arpRequest(from: guest(1), target: 9), from: .vm1)
        plane.expect(drops: [.vm1: [.portDown: 1]])
      }
    }

    @Test("places of one isolated port do not reach each other")
    func samePort() throws {
      try run(.untagged) { plane in
        plane.change { model in
          let index = Int(Place.vm1.rawValue)
          model.vlanMaps[index] = VLANMap([100: Topology.domain])
          model.ports[index].vlanDomains = model.vlanMaps[index]?.domains
          model.domains[Int(Topology.domain)].locals.append(LocalTarget(port: Place.vm1.rawValue, vlan: 100))
          model.domains[Int(Topology.domain)].flood = []
        }
        plane.learn(guest(5), at: .port(Place.vm1.rawValue, vlan: 100))
        let broadcast = Frame.arpRequest(from: guest(5), target: 9)
        plane.sendRaw(Frame.udp(from: guest(5), to: guest(1)).tagged(100), at: .vm1)
        plane.sendRaw(broadcast.tagged(100), at: .vm1)
        plane.expect(local: [.vm3: [broadcast]], drops: [.vm1: [.portIsolated: 1]])
      }
    }
  }
}
