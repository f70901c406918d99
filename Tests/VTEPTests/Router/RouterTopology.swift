// A router between the topology's two VNIs: guests 1 and 2 and VTEPs `near` and `far` in the first, guest 3 in the second, whose other
// stations are behind VTEP `far`.

import Encap
import MACTable

@testable import VTEP

enum RouterTopology {
  static let mac = MACAddress(bits: 0x0e76_0102_0304)
  static let requestMAC = MACAddress(bits: 0x0e77_c000_0201)
  static let first = [RouterAddress("10.0.1.254/24")!, RouterAddress("fd00:1::fe/64")!]
  static let second = [RouterAddress("10.0.2.254/24")!, RouterAddress("fd00:2::fe/64")!]

  /// Address of a guest in the first or second network.
  static func address(_ network: Int, _ host: UInt8, isIPv6: Bool = false) -> IPAddress {
    isIPv6
      ? IPAddress(high: 0xfd00_0000_0000_0000 | UInt64(network) << 32, low: UInt64(host))
      : IPAddress(ipv4: 0x0a00_0000 | UInt32(network) << 8 | UInt32(host))
  }

  static let model: RouterModel = {
    var model = RouterModel()
    model.requestMAC = requestMAC
    model.routers = [
      RouterModel.Router(
        mac: mac,
        interfaces: [
          RouterModel.Interface(domain: Topology.domain, index: 0, addresses: first),
          RouterModel.Interface(domain: Topology.otherDomain, index: 1, addresses: second),
        ],
        routes: [(IPPrefix("198.51.100.0/24")!, address(2, 9), 1), (IPPrefix("2001:db8:9::/48")!, address(2, 9, isIPv6: true), 1)])
    ]
    return model
  }()
}

extension DataplaneFixture {
  /// Adds the router, and moves guest 3 to the second VNI.
  func addRouter() throws {
    change { model in
      model.domains[0].locals.removeAll { $0.port == Place.vm3.rawValue }
      model.domains[1].locals = [LocalTarget(port: Place.vm3.rawValue, vlan: 0)]
      model.domains[1].flood = [Topology.far]
      model.ports[Int(Place.vm3.rawValue)].untaggedDomain = Topology.otherDomain
      model.routing = RouterTopology.model
    }
    table.configureDomain(Topology.otherDomain, ageSeconds: 0, limit: 0)
    table.flush(port: Place.vm3.rawValue)
    learn(Topology.guest(3), at: .port(Place.vm3.rawValue, vlan: 0), domain: Topology.otherDomain)
    learn(Topology.guest(22), at: .vtep(Topology.far), domain: Topology.otherDomain)
    for domain in [Topology.domain, Topology.otherDomain] {
      for mac in [RouterTopology.mac, RouterTopology.requestMAC] {
        try table.setStatic(MACKey(domain: domain, mac: mac), at: .port(Limits.routerPort, vlan: 0), type: .static)
      }
    }
    // Guests 1 and 2 in the first network, 3 and 22 in the second, have the address of their number.
    for (network, domain, guests) in [(1, Topology.domain, [1, 2, 21]), (2, Topology.otherDomain, [3, 22])] {
      for guest in guests {
        for isIPv6 in [false, true] {
          know(RouterTopology.address(network, UInt8(guest), isIPv6: isIPv6), at: Topology.guest(UInt64(guest)), domain)
        }
      }
    }
  }

  func know(_ address: IPAddress, at mac: MACAddress, _ domain: DomainIndex) {
    neighbors.observe(
      InnerNeighborKey(domain: domain, address: address), mac: mac, by: mac.bits & 0xff > 20 ? .overlay : .local,
      nowSeconds: worker.nowSeconds)
  }

  /// Lets the time come at which the router asks again or gives up.
  func letRouterWait() {
    for position in 0..<worker.awaited.count { worker.awaited.neighbors[position].deadline = 0 }
    worker.rareWorkIsDue = true
    run()
  }
}

extension Frame {
  /// An IP packet without options, with the right header checksum.
  static func ip(
    from source: MACAddress, to destination: MACAddress, _ sender: IPAddress, _ receiver: IPAddress, hopLimit: UInt8 = 64,
    number: UInt8 = 17, isAtomic: Bool = true, _ payload: [UInt8] = Array(0..<64)
  ) -> Frame {
    guard sender.isIPv4 else {
      let header: [UInt8] = [0x60, 0, 0, 0] + .big16(UInt16(payload.count)) + [number, hopLimit]
      return ethernet(from: source, to: destination, type: 0x86dd, header + sender.bytes + receiver.bytes + payload)
    }
    var header: [UInt8] = [0x45, 0] + .big16(UInt16(20 + payload.count)) + [0, 7, isAtomic ? 0x40 : 0, 0, hopLimit, number, 0, 0]
    header += sender.bytes + receiver.bytes
    header.replaceSubrange(10..<12, with: [UInt8].big16(header.internetChecksum))
    return ethernet(from: source, to: destination, type: 0x0800, header + payload)
  }

  /// An ARP frame, padded to `byteCount`.
  static func arp(
    _ operation: UInt16, from source: MACAddress, to destination: MACAddress, sender: (mac: MACAddress, address: IPAddress),
    target: (mac: MACAddress, address: IPAddress), byteCount: Int = 42
  ) -> Frame {
    let body: [UInt8] = [0, 1, 8, 0, 6, 4] + .big16(operation)
    let frame = ethernet(
      from: source, to: destination, type: 0x0806,
      body + octets(sender.mac) + sender.address.bytes + octets(target.mac) + target.address.bytes)
    return frame + [UInt8](repeating: 0, count: Swift.max(byteCount - frame.count, 0))
  }

  /// An ICMPv6 message with its checksum; `message` has zeros there.
  static func icmp6(
    from source: MACAddress, to destination: MACAddress, _ sender: IPAddress, _ receiver: IPAddress, hopLimit: UInt8 = 255,
    _ message: [UInt8]
  ) -> Frame {
    let pseudo = sender.bytes + receiver.bytes + .big32(UInt32(message.count)) + .big32(58)
    var message = message
    message.replaceSubrange(2..<4, with: [UInt8].big16((pseudo + message).internetChecksum))
    return ip(from: source, to: destination, sender, receiver, hopLimit: hopLimit, number: 58, message)
  }
}
