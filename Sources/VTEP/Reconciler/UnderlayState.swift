// UnderlayState: what the reconciler knows of the IP network below: its devices, the VTEPs and groups that frames are
// sent to, their routes, and the neighbours those routes lead over.

import Encap
import MACTable
import Netlink

/// A kernel interface that leads to other VTEPs: one that the kernel drives, or the tap of a NIC that DPDK drives.
struct UnderlayDevice {
  var name: String
  /// How a shared interface is to be used.
  var driver = UnderlaySettings.Driver.afPacket
  /// Why it is used in another way.
  var driverNote: String?
  /// The NIC that was configured, as PCI address or devargs; nil: the kernel has it.
  var devargs: String?
  /// Which offloads of that NIC are used.
  var offloads = UnderlaySettings.OffloadMode.auto
  /// Index among the ports of a snapshot.
  var portIndex: PortIndex
  /// The same of the tap, of a NIC that is ours.
  var tapIndex: PortIndex?
  var link: Link?
  /// Nil while the interface does not exist. Of a NIC that is ours: the NIC.
  var device: FrameDevice?
  /// Of a NIC that is ours, while it is open.
  var nic: OwnedNIC?
  /// Packets to our UDP port that found the socket full, since the start.
  var missed: UInt64 = 0
  /// Why the interface, which is there, could not be opened.
  var fault: String?

  /// Of a NIC that is ours: workers see rings in its place.
  var isBehindIOCores: Bool { if case .ring = device { true } else { false } }

  /// Whether packets leave in trains, which have a UDP checksum.
  func joinsDatagrams(_ settings: UnderlaySettings) -> Bool {
    guard case .packetSocket(let sockets) = device else { return false }
    return sockets.joins && settings.udpChecksum != .off
  }

  /// Octets of a packet that go into its first receive buffer: those of the longest single one.
  var headByteCount: UInt16 { UInt16(clamping: (link?.mtu ?? 1500) + 14) }

  var isUp: Bool { device != nil && link?.isRunning == true && nic?.hasLink != false }

  var uplink: UnderlaySettings.Uplink { UnderlaySettings.Uplink(device: name, nic: devargs, driver: driver, offloads: offloads) }

  var indexes: [PortIndex] { [portIndex, tapIndex].compactMap(\.self) }

  /// What has to be closed.
  var closings: [StaleState.Closing] {
    [device, nic.map { .tap($0.tap) }].compactMap(\.self).map { StaleState.Closing(device: $0, subject: uplink.subject) }
  }
}

struct NeighborKey: Hashable {
  var interfaceIndex: Int32
  var address: IPAddress
}

struct UnderlayState {
  var devices: [UnderlayDevice] = []
  var vteps = VTEPTable()
  /// Path MTUs that ICMP has reported, of VTEPs that were known then.
  var pathMTUs: [IPAddress: PathMTU] = [:]
  /// IPsec policies: those that were there when they were read last, in the order in which the kernel asks them.
  var policies: [IPsecPolicy] = []
  /// They have been read and not yet applied.
  var hasNewPolicies = false
  /// Policies that the operator has been told of.
  var reportedPolicies: Set<UInt32> = []
  /// What BFD says of the VTEPs that it has said anything of.
  var bfd: [IPAddress: BFDHealth] = [:]
  /// VTEPs to which nothing is sent because of a policy.
  var forbidden: Set<IPAddress> = []
  /// VTEP addresses that this host does not have at the moment: nothing is sent with them.
  var missingAddresses: Set<IPAddress> = []
  /// Next hops that VTEPs need, which the kernel was asked to resolve and keep.
  var wanted: Set<NeighborKey> = []
  /// errno of the latest requests that the kernel refused: they have been logged.
  var neighborErrors: Set<Int32> = []
  /// The last known address of each neighbour on our devices. Kept when the kernel forgets it (`ip neigh flush`), until
  /// it is known to have failed: frames go on while it is resolved again.
  var neighbors: [NeighborKey: MACAddress] = [:]
  var failedNeighbors: Set<NeighborKey> = []
  /// Reported failed a moment ago. A flush, too, first reports an entry failed and then removed: only one that is not
  /// removed at once counts as failed.
  var doubtfulNeighbors: Set<NeighborKey> = []

  func device(interfaceIndex: Int32) -> UnderlayDevice? {
    devices.first { $0.link?.index == interfaceIndex }
  }

