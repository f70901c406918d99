// Neighbour suppression in the packet path: which requests are answered, which pass, and what workers tell of addresses.

import Encap
import MACTable
import Testing

@testable import VTEP

/// ARP and ND, octet by octet.
private enum Question {
  static let mac = Topology.guest

  static func ip(_ host: UInt64) -> IPAddress { IPAddress(ipv4: 0x0a00_0000 | UInt32(host)) }
  static func ip6(_ host: UInt64) -> IPAddress { IPAddress(high: 0x2001_0db8_0001_0000, low: host) }

  static func arp(
    _ operation: UInt16 = 1, from source: UInt64, hardware: UInt64? = nil, protocolAddress: IPAddress? = nil, target: IPAddress,
    to destination: MACAddress = .broadcast
  ) -> Frame {
    let payload =
      [0, 1, 8, 0, 6, 4] + Frame.big16(operation) + Frame.octets(mac(hardware ?? source)) + (protocolAddress ?? ip(source)).bytes
      + [0, 0, 0, 0, 0, 0] + target.bytes
    return .ethernet(from: mac(source), to: destination, type: 0x0806, payload + [UInt8](repeating: 0, count: 18))
  }

  static func arpAnswer(_ target: UInt64, address: IPAddress, to asker: UInt64) -> Frame {
    let payload = [0, 1, 8, 0, 6, 4, 0, 2] + Frame.octets(mac(target)) + address.bytes + Frame.octets(mac(asker)) + ip(asker).bytes
    return .ethernet(from: mac(target), to: mac(asker), type: 0x0806, payload + [UInt8](repeating: 0, count: 18))
  }

  static func nd(
    type: UInt8, from source: UInt64, ipSource: IPAddress, ipDestination: IPAddress, to destination: MACAddress, flags: UInt32 = 0,
    target: IPAddress, options: [UInt8], hopLimit: UInt8 = 255, damage: UInt8 = 0
  ) -> Frame {
    var message: [UInt8] = [type, 0, 0, 0] + Frame.big32(flags) + target.bytes + options
    let pseudo = ipSource.bytes + ipDestination.bytes + Frame.big32(UInt32(message.count)) + [0, 0, 0, 58]
    message.replaceSubrange(2..<4, with: Frame.big16((pseudo + message).internetChecksum))
    message[3] ^= damage
    let header: [UInt8] = [0x60, 0, 0, 0] + Frame.big16(UInt16(message.count)) + [58, hopLimit] + ipSource.bytes + ipDestination.bytes
    return .ethernet(from: mac(source), to: destination, type: 0x86dd, header + message)
  }

  static func solicitation(
    from source: UInt64, ipSource: IPAddress? = nil, target: IPAddress, options: [UInt8]? = nil, hopLimit: UInt8 = 255, damage: UInt8 = 0
  ) -> Frame {
    let group = IPAddress(high: 0xff02_0000_0000_0000, low: 0x1_ff00_0000 | target.low & 0xff_ffff)
    return nd(
      type: 135, from: source, ipSource: ipSource ?? ip6(source), ipDestination: group, to: group.multicastMAC, target: target,
      options: options ?? [1, 1] + Frame.octets(mac(source)), hopLimit: hopLimit, damage: damage)
  }

  static func advertisement(_ target: UInt64, address: IPAddress, to asker: UInt64, flags: UInt32 = 0x4000_0000) -> Frame {
    nd(
      type: 136, from: target, ipSource: address, ipDestination: ip6(asker), to: mac(asker), flags: flags, target: address,
      options: [2, 1] + Frame.octets(mac(target)))
  }

  /// Of guest N to all nodes: an unsolicited advertisement.
  static func announcement(_ host: UInt64, address: IPAddress, flags: UInt32) -> Frame {
    nd(
      type: 136, from: host, ipSource: address, ipDestination: IPAddress(high: 0xff02 << 48, low: 1),
      to: MACAddress(bits: 0x3333_0000_0001), flags: flags, target: address, options: [2, 1] + Frame.octets(mac(host)))
  }
}

extension DataplaneTests {
  @Suite("Neighbour suppression")
  struct SuppressionTests {
    private typealias Q = Question
    private let guest = Topology.guest

