// What the reconciler keeps of the network below: which next hops of a VTEP can be used, and the header towards them.

import Encap
import MACTable
import Netlink
import Testing

@testable import VTEP

@Suite("Underlay state")
struct UnderlayStateTests {
  private func device(_ index: Int32, port: PortIndex, isRunning: Bool = true, isOpen: Bool = true) -> UnderlayDevice {
    let mac = MACAddress(bits: 0x0200_0000_0000 | UInt64(index))
    let ethernet = EthernetDevice(portID: port.rawValue, queueCount: 1, sendsSegments: false, mac: mac)
    return UnderlayDevice(
      name: "test\(index)", portIndex: port,
      link: Link(index: index, name: "test\(index)", mac: mac, mtu: 1500, isUp: true, isRunning: isRunning),
      device: isOpen ? .ethdev(ethernet) : nil)
  }

  private func state(_ devices: [UnderlayDevice]) throws -> UnderlayState {
    var state = UnderlayState()
    state.devices = devices
    return state
  }

  private func record(_ address: IPAddress, _ route: Route?) -> VTEPRecord {
    VTEPRecord(index: 1, address: address, isConfigured: true, route: route, sinceSeconds: 0)
  }

  private let vtep = IPAddress(ipv4: 0xcb00_7105)
  private let routers = [IPAddress(ipv4: 0xc000_02fe), IPAddress(ipv4: 0xc633_64fe)]

  private func hops(_ state: UnderlayState, _ record: VTEPRecord) -> [[Int]] {
    state.usableHops(record).map { [Int($0.device.portIndex), Int($0.neighbor.interfaceIndex), $0.weight] }
  }

  @Test("a VTEP on the link is its own neighbour, one behind a router has the router")
  func neighbours() throws {
    let state = try state([device(10, port: 0)])
    let direct = record(vtep, Route(type: .unicast, nextHops: [NextHop(gateway: nil, interfaceIndex: 10)]))
    #expect(state.usableHops(direct).map(\.neighbor) == [NeighborKey(interfaceIndex: 10, address: vtep)])
    let routed = record(vtep, Route(type: .unicast, nextHops: [NextHop(gateway: routers[0], interfaceIndex: 10)]))
    #expect(state.usableHops(routed).map(\.neighbor) == [NeighborKey(interfaceIndex: 10, address: routers[0])])
  }

  @Test("dead next hops are left out as long as another lives")
  func failedHops() throws {
    var state = try state([device(10, port: 0), device(11, port: 1)])
    let both = record(
      vtep,
      Route(
        type: .unicast,
        nextHops: [
          NextHop(gateway: routers[0], interfaceIndex: 10, weight: 3), NextHop(gateway: routers[1], interfaceIndex: 11),
        ]))
    #expect(hops(state, both) == [[0, 10, 3], [1, 11, 1]])
    state.failedNeighbors = [NeighborKey(interfaceIndex: 10, address: routers[0])]
    #expect(hops(state, both) == [[1, 11, 1]])
    // The same address on another link is another neighbour.
    state.failedNeighbors = [NeighborKey(interfaceIndex: 11, address: routers[0])]
    #expect(hops(state, both) == [[0, 10, 3], [1, 11, 1]])
    // All dead: better to try than to give up.
    state.failedNeighbors = [
      NeighborKey(interfaceIndex: 10, address: routers[0]), NeighborKey(interfaceIndex: 11, address: routers[1]),
    ]
    #expect(hops(state, both) == [[0, 10, 3], [1, 11, 1]])
  }

  @Test("next hops that cannot be used: device down, closed or foreign, marked dead")
  func unusableHops() throws {
    let state = try state([
      device(10, port: 0, isRunning: false), device(11, port: 1, isOpen: false), device(12, port: 2),
    ])
    let route = Route(
      type: .unicast,
      nextHops: [
        NextHop(gateway: routers[0], interfaceIndex: 10), NextHop(gateway: routers[0], interfaceIndex: 11),
        NextHop(gateway: routers[0], interfaceIndex: 12, weight: 0), NextHop(gateway: routers[0], interfaceIndex: 99),
        NextHop(gateway: routers[1], interfaceIndex: 12, isUsable: false),
      ])
    // A weight below one counts as one.
    #expect(hops(state, record(vtep, route)) == [[2, 12, 1]])
  }