  /// The next hops of a VTEP that can be used now, as (device, neighbour, weight). When some are known to be dead and
  /// others are not, the dead ones are left out.
  func usableHops(_ record: VTEPRecord) -> [(device: UnderlayDevice, neighbor: NeighborKey, weight: Int)] {
    if lacksAddress(like: record.address) || forbidden.contains(record.address) { return [] }
    if record.isGroup {
      // A group is reached on the first uplink that is up: sending on each would deliver twice.
      return devices.first(where: \.isUp).map {
        [($0, NeighborKey(interfaceIndex: $0.link?.index ?? 0, address: record.address), 1)]
      } ?? []
    }
    guard let route = record.route, route.type == .unicast else { return [] }
    let hops = route.nextHops.compactMap {
      hop -> (device: UnderlayDevice, neighbor: NeighborKey, weight: Int)? in
      guard hop.isUsable, let device = device(interfaceIndex: hop.interfaceIndex), device.isUp else { return nil }
      let key = NeighborKey(interfaceIndex: hop.interfaceIndex, address: hop.gateway ?? record.address)
      return (device, key, max(hop.weight, 1))
    }
    let alive = hops.filter { !failedNeighbors.contains($0.neighbor) }
    return alive.isEmpty ? hops : alive
  }

  /// The IPsec policy that keeps packets between us and a VTEP from passing as they are; nil: none does.
  func restricting(_ address: IPAddress, _ settings: UnderlaySettings) -> IPsecPolicy? {
    guard let own = settings.ownAddress(like: address) else { return nil }
    let interfaces = devices.compactMap { $0.link?.index }
    func first(_ direction: IPsecPolicy.Direction, _ from: IPAddress, _ to: IPAddress) -> IPsecPolicy? {
      policies.first {
        $0.direction == direction && $0.matches(from: from, to: to, udpPort: settings.udpPort)
          && ($0.interfaceIndex == 0 || interfaces.contains($0.interfaceIndex))
      }.flatMap { $0.restricts ? $0 : nil }
    }
    return first(.out, own, address) ?? (address.isMulticast ? nil : first(.in, address, own))
  }

  func lacksAddress(like other: IPAddress) -> Bool { missingAddresses.contains { $0.isIPv4 == other.isIPv4 } }

  /// Why a VTEP has no usable next hop; nil: it has one.
  func obstacle(_ record: VTEPRecord) -> Obstacle? {
    if let address = missingAddresses.first(where: { $0.isIPv4 == record.address.isIPv4 }) { return .ownAddressMissing(address) }
    if forbidden.contains(record.address) { return .ipsecPolicy }
    guard usableHops(record).isEmpty else { return nil }
    if record.isGroup { return .deviceDown(devices.map(\.name)) }
    guard let route = record.route else { return .noRoute("no route") }
    switch route.type {
    case .unicast: break
    case .local: return .noRoute("the address is this host's own")
    case .blackhole, .unreachable, .prohibit: return .noRoute("the route is of type \(route.type)")
    default: return .noRoute("the route leads to no single host")
    }
    let ours = route.nextHops.compactMap { device(interfaceIndex: $0.interfaceIndex)?.name }
    if !ours.isEmpty { return .deviceDown(ours) }
    return route.nextHops.first.map { .routeNotUnderlay(interfaceIndex: $0.interfaceIndex) } ?? .noRoute("the route has no next hop")
  }
}

/// Why nothing can be sent to a VTEP.
enum Obstacle: Equatable {
  case noRoute(String)
  case ownAddressMissing(IPAddress)
  case routeNotUnderlay(interfaceIndex: Int32)
  case ipsecPolicy
  /// Those that it is reached by are down, or their next hops dead.
  case deviceDown([String])

  var dropReason: DropReason {
    switch self {
    case .noRoute: .noRoute
    case .deviceDown: .uplinkDown
    case .ownAddressMissing: .ownAddressMissing
    case .routeNotUnderlay: .routeNotUnderlay
    case .ipsecPolicy: .ipsecPolicy
    }
  }
}

extension UnderlaySettings {
  func ownAddress(like other: IPAddress) -> IPAddress? {
    addresses.first { $0.isIPv4 == other.isIPv4 }
  }

  /// The outer header for frames to `destination`.
  func header(
    to destination: IPAddress, from source: IPAddress, sourceMAC: MACAddress, nextHop: MACAddress, hasOwnKey: Bool = false
  ) -> OuterHeader {
    let computes =
      switch udpChecksum {
      case .auto: !destination.isIPv4
      case .on: true
      case .off: false
      }
    let unicastTTL: UInt8 =
      switch ttl {
      case .fixed(let value): value
      case .inherit: 0
      }
    let dscpValue: UInt8 =
      switch dscp {
      case .fixed(let value): value
      case .inherit: 0xff
      }
    return OuterHeader(
      source: source, destination: destination, sourceMAC: sourceMAC, destinationMAC: nextHop, udpPort: udpPort,
      ttl: destination.isMulticast ? multicastTTL : unicastTTL, dscp: dscpValue, computesUDPChecksum: computes,
      hasOwnKey: hasOwnKey)
  }
}
