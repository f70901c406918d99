// The router on in-memory ports: what it forwards, and what it changes of a packet, against frames written octet by octet.

import CDPDK
import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Router")
  struct RouterTests {
    private static let one = Topology.guest(1)
    private static let three = Topology.guest(3)
    private static let router = RouterTopology.mac

    private static func address(_ network: Int, _ host: UInt8, _ isIPv6: Bool) -> IPAddress {
      RouterTopology.address(network, host, isIPv6: isIPv6)
    }

    @Test("from port to port: new MAC addresses, one hop less, the right checksum", arguments: [false, true])
    func betweenPorts(_ isIPv6: Bool) throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        let (from, to) = (Self.address(1, 1, isIPv6), Self.address(2, 3, isIPv6))
        // Every TTL, since the checksum's carries differ.
        for hopLimit in 2...255 {
          plane.send(.ip(from: Self.one, to: Self.router, from, to, hopLimit: UInt8(hopLimit)), from: .vm1)
          plane.expect(local: [.vm3: [.ip(from: Self.router, to: Self.three, from, to, hopLimit: UInt8(hopLimit - 1))]])
        }
        let traffic = plane.test.counters[0].routed + 1
        #expect(traffic.pointee.txPackets.value >= 254)
      }
    }

    @Test("into a tunnel, and from one tunnel to another: split horizon is the bridge's", arguments: [false, true])
    func tunnels(_ isIPv6: Bool) throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        let to = Self.address(2, 22, isIPv6)
        var packet = plane.tunnelled(
          to: Topology.far, .ip(from: Self.router, to: Topology.guest(22), Self.address(1, 1, isIPv6), to, hopLimit: 63))
        packet.vni = Topology.otherVNI.rawValue
        plane.send(.ip(from: Self.one, to: Self.router, Self.address(1, 1, isIPv6), to), from: .vm1)
        plane.expect(tunnelled: [packet])
        plane.send(plane.packet(carrying: .ip(from: Topology.guest(21), to: Self.router, Self.address(1, 21, isIPv6), to)))
        packet.inner = .ip(from: Self.router, to: Topology.guest(22), Self.address(1, 21, isIPv6), to, hopLimit: 63)
        plane.expect(tunnelled: [packet])
      }
    }

    @Test("the same router on another VTEP is no loop: its frames come in with a MAC address that is ours, too")
    func otherGateway() throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        let frame = Frame.ip(from: Self.router, to: Self.one, Self.address(2, 22, false), Self.address(1, 1, false), hopLimit: 63)
        for _ in 0..<3 {
          plane.send(plane.packet(carrying: frame))
          plane.expect(local: [.vm1: [frame]])
        }
      }
    }

    @Test("a static route leads to its next hop's MAC address", arguments: [false, true])
    func staticRoute(_ isIPv6: Bool) throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        plane.know(Self.address(2, 9, isIPv6), at: Self.three, Topology.otherDomain)
        let (from, to) = (Self.address(1, 1, isIPv6), IPAddress(isIPv6 ? "2001:db8:9::77" : "198.51.100.77")!)
        plane.send(.ip(from: Self.one, to: Self.router, from, to), from: .vm1)
        plane.expect(local: [.vm3: [.ip(from: Self.router, to: Self.three, from, to, hopLimit: 63)]])
      }
    }

    @Test("a large segment with an unfinished checksum stays one on its way to a port that takes it")
    func largeSegment() throws {
      try DataplaneFixture.run(features: .offersOffloads) { plane in
        try plane.addRouter()
        plane.changePort(.vm3) { $0.features = .takesAll }
        // 172.16.0.1 to 172.16.0.3: by routes of their own.
        plane.change { model in
          model.routing.routers[0].interfaces[0].addresses.append(RouterAddress("172.16.0.254/31")!)
          model.routing.routers[0].routes.append((IPPrefix("172.16.0.0/24")!, Self.address(2, 3, false), 1))
        }
        let frame = TCPFrame(from: Self.one, to: Self.three, byteCount: 9000).bytes(finished: false)
        var sent = frame
        sent.replaceSubrange(0..<6, with: [UInt8].octets(Self.router))
        plane.send(sent, from: .vm1, as: .large(segment: 1400))
        plane.run()
        let got = try #require(plane.take(.vm3).first)
        var expected = frame
        expected.replaceSubrange(6..<12, with: [UInt8].octets(Self.router))
        expected[22] -= 1
        expected.replaceSubrange(24..<26, with: [0, 0])
        expected.replaceSubrange(24..<26, with: [UInt8].big16(Array(expected[14..<34]).internetChecksum))
        #expect(got.hex == expected.hex)
      }
    }

    @Test("isolated ports do not reach each other by way of the router")
    func isolation() throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        for place in [Place.vm1, .vm2] { plane.changePort(place) { $0.features = .isIsolated } }
        plane.send(.ip(from: Self.one, to: Self.router, Self.address(1, 1, false), Self.address(1, 2, false)), from: .vm1)
        plane.expect(drops: [.vm1: [.portIsolated: 1]])
      }
    }

    @Test("access lists of interfaces: into the router and out of it, without a word to the sender", arguments: [false, true])
    func accessLists(_ isIPv6: Bool) throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        // Ingress denies the second of these destinations and the router itself, egress all that comes from guest 2.
        let (there, denied) = (Self.address(2, 3, isIPv6), Self.address(2, 22, isIPv6))
        let gateway = Self.address(1, isIPv6 ? 0xfe : 254, isIPv6)
        plane.filterRouter(
          interface: 0,
          [
            .deny(.ingress, [(.destination, "\(denied)")]), .deny(.ingress, [(.destination, "\(gateway)")], sequence: 20),
            .deny(.egress, [], sequence: 30),
          ])
        plane.filterRouter(interface: 1, [.deny(.ingress), .deny(.egress, [(.source, "\(Self.address(1, 2, isIPv6))")], sequence: 20)])
        // Counters outlive a fixture.
        _ = plane.takeACLCounts()
        func packet(_ guest: UInt8, to destination: IPAddress, number: UInt8 = 17, _ payload: [UInt8] = Array(0..<64)) -> Frame {
          .ip(
            from: Topology.guest(UInt64(guest)), to: Self.router, Self.address(1, guest, isIPv6), destination, number: number, payload)
        }
        plane.send(packet(1, to: there), from: .vm1)
        plane.expect(local: [.vm3: [.ip(from: Self.router, to: Self.three, Self.address(1, 1, isIPv6), there, hopLimit: 63)]])
        plane.send(packet(1, to: denied), from: .vm1)
        plane.expect(drops: [.vm1: [.aclDeniedIngress: 1]])
        plane.send(packet(2, to: there), from: .vm2)
        plane.expect(drops: [.vm2: [.aclDeniedEgress: 1]])
        // A ping to the router, which is otherwise answered.
        plane.send(packet(1, to: gateway, number: isIPv6 ? 58 : 1, [isIPv6 ? 128 : 8, 0, 0, 0, 0, 1, 0, 1]), from: .vm1)
        plane.expect(drops: [.vm1: [.aclDeniedIngress: 1]])
        // Slots: two ingress entries, no match, one egress entry, no match; then one, no match, one, no match.
        #expect(plane.takeACLCounts().mapValues(\.packets) == [0: 1, 1: 1, 2: 2, 7: 1, 8: 1])
        // The router's own packets leave by interfaces that deny all others: an error to guest 1.
        plane.send(packet(1, to: isIPv6 ? IPAddress("2001:db8::1")! : IPAddress("203.0.113.1")!), from: .vm1)
        plane.run()
        #expect(plane.take(.vm1).count == 1)
        plane.expect(drops: [.vm1: [.routerNoRoute: 1]])
      }
    }

    @Test("neighbours find each other, whatever an access list denies")
    func accessListsAndNeighbors() throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        plane.filterRouter(interface: 0, [.deny(.ingress), .deny(.egress)])
        let (host, gateway) = (Self.address(1, 1, true), Self.address(1, 0xfe, true))
        // To the router's own MAC address, as of a host that asks again.
        let asked: [UInt8] = [135, 0, 0, 0, 0, 0, 0, 0] + gateway.bytes + [1, 1] + .octets(Self.one)
        plane.send(.icmp6(from: Self.one, to: Self.router, host, gateway, asked), from: .vm1)
        let answer: [UInt8] = [136, 0, 0, 0, 0xe0, 0, 0, 0] + gateway.bytes + [2, 1] + .octets(Self.router)
        plane.expect(local: [.vm1: [.icmp6(from: Self.router, to: Self.one, gateway, host, answer)]])
      }
    }

    // -- neighbours ------------------------------------------------------------------------------------------------------

    /// A probe, in all of the second network: it names no sender, so that no host takes this VTEP's MAC address for the router's.
    private func expectQuestion(_ plane: DataplaneFixture, for target: IPAddress) {
      let request = Frame.arp(
        1, from: RouterTopology.requestMAC, to: .broadcast, sender: (RouterTopology.requestMAC, IPAddress(ipv4: 0)),
        target: (.zero, target), byteCount: 60)
      var tunnelled = plane.tunnelled(to: Topology.far, request)
      tunnelled.vni = Topology.otherVNI.rawValue
      plane.expect(local: [.vm3: [request]], tunnelled: [tunnelled])
    }

    @Test("packets wait, in order, while the next hop is asked for; the answer sends them")
    func waiting() throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        let (from, to) = (Self.address(1, 1, false), Self.address(2, 44, false))
        func packet(_ number: UInt8, _ source: MACAddress, _ destination: MACAddress, _ hopLimit: UInt8) -> Frame {
          .ip(from: source, to: destination, from, to, hopLimit: hopLimit, [UInt8](repeating: number, count: 20))
        }
        for number in 1...3 { plane.send(packet(UInt8(number), Self.one, Self.router, 64), from: .vm1) }
        expectQuestion(plane, for: to)
        plane.letRouterWait()
        expectQuestion(plane, for: to)
        plane.send(
          .arp(
            2, from: Self.three, to: RouterTopology.requestMAC, sender: (Self.three, to),
            target: (RouterTopology.requestMAC, IPAddress(ipv4: 0))), from: .vm3)
        plane.run()
        #expect(plane.take(.vm3).map(\.hex) == (1...3).map { packet(UInt8($0), Self.router, Self.three, 63).hex })
        let told = Sighting.takeAll(plane.test.learnRings[0])
        #expect(told.count == 1, "the learner is told: \(told)")
      }
    }

    @Test("what the router itself asks from is no station's address")
    func ownQuestions() throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        plane.changeDomain { $0.entry.suppressesNeighbors = true }
        let (from, to) = (Self.address(2, 3, true), Self.address(1, 44, true))
        plane.send(.ip(from: Self.three, to: Self.router, from, to, hopLimit: 64, [UInt8](repeating: 0, count: 20)), from: .vm3)
        plane.run()
        let question = try #require(plane.take(.vm1).first)
        #expect(Sighting.takeAll(plane.test.learnRings[0]).isEmpty)
        plane.expect(local: [.vm2: [question]], tunnelled: [plane.tunnelled(to: Topology.group, question)])
      }
    }

    @Test("with neighbour suppression, a claim is told once, whether it concerns the router or not", arguments: [true, false])
    func claimIsToldOnce(_ isNear: Bool) throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        plane.changeDomain { $0.entry.suppressesNeighbors = true }
        let host = isNear ? Self.address(1, 66, false) : IPAddress(ipv4: 0xac10_0001)
        let asked = Frame.arp(1, from: Self.one, to: .broadcast, sender: (Self.one, host), target: (.zero, Self.address(1, 77, false)))
        plane.send(asked, from: .vm1)
        plane.expect(
          local: [.vm2: [asked]], tunnelled: [plane.tunnelled(to: Topology.group, asked)], learned: [.claim(Self.one, host, by: .local)])
      }
    }

    @Test(
      "a packet that has waited belongs to its own router, though others have come before it; and to none if its VNI is another now",
      arguments: [true, false])
    func changesMeanwhile(_ isSameVNI: Bool) throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        plane.changePort(.vm3) { $0.maxFrameByteCount = 1300 }
        let (from, to) = (Self.address(1, 1, false), Self.address(2, 44, false))
        plane.send(.ip(from: Self.one, to: Self.router, from, to, [UInt8](repeating: 7, count: 1400)), from: .vm1)
        expectQuestion(plane, for: to)
        plane.change { model in
          // With the sender's network in the other VNI.
          let stranger = RouterModel.Interface(domain: Topology.otherDomain, index: 2, addresses: [RouterTopology.first[0]])
          model.routing.routers.insert(RouterModel.Router(mac: Topology.guest(5), interfaces: [stranger], routes: []), at: 0)
          if !isSameVNI { model.domains[0].entry.serial &+= 1 }
        }
        plane.know(to, at: Self.three, Topology.otherDomain)
        plane.letRouterWait()
        if isSameVNI {
          let error = try #require(plane.take(.vm1).first)
          #expect(error[34..<36] == [3, 4])
          plane.expect(drops: [.vm1: [.routerTooBig: 1]])
        } else {
          #expect(plane.take(.vm1).isEmpty)
          plane.expect(drops: [.vm1: [.heldTargetGone: 1]])
        }
        #expect(plane.take(.vm3).isEmpty)
      }
    }

    @Test("a next hop that does not answer: three requests, then the sender is told")
    func unresolved() throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        plane.send(.ip(from: Self.one, to: Self.router, Self.address(1, 1, false), Self.address(2, 44, false)), from: .vm1)
        plane.run()
        let unresolved = plane.test.counters[0].activity
        #expect(unresolved.pointee.awaitedNextHops.value == 1)
        for _ in 0..<2 { plane.letRouterWait() }
        #expect(plane.take(.vm3).count == 3)
        #expect(plane.take(.uplink).count == 3)
        plane.letRouterWait()
        let error = try #require(plane.take(.vm1).first)
        #expect(error[34..<36] == [3, 1] && Array(error[26..<30]) == Self.address(1, 254, false).bytes)
        #expect(Array(error[34...]).internetChecksum == 0 && Array(error[14..<34]).internetChecksum == 0)
        #expect(Array(error[42..<50]) == [0x45, 0, 0, 84, 0, 7, 0x40, 0])
        plane.expect(drops: [.vm1: [.routerNeighborUnresolved: 1]])
        #expect(unresolved.pointee.awaitedNextHops.value == 0)
      }
    }

    @Test("a neighbour in use that was silent for long is asked again, by itself, once a second")
    func verification() throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        plane.worker.nowSeconds += 40
        let (from, to) = (Self.address(1, 1, false), Self.address(2, 3, false))
        for _ in 0..<2 { plane.send(.ip(from: Self.one, to: Self.router, from, to), from: .vm1) }
        let request = Frame.arp(
          1, from: RouterTopology.requestMAC, to: Self.three, sender: (RouterTopology.requestMAC, IPAddress(ipv4: 0)), target: (.zero, to),
          byteCount: 60)
        let packet = Frame.ip(from: Self.router, to: Self.three, from, to, hopLimit: 63)
        plane.expect(local: [.vm3: [request, packet, packet]])
      }
    }

    // -- what is for the router itself -----------------------------------------------------------------------------------

    @Test("ARP for the router's address is answered where it comes from, and goes no further; other ARP is flooded")
    func arp() throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        let (host, gateway) = (Self.address(1, 1, false), Self.address(1, 254, false))
        let asked = Frame.arp(1, from: Self.one, to: .broadcast, sender: (Self.one, host), target: (.zero, gateway))
        let answer = Frame.arp(2, from: Self.router, to: Self.one, sender: (Self.router, gateway), target: (Self.one, host), byteCount: 60)
        plane.send(asked, from: .vm1)
        plane.expect(local: [.vm1: [answer]])
        // A host behind a VTEP without a router.
        let remote = Topology.guest(21)
        plane.send(
          plane.packet(
            carrying: .arp(1, from: remote, to: .broadcast, sender: (remote, Self.address(1, 21, false)), target: (.zero, gateway))))
        plane.expect(tunnelled: [
          plane.tunnelled(
            to: Topology.near,
            .arp(
              2, from: Self.router, to: remote, sender: (Self.router, gateway), target: (remote, Self.address(1, 21, false)),
              byteCount: 60))
        ])
        let other = Frame.arp(1, from: Self.one, to: .broadcast, sender: (Self.one, host), target: (.zero, Self.address(1, 2, false)))
        plane.send(other, from: .vm1)
        plane.expect(local: [.vm2: [other]], tunnelled: [plane.tunnelled(to: Topology.group, other)])
      }
    }

    @Test("neighbour solicitations are answered; one for duplicate address detection goes to all nodes")
    func neighborDiscovery() throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        let (host, gateway) = (Self.address(1, 1, true), Self.address(1, 0xfe, true))
        func asked(from sender: IPAddress, _ options: [UInt8]) -> Frame {
          .icmp6(
            from: Self.one, to: MACAddress(bits: 0x3333_ff00_00fe), sender, IPAddress("ff02::1:ff00:fe")!,
            [135, 0, 0, 0, 0, 0, 0, 0] + gateway.bytes + options)
        }
        func answer(to receiver: IPAddress, at mac: MACAddress, flags: UInt8) -> Frame {
          .icmp6(
            from: Self.router, to: mac, gateway, receiver,
            [136, 0, 0, 0, flags, 0, 0, 0] + gateway.bytes + [2, 1] + .octets(Self.router))
        }
        plane.send(asked(from: host, [1, 1] + .octets(Self.one)), from: .vm1)
        plane.expect(local: [.vm1: [answer(to: host, at: Self.one, flags: 0xe0)]])
        plane.send(asked(from: IPAddress("::")!, []), from: .vm1)
        let toAll = answer(to: IPAddress("ff02::1")!, at: MACAddress(bits: 0x3333_0000_0001), flags: 0xa0)
        plane.expect(local: [.vm1: [toAll], .vm2: [toAll]], tunnelled: [plane.tunnelled(to: Topology.group, toAll)])
      }
    }

    @Test("the router answers pings, also for its address in the other VNI", arguments: [(1, false), (2, false), (1, true), (2, true)])
    func ping(_ network: Int, _ isIPv6: Bool) throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        let (host, gateway) = (Self.address(1, 1, isIPv6), Self.address(network, isIPv6 ? 0xfe : 254, isIPv6))
        func message(_ type: UInt8) -> [UInt8] {
          var message: [UInt8] = [type, 0, 0, 0, 0x12, 0x34, 0, 1] + Array(0..<56)
          if !isIPv6 { message.replaceSubrange(2..<4, with: [UInt8].big16(message.internetChecksum)) }
          return message
        }
        func frame(_ source: MACAddress, _ destination: MACAddress, _ from: IPAddress, _ to: IPAddress, _ type: UInt8) -> Frame {
          isIPv6
            ? .icmp6(from: source, to: destination, from, to, hopLimit: 64, message(type))
            : .ip(from: source, to: destination, from, to, number: 1, message(type))
        }
        plane.send(frame(Self.one, Self.router, host, gateway, isIPv6 ? 128 : 8), from: .vm1)
        plane.expect(local: [.vm1: [frame(Self.router, Self.one, gateway, host, isIPv6 ? 129 : 0)]])
      }
    }

    @Test("a packet that does not fit: the sender is told what does", arguments: [false, true])
    func tooBig(_ isIPv6: Bool) throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        plane.changePort(.vm3) { $0.maxFrameByteCount = 1300 }
        let (from, to) = (Self.address(1, 1, isIPv6), Self.address(2, 3, isIPv6))
        plane.send(.ip(from: Self.one, to: Self.router, from, to, [UInt8](repeating: 7, count: 1400)), from: .vm1)
        plane.run()
        let error = try #require(plane.take(.vm1).first)
        let start = isIPv6 ? 54 : 34
        #expect(error[start..<start + 2] == (isIPv6 ? [2, 0] : [3, 4]))
        #expect(error.big16(at: start + 6) == 1286)
        plane.expect(drops: [.vm1: [.routerTooBig: 1]])
      }
    }

    @Test("nobody else sends from the router's own addresses, or from those of whole networks", arguments: [false, true])
    func martians(_ isIPv6: Bool) throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        let to = Self.address(2, 3, isIPv6)
        // Here, in the other VNI, and of the link.
        var sources = [Self.address(1, isIPv6 ? 0xfe : 254, isIPv6), Self.address(2, isIPv6 ? 0xfe : 254, isIPv6)]
        sources += isIPv6 ? [Self.router.linkLocalAddress] : [Self.address(2, 255, false), Self.address(1, 0, false)]
        for source in sources {
          plane.send(.ip(from: Self.one, to: Self.router, source, to), from: .vm1)
          plane.expect(drops: [.vm1: [.routerMartian: 1]])
        }
      }
    }

    @Test("IPv4 options pass, but for those that name the way; headers whose options make no sense are dropped")
    func options() throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        func packet(_ source: MACAddress, _ destination: MACAddress, hopLimit: UInt8, _ options: [UInt8]) -> Frame {
          var header: [UInt8] = [UInt8(0x45 + options.count / 4), 0] + .big16(UInt16(28 + options.count))
          header += [0, 7, 0x40, 0, hopLimit, 17, 0, 0]
          header += Self.address(1, 1, false).bytes + Self.address(2, 3, false).bytes + options
          header.replaceSubrange(10..<12, with: [UInt8].big16(header.internetChecksum))
          return .ethernet(from: source, to: destination, type: 0x0800, header + Array(0..<8))
        }
        // Router alert; record route; behind the end of the options there may be anything.
        for options in [[0x94, 4, 0, 0], [7, 7, 4, 0, 0, 0, 0, 1], [1, 1, 0, 131], []] as [[UInt8]] {
          plane.send(packet(Self.one, Self.router, hopLimit: 64, options), from: .vm1)
          plane.expect(local: [.vm3: [packet(Self.router, Self.three, hopLimit: 63, options)]])
        }
        for option in [131, 137] as [UInt8] {
          plane.send(packet(Self.one, Self.router, hopLimit: 64, [1, option, 7, 4, 10, 0, 2, 9]), from: .vm1)
          plane.expect(drops: [.vm1: [.routerMartian: 1]])
        }
        for options in [[7, 1, 0, 0], [7, 9, 0, 0], [1, 1, 1, 7]] as [[UInt8]] {
          plane.send(packet(Self.one, Self.router, hopLimit: 64, options), from: .vm1)
          plane.expect(drops: [.vm1: [.routerHeader: 1]])
        }
      }
    }

    @Test("errors are limited, and never about errors")
    func errorLimits() throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        let (from, to) = (Self.address(1, 1, false), IPAddress("203.0.113.1")!)
        plane.send(.ip(from: Self.one, to: Self.router, from, to, number: 1, [3, 1, 0, 0, 0, 0, 0, 0] + Array(0..<28)), from: .vm1)
        plane.expect(drops: [.vm1: [.routerNoRoute: 1]])
        for _ in 0..<300 { plane.send(.ip(from: Self.one, to: Self.router, from, to), from: .vm1) }
        plane.run()
        #expect(plane.take(.vm1).count == RouterErrorBudget.perSecond)
        plane.expect(drops: [.vm1: [.routerNoRoute: 300]])
      }
    }
  }
}