  @Test("no route, no next hop", arguments: [Route.Kind.blackhole, .unreachable, .prohibit, .local, .broadcast])
  func noRoute(_ kind: Route.Kind) throws {
    let state = try state([device(10, port: 0)])
    #expect(state.usableHops(record(vtep, nil)).isEmpty)
    let hop = NextHop(gateway: nil, interfaceIndex: 10)
    #expect(state.usableHops(record(vtep, Route(type: kind, nextHops: [hop]))).isEmpty)
  }

  @Test("a group leaves by the first uplink that is up, and by no other")
  func groups() throws {
    let group = record(IPAddress(ipv4: 0xef01_0101), nil)
    #expect(group.isGroup)
    let down = device(10, port: 0, isRunning: false)
    #expect(hops(try state([down, device(11, port: 1), device(12, port: 2)]), group) == [[1, 11, 1]])
    #expect(hops(try state([down]), group) == [])
    #expect(hops(try state([]), group) == [])
  }

  @Test("why there is no next hop")
  func obstacles() throws {
    var state = try state([device(10, port: 0), device(11, port: 1, isRunning: false)])
    func route(_ index: Int32, isUsable: Bool = true) -> Route {
      Route(type: .unicast, nextHops: [NextHop(gateway: nil, interfaceIndex: index, isUsable: isUsable)])
    }
    #expect(state.obstacle(record(vtep, route(10))) == nil)
    #expect(state.obstacle(record(vtep, route(11))) == .deviceDown(["test11"]))
    #expect(state.obstacle(record(vtep, route(10, isUsable: false))) == .deviceDown(["test10"]))
    #expect(state.obstacle(record(vtep, route(99))) == .routeNotUnderlay(interfaceIndex: 99))
    #expect(state.obstacle(record(vtep, route(11)))?.dropReason == .uplinkDown)
    #expect(state.obstacle(record(vtep, nil))?.dropReason == .noRoute)
    #expect(state.obstacle(record(vtep, Route(type: .blackhole)))?.dropReason == .noRoute)
    state.missingAddresses = [Topology.ownAddress(.ipv6)]
    #expect(state.obstacle(record(vtep, route(10))) == nil)
    state.missingAddresses = [Topology.ownAddress(.ipv4)]
    for address in [vtep, Topology.groupAddress(.ipv4)] {
      #expect(state.obstacle(record(address, route(10))) == .ownAddressMissing(Topology.ownAddress(.ipv4)))
      #expect(hops(state, record(address, route(10))) == [])
    }
    state.missingAddresses = []
    state.forbidden = [vtep]
    #expect(state.obstacle(record(vtep, route(10))) == .ipsecPolicy)
    #expect(hops(state, record(vtep, route(10))) == [])
  }

  @Test("TTL, DSCP and checksum of the header follow the settings and the destination")
  func header() {
    var settings = UnderlaySettings(addresses: Family.allCases.map(Topology.ownAddress), devices: [])
    #expect(settings.ownAddress(like: vtep) == Topology.ownAddress(.ipv4))
    #expect(settings.ownAddress(like: Topology.address(9, .ipv6)) == Topology.ownAddress(.ipv6))
    settings.addresses.removeLast()
    #expect(settings.ownAddress(like: Topology.address(9, .ipv6)) == nil)
    for (mode, expected) in [(UnderlaySettings.UDPChecksum.auto, [false, true]), (.on, [true, true]), (.off, [false, false])] {
      settings.udpChecksum = mode
      let headers = Family.allCases.map {
        settings.header(
          to: Topology.address(9, $0), from: Topology.ownAddress($0), sourceMAC: Topology.uplinkMAC, nextHop: .zero)
      }
      #expect(headers.map(\.computesUDPChecksum) == expected)
      #expect(headers.map(\.byteCount) == [50, 70])
    }
  }
}
