// Fragments at a router: packets that do not fit the way out, and pings to the router in parts, against frames written octet by octet.

import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Router: fragments")
  struct RouterFragmentTests {
    private static let one = Topology.guest(1)
    private static let three = Topology.guest(3)
    private static let router = RouterTopology.mac
    private static let payload = (0..<1400).map { UInt8(truncatingIfNeeded: $0 &* 7) }

    private static func address(_ network: Int, _ host: UInt8, _ isIPv6: Bool) -> IPAddress {
      RouterTopology.address(network, host, isIPv6: isIPv6)
    }

    /// An IPv4 packet whose header has a field for fragments of its own, and options.
    private static func ipv4(
      from source: MACAddress, to destination: MACAddress, _ sender: IPAddress, _ receiver: IPAddress, hopLimit: UInt8, number: UInt8 = 17,
      fragment: UInt16, options: [UInt8] = [], _ payload: some Sequence<UInt8>
    ) -> Frame {
      let payload = Array(payload)
      var header: [UInt8] = [UInt8(0x45 + options.count / 4), 0] + .big16(UInt16(20 + options.count + payload.count)) + [0, 7]
      header += .big16(fragment) + [hopLimit, number, 0, 0] + sender.bytes + receiver.bytes + options
      header.replaceSubrange(10..<12, with: [UInt8].big16(header.internetChecksum))
      return .ethernet(from: source, to: destination, type: 0x0800, header + payload)
    }

    private static func ipv6(
      from source: MACAddress, to destination: MACAddress, _ sender: IPAddress, _ receiver: IPAddress, hopLimit: UInt8 = 64,
      fragment: UInt16, identification: UInt32, _ payload: some Sequence<UInt8>
    ) -> Frame {
      .ip(
        from: source, to: destination, sender, receiver, hopLimit: hopLimit, number: 44,
        [58, 0] + .big16(fragment) + .big32(identification) + Array(payload))
    }

    @Test("IPv4 without DF is fragmented: also one with options, one that is a fragment itself, and what is behind it in the frame stays")
    func forwarded() throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        // 586 octets: 560 of them for payload, 552 with options.
        plane.changePort(.vm3) { $0.maxFrameByteCount = 600 }
        let (from, to) = (Self.address(1, 1, false), Self.address(2, 3, false))
        func expect(_ fragment: UInt16, _ options: [UInt8], _ size: Int, _ parts: [(UInt16, Range<Int>)]) {
          let sent = Self.ipv4(
            from: Self.one, to: Self.router, from, to, hopLimit: 64, fragment: fragment, options: options, Self.payload)
          plane.send(sent + [1, 2, 3], from: .vm1)
          plane.expect(
            local: [
              .vm3: parts.map {
                Self.ipv4(
                  from: Self.router, to: Self.three, from, to, hopLimit: 63, fragment: $0, options: options, Self.payload[$1])
              }
            ])
        }
        expect(0, [], 560, [(0x2000, 0..<560), (0x2046, 560..<1120), (0x008c, 1120..<1400)])
        // Router alert, which each fragment has to have.
        expect(0, [0x94, 4, 0, 0], 560, [(0x2000, 0..<560), (0x2046, 560..<1120), (0x008c, 1120..<1400)])
        expect(0x2100, [], 560, [(0x2100, 0..<560), (0x2146, 560..<1120), (0x218c, 1120..<1400)])
        // It fits.
        plane.changePort(.vm3) { $0.maxFrameByteCount = 1434 }
        expect(0, [], 1400, [(0, 0..<1400)])
        // No MTU at all.
        plane.changePort(.vm3) { $0.maxFrameByteCount = 60 }
        plane.send(.ip(from: Self.one, to: Self.router, from, to, isAtomic: false, Self.payload), from: .vm1)
        plane.expect(drops: [.vm1: [.routerTooBig: 1]])
      }
    }

    @Test("a datagram with an unfinished checksum is completed first")
    func unfinished() throws {
      try DataplaneFixture.run(features: .offersOffloads) { plane in
        try plane.addRouter()
        plane.changePort(.vm3) { $0.maxFrameByteCount = 600 }
        plane.change { model in
          model.routing.routers[0].interfaces[0].addresses.append(RouterAddress("172.16.0.254/31")!)
          model.routing.routers[0].routes.append((IPPrefix("172.16.0.0/24")!, Self.address(2, 3, false), 1))
        }
        // Cleared DF, with the header's checksum made right again.
        func atomic(_ finished: Bool) -> [UInt8] {
          var frame = TCPFrame(from: Self.one, to: Self.three, byteCount: 1400).bytes(finished: finished)
          frame.replaceSubrange(0..<6, with: [UInt8].octets(Self.router))
          frame[20] = 0
          frame.replaceSubrange(24..<26, with: [0, 0])
          frame.replaceSubrange(24..<26, with: [UInt8].big16(Array(frame[14..<34]).internetChecksum))
          return frame
        }
        plane.send(atomic(false), from: .vm1, as: .unfinished)
        plane.run()
        let parts = plane.take(.vm3)
        #expect(parts.count == 3)
        #expect(parts.flatMap { Array($0[34...]) }.hex == Array(atomic(true)[34...]).hex)
        for part in parts { #expect(Array(part[14..<34]).internetChecksum == 0) }
      }
    }

    // -- to the router -----------------------------------------------------------------------------------------------------

    private static func echo(_ type: UInt8, from sender: IPAddress, to receiver: IPAddress) -> [UInt8] {
      var message: [UInt8] = [type, 0, 0, 0, 0x12, 0x34, 0, 1] + payload
      let pseudo = sender.isIPv4 ? [] : sender.bytes + receiver.bytes + [UInt8].big32(UInt32(message.count)) + .big32(58)
      message.replaceSubrange(2..<4, with: [UInt8].big16((pseudo + message).internetChecksum))
      return message
    }

    /// A ping to the router in parts of 560 octets.
    ///
    /// - Parameter station: the MAC address that it comes from.
    private static func parts(_ isIPv6: Bool, size: Int = 560, from station: MACAddress = Self.one) -> [Frame] {
      let (host, gateway) = (address(1, 1, isIPv6), address(1, isIPv6 ? 0xfe : 254, isIPv6))
      let message = echo(isIPv6 ? 128 : 8, from: host, to: gateway)
      return stride(from: 0, to: message.count, by: size).map { start in
        let end = min(start + size, message.count)
        let isLast = end == message.count
        return isIPv6
          ? ipv6(
            from: station, to: router, host, gateway, fragment: UInt16(start) | (isLast ? 0 : 1), identification: 9, message[start..<end])
          : ipv4(
            from: station, to: router, host, gateway, hopLimit: 64, number: 1, fragment: UInt16(start / 8) | (isLast ? 0 : 0x2000),
            message[start..<end])
      }
    }

    @Test("a ping in parts is answered, in whatever order they come", arguments: [false, true])
    func ping(_ isIPv6: Bool) throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        let (host, gateway) = (Self.address(1, 1, isIPv6), Self.address(1, isIPv6 ? 0xfe : 254, isIPv6))
        let answer = Self.echo(isIPv6 ? 129 : 0, from: gateway, to: host)
        let parts = Self.parts(isIPv6)
        let whole: Frame =
          isIPv6
          ? .ip(from: Self.router, to: Self.one, gateway, host, number: 58, answer)
          : Self.ipv4(from: Self.router, to: Self.one, gateway, host, hopLimit: 64, number: 1, fragment: 0, answer)
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]] {
          for position in order { plane.send(parts[position], from: .vm1) }
          plane.expect(local: [.vm1: [whole]])
        }
        // The answer in parts, too. IPv6 has an identification of its own.
        let identification = plane.worker.fragments.identification &+ 1
        plane.changePort(.vm1) { $0.maxFrameByteCount = isIPv6 ? 1294 : 1000 }
        for part in parts { plane.send(part, from: .vm1) }
        plane.expect(
          local: [
            .vm1: isIPv6
              ? [(1, 0..<1232), (1232, 1232..<1408)].map { fragment, range in
                Self.ipv6(from: Self.router, to: Self.one, gateway, host, fragment: fragment, identification: identification, answer[range])
              }
              : [(0x2000, 0..<960), (120, 960..<1408)].map { fragment, range in
                Self.ipv4(
                  from: Self.router, to: Self.one, gateway, host, hopLimit: 64, number: 1, fragment: fragment, answer[range])
              }
          ])
      }
    }

    @Test("parts that never become a whole are dropped: after a while, or at once", arguments: [false, true])
    func incomplete(_ isIPv6: Bool) throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        let parts = Self.parts(isIPv6)
        plane.send(parts[0], from: .vm1)
        plane.send(parts[2], from: .vm1)
        plane.expect()
        let waits = plane.worker.fragments.isWaiting
        plane.worker.expireFragments(now: .max / 2)
        let waitsStill = plane.worker.fragments.isWaiting
        #expect(waits && !waitsStill)
        plane.expect(drops: [.vm1: [.routerAddress: 2]])
        // The second part again, in place of the third.
        for position in [0, 1, 1] { plane.send(parts[position], from: .vm1) }
        plane.expect()
        // More than eight.
        for part in Self.parts(isIPv6, size: 128) { plane.send(part, from: .vm1) }
        plane.run()
        plane.worker.expireFragments(now: .max / 2)
        plane.expect(drops: [.vm1: [.routerAddress: 14]])
      }
    }

    @Test("parts from two VNIs whose routers and hosts have the same addresses are never put together", arguments: [false, true])
    func twoVNIs(_ isIPv6: Bool) throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        plane.change { model in
          var (first, second) = (model.routing.routers[0], model.routing.routers[0])
          (first.routes, second.routes) = ([], [])
          first.interfaces.removeLast()
          second.interfaces.removeFirst()
          second.interfaces[0].addresses = first.interfaces[0].addresses
          model.routing.routers = [first, second]
        }
        plane.send(Self.parts(isIPv6)[0], from: .vm1)
        for part in Self.parts(isIPv6, from: Self.three)[1...] { plane.send(part, from: .vm3) }
        plane.expect()
        plane.worker.expireFragments(now: .max / 2)
        plane.expect(drops: [.vm1: [.routerAddress: 1], .vm3: [.routerAddress: 2]])
      }
    }

    @Test("neighbour discovery in parts is none; nor may a packet be longer than any")
    func refused() throws {
      try DataplaneFixture.run { plane in
        try plane.addRouter()
        let (host, gateway) = (Self.address(1, 1, true), Self.address(1, 0xfe, true))
        var message: [UInt8] = [135, 0, 0, 0, 0, 0, 0, 0] + gateway.bytes + [1, 1] + .octets(Self.one)
        let pseudo = host.bytes + gateway.bytes + [UInt8].big32(UInt32(message.count)) + .big32(58)
        message.replaceSubrange(2..<4, with: [UInt8].big16((pseudo + message).internetChecksum))
        for (fragment, range) in [(1, 0..<24), (24, 24..<32)] as [(UInt16, Range<Int>)] {
          plane.send(
            Self.ipv6(
              from: Self.one, to: Self.router, host, gateway, hopLimit: 255, fragment: fragment, identification: 3, message[range]),
            from: .vm1)
        }
        plane.expect(drops: [.vm1: [.routerAddress: 1]])
        plane.send(
          Self.ipv6(
            from: Self.one, to: Self.router, host, gateway, fragment: 0xfff8, identification: 4, Self.payload), from: .vm1)
        plane.send(
          Self.ipv4(
            from: Self.one, to: Self.router, Self.address(1, 1, false), Self.address(1, 254, false), hopLimit: 64, number: 1,
            fragment: 0x1fff, Self.payload), from: .vm1)
        plane.expect(drops: [.vm1: [.routerHeader: 2]])
      }
    }
  }
}