    /// Guest N has the addresses 10.0.0.N and 2001:db8:1::N; those of guests 1, 2, 21 and 22 are known.
    private func run(
      _ family: Family = .ipv4, _ attachment: Attachment = .untagged, isOn: Bool = true, _ body: (DataplaneFixture) throws -> Void
    ) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        plane.changeDomain {
          $0.entry.suppressesNeighbors = isOn
        }
        for host in [1, 2, 21, 22] as [UInt64] {
          for address in [Q.ip(host), Q.ip6(host)] {
            plane.neighbors.state(InnerNeighborKey(domain: Topology.domain, address: address), mac: guest(host), by: .controller)
            plane.neighbors.observe(
              InnerNeighborKey(domain: Topology.domain, address: address), mac: guest(host), by: host < 20 ? .local : .overlay,
              nowSeconds: 0)
          }
        }
        try body(plane)
      }
    }

    private func answers(_ plane: DataplaneFixture, _ count: UInt64, passes: UInt64 = 0, _ body: () -> Void) {
      let (answers, floods) = (plane.test.counters[0].neighborAnswers, plane.test.counters[0].neighborPasses)
      let before = (answers[Int(Topology.domain)].value, floods[Int(Topology.domain)].value)
      body()
      #expect(answers[Int(Topology.domain)].value - before.0 == count && floods[Int(Topology.domain)].value - before.1 == passes)
    }

    @Test(
      "a request for a known address is answered at the port it came from, and nowhere else", arguments: Family.allCases,
      Attachment.allCases)
    func answered(_ family: Family, _ attachment: Attachment) throws {
      try run(family, attachment) { plane in
        answers(plane, 4) {
          plane.send(Q.arp(from: 1, target: Q.ip(21)), from: .vm1)
          plane.send(Q.arp(from: 1, target: Q.ip(2)), from: .vm1)
          plane.expect(
            local: [.vm1: [Q.arpAnswer(21, address: Q.ip(21), to: 1), Q.arpAnswer(2, address: Q.ip(2), to: 1)]])
          plane.send(Q.solicitation(from: 1, target: Q.ip6(21)), from: .vm1)
          plane.send(Q.solicitation(from: 1, target: Q.ip6(2)), from: .vm1)
          plane.expect(
            local: [.vm1: [Q.advertisement(21, address: Q.ip6(21), to: 1), Q.advertisement(2, address: Q.ip6(2), to: 1)]])
        }
      }
    }

    /// Sends a frame of guest 1's, and expects that everybody gets it.
    private func expectFlooded(
      _ plane: DataplaneFixture, _ frame: Frame, learned: [Sighting] = [], to ports: [Place] = [.vm2, .vm3], passes: UInt64 = 0,
      sourceLocation: SourceLocation = #_sourceLocation
    ) {
      answers(plane, 0, passes: passes) {
        plane.send(frame, from: .vm1)
        plane.expect(
          local: Dictionary(uniqueKeysWithValues: ports.map { ($0, [frame]) }), tunnelled: [plane.tunnelled(to: Topology.group, frame)],
          learned: learned, sourceLocation: sourceLocation)
      }
    }

    @Test("what must reach everybody passes")
    func passes() throws {
      try run { plane in
        // Unknown; an announcement, a probe, an answer; the owner asks itself; a sender that speaks for another.
        expectFlooded(plane, Q.arp(from: 1, target: Q.ip(99)), passes: 1)
        expectFlooded(plane, Q.arp(from: 1, target: Q.ip(1)))
        expectFlooded(plane, Q.arp(from: 1, protocolAddress: IPAddress(ipv4: 0), target: Q.ip(21)))
        expectFlooded(plane, Q.arp(2, from: 1, target: Q.ip(21)))
        expectFlooded(plane, Q.arp(from: 1, hardware: 5, target: Q.ip(21)))
        expectFlooded(
          plane, Q.arp(from: 1, protocolAddress: Q.ip(77), target: Q.ip(1)), learned: [.claim(guest(1), Q.ip(77), by: .local)],
          passes: 1)
        // Duplicate address detection; unsolicited advertisement; no link-layer address; link-local; damaged.
        expectFlooded(plane, Q.solicitation(from: 1, ipSource: IPAddress(high: 0, low: 0), target: Q.ip6(21), options: []))
        expectFlooded(
          plane, Q.announcement(1, address: Q.ip6(1), flags: 0x2000_0000),
          learned: [.claim(guest(1), Q.ip6(1), by: .local, role: .host)])
        expectFlooded(plane, Q.solicitation(from: 1, target: Q.ip6(21), options: []))
        expectFlooded(plane, Q.solicitation(from: 1, target: Q.ip6(21), options: [1, 0, 0, 0, 0, 0, 0, 0]))
        expectFlooded(plane, Q.solicitation(from: 1, target: Q.ip6(21), damage: 1))
        expectFlooded(plane, Q.solicitation(from: 1, target: Q.ip6(21), hopLimit: 64))
        let linkLocal = IPAddress(high: 0xfe80 << 48, low: 21)
        plane.neighbors.state(InnerNeighborKey(domain: Topology.domain, address: linkLocal), mac: guest(21), by: .file)
        expectFlooded(plane, Q.solicitation(from: 1, target: linkLocal), passes: 1)
      }
    }

    @Test("for a link-local address the answer says whether its station is a router, as that has told")
    func linkLocal() throws {
      try run { plane in
        let linkLocal = IPAddress(high: 0xfe80 << 48, low: 21)
        let key = InnerNeighborKey(domain: Topology.domain, address: linkLocal)
        let question = Q.solicitation(from: 1, target: linkLocal)
        // The station's own question tells of its address, and not what it is.
        plane.neighbors.observe(key, mac: guest(21), by: .overlay, nowSeconds: 0)
        expectFlooded(plane, question, passes: 1)
        for (role, flags) in [(.router, 0xc000_0000), (.host, 0x4000_0000)] as [(NeighborRole, UInt32)] {
          plane.neighbors.observe(key, mac: guest(21), by: .overlay, role: role, nowSeconds: 0)
          answers(plane, 1) {
            plane.send(question, from: .vm1)
            plane.expect(local: [.vm1: [Q.advertisement(21, address: linkLocal, to: 1, flags: flags)]])
          }
        }
        // From the overlay: what it announces is noted, and once.
        let announcement = Q.announcement(21, address: linkLocal, flags: 0x8000_0000)
        let flooded: [Place: [Frame]] = [.vm1: [announcement], .vm2: [announcement], .vm3: [announcement]]
        plane.send(plane.packet(carrying: announcement))
        plane.expect(local: flooded, learned: [.claim(guest(21), linkLocal, by: .overlay, role: .router)])
        plane.neighbors.observe(key, mac: guest(21), by: .overlay, role: .router, nowSeconds: 0)
        plane.send(plane.packet(carrying: announcement))
        plane.expect(local: flooded)
      }
    }

    @Test("the first frame of a station may be a reply, which nobody else sees")
    func firstReply() throws {
      try run { plane in
        let local = Q.arpAnswer(9, address: Q.ip(9), to: 2)
        plane.send(local, from: .vm3)
        plane.expect(
          local: [.vm2: [local]], learned: [.claim(guest(9), Q.ip(9), by: .local), .port(guest(9), .vm3)])
        let remote = Q.arpAnswer(29, address: Q.ip(29), to: 2)
        plane.send(plane.packet(carrying: remote))
        plane.expect(
          local: [.vm2: [remote]], learned: [.claim(guest(29), Q.ip(29), by: .overlay), .vtep(guest(29), Topology.near)])
      }
    }

    @Test("without a flood set a claim takes nobody's address: the operator's and the controller's word counts, then the latest claim")
    func withoutFloodSet() throws {
      try run { plane in
        plane.changeDomain { $0.flood = [] }
        let question = Q.arp(from: 1, target: Q.ip(21))
        let key = InnerNeighborKey(domain: Topology.domain, address: Q.ip(21))
        func expectAnswer(_ owner: UInt64) {
          answers(plane, 1) {
            plane.send(question, from: .vm1)
            plane.expect(local: [.vm1: [Q.arpAnswer(owner, address: Q.ip(21), to: 1)]])
          }
        }
        func expectLocalFlood() {
          answers(plane, 0, passes: 1) {
            plane.send(question, from: .vm1)
            plane.expect(local: [.vm2: [question], .vm3: [question]])
          }
        }
        // A host here claims what the controller has given to guest 21.
        plane.neighbors.observe(key, mac: guest(2), by: .local, nowSeconds: 10)
        expectAnswer(21)
        // The controller gives it to that host, and guest 21 goes on: who is here hears the question.
        plane.neighbors.state(key, mac: guest(2), by: .controller)
        plane.neighbors.observe(key, mac: guest(21), by: .overlay, nowSeconds: 11)
        expectLocalFlood()
        // The controller names two.
        plane.neighbors.state(key, mac: guest(21), by: .controller, isAmbiguous: true)
        expectLocalFlood()
        // It names none: who has taken over last. Here it is asked, beyond it is answered for.
        plane.neighbors.state(key, mac: nil, by: .controller)
        plane.neighbors.observe(key, mac: guest(22), by: .overlay, nowSeconds: 12)
        expectAnswer(22)
        plane.neighbors.observe(key, mac: guest(2), by: .local, nowSeconds: 13)
        expectLocalFlood()
      }
    }

    @Test("nobody answers for an address that is contested, or whose station is gone or behind the same binding")
    func doubtful() throws {
      try run { plane in
        let question = Q.arp(from: 1, target: Q.ip(21))
        let key = InnerNeighborKey(domain: Topology.domain, address: Q.ip(21))
        plane.neighbors.observe(key, mac: guest(22), by: .overlay, nowSeconds: 10)
        expectFlooded(plane, question, passes: 1)
        plane.neighbors.state(key, mac: nil, by: .controller)
        expectFlooded(plane, question, passes: 1)
        plane.neighbors.sweep(nodes: 100, nowSeconds: 10)
        expectFlooded(plane, question, passes: 1)
        // Only the latest station is left, and nobody else was seen for long.
        plane.neighbors.observe(key, mac: guest(22), by: .overlay, nowSeconds: 400)
        let asker = InnerNeighborKey(domain: Topology.domain, address: Q.ip(1))
        plane.neighbors.observe(asker, mac: guest(1), by: .local, nowSeconds: 400)
        plane.neighbors.sweep(nodes: 100, nowSeconds: 400)
        answers(plane, 1) {
          plane.send(question, from: .vm1)
          plane.expect(local: [.vm1: [Q.arpAnswer(22, address: Q.ip(21), to: 1)]])
        }
        // Guest 4 is known by its address, and then learned beside guest 1.
        let silent = InnerNeighborKey(domain: Topology.domain, address: Q.ip(4))
        plane.neighbors.state(silent, mac: guest(4), by: .file)
        expectFlooded(plane, Q.arp(from: 1, target: Q.ip(4)), passes: 1)
        plane.learn(guest(4), at: .port(Place.vm1.rawValue, vlan: 0))
        expectFlooded(plane, Q.arp(from: 1, target: Q.ip(4)), passes: 1)
      }
      try run { plane in
        for place in [Place.vm1, .vm2] { plane.changePort(place) { $0.features.insert(.isIsolated) } }
        expectFlooded(plane, Q.arp(from: 1, target: Q.ip(2)), to: [.vm3], passes: 1)
        plane.changePort(.vm1) { $0.features.remove(.isIsolated) }
        plane.changePort(.vm2) { $0.isUp = false }
        expectFlooded(plane, Q.arp(from: 1, target: Q.ip(2)), to: [.vm3], passes: 1)
      }
    }

    @Test("requests from the overlay are not answered, and claims in them are noted", arguments: Family.allCases)
    func overlay(_ family: Family) throws {
      try run(family) { plane in
        let question = Q.arp(from: 21, target: Q.ip(1))
        plane.send(plane.packet(carrying: question))
        plane.expect(local: [.vm1: [question], .vm2: [question], .vm3: [question]])
        let other = Q.arp(from: 21, protocolAddress: Q.ip(50), target: Q.ip(1))
        plane.send(plane.packet(carrying: other))
        plane.expect(
          local: [.vm1: [other], .vm2: [other], .vm3: [other]], learned: [.claim(guest(21), Q.ip(50), by: .overlay)])
      }
    }

    @Test("a claim is told once, and then only kept alive")
    func claims() throws {
      try run { plane in
        let question = Q.arp(from: 3, target: Q.ip(99))
        plane.send(question, from: .vm3)
        plane.expect(
          local: [.vm1: [question], .vm2: [question]], tunnelled: [plane.tunnelled(to: Topology.group, question)],
          learned: [.claim(guest(3), Q.ip(3), by: .local)])
        let key = InnerNeighborKey(domain: Topology.domain, address: Q.ip(3))
        plane.neighbors.observe(key, mac: guest(3), by: .local, nowSeconds: 1)
        plane.worker.nowSeconds = 200
        plane.send(question, from: .vm3)
        plane.expect(local: [.vm1: [question], .vm2: [question]], tunnelled: [plane.tunnelled(to: Topology.group, question)])
        plane.neighbors.sweep(nodes: 1000, nowSeconds: 499)
        #expect(plane.neighbors.reader.lookup(Topology.domain, Q.ip(3)) == guest(3))
        plane.neighbors.sweep(nodes: 1000, nowSeconds: 500)
        #expect(plane.neighbors.reader.lookup(Topology.domain, Q.ip(3)) == nil)
        plane.worker.nowSeconds = 0
      }
    }

    @Test("off: every request is flooded, and no address is noted")
    func off() throws {
      try run(isOn: false) { plane in
        expectFlooded(plane, Q.arp(from: 1, target: Q.ip(21)))
        expectFlooded(plane, Q.arp(from: 1, protocolAddress: Q.ip(77), target: Q.ip(21)))
      }
    }
  }
}
