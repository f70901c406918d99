// ShowUnderlay: `vtepctl show underlay`, our VTEP addresses, their devices, and the routes and neighbours in use.

/// Asks for the underlay's state.
public struct ShowUnderlay: ControlRequest {
  public typealias Answer = [UnderlayRow]
  public static let method = "show.underlay"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  public init() {}

  enum CodingKeys: CodingKey, CaseIterable {}
}

/// One of our VTEP addresses on one device.
public struct UnderlayRow: Codable, Equatable, Sendable {
  public var address: String
  /// The host has the address; nothing is sent without.
  public var present: Bool
  public var device: String
  /// In use: `af_packet` or `af_xdp`; of a NIC that DPDK drives, DPDK's driver.
  public var driver: String
  /// The NIC that DPDK drives, as it is configured; nil: the kernel drives it.
  @Nullable public var dpdk: String?
  /// Bytes; nil while the device is not there.
  @Nullable public var mtu: Int?
  /// The device is there and its link is up.
  public var up: Bool
  /// Packets on the device that were left to the kernel, by cause; causes that occurred.
  public var ignored: [String: UInt64]
  /// Packets to our UDP port that found the device's socket full; of a NIC that DPDK drives, frames for which it had no room.
  public var missed: UInt64
  /// Frames, others' on a shared device left out; a large segment that a NIC cuts is one.
  public var rxPackets: UInt64
  public var txPackets: UInt64
  /// What of the kernel is made use of: `trains`; of AF_XDP sockets `zero-copy` or `copy`; of a NIC that DPDK drives, `rss`, and which frames it receives:
  /// `multicast-filter`, `allmulticast`, `promiscuous` or `no-filter`.
  public var features: [String]
  /// Of a NIC that DPDK drives, what it does for us, by name: `used`, `used, untested`, or `software: ` and why not.
  public var offloads: [String: String]
  /// What an operator should know about the device.
  public var notes: [String]
  /// What passes between the NIC and its tap; nil: the kernel drives the NIC.
  @Nullable public var classes: [HostClassRow]?
  /// Destinations of the address's family that are reached over the device.
  public var destinations: [DestinationRow]

  public init(
    address: String, present: Bool = true, device: String, driver: String, dpdk: String? = nil, mtu: Int? = nil, up: Bool = false,
    ignored: [String: UInt64] = [:], missed: UInt64 = 0, rxPackets: UInt64 = 0, txPackets: UInt64 = 0, features: [String] = [],
    offloads: [String: String] = [:], notes: [String] = [], classes: [HostClassRow]? = nil, destinations: [DestinationRow] = []
  ) {
    self.address = address
    self.present = present
    self.device = device
    self.driver = driver
    self.dpdk = dpdk
    self.mtu = mtu
    self.up = up
    self.ignored = ignored
    self.missed = missed
    self.rxPackets = rxPackets
    self.txPackets = txPackets
    self.features = features
    self.offloads = offloads
    self.notes = notes
    self.classes = classes
    self.destinations = destinations
  }

  enum CodingKeys: String, CodingKey {
    case address, present, device, driver, dpdk, mtu, up, ignored, missed
    case rxPackets = "rx_packets"
    case txPackets = "tx_packets"
    case features, offloads, notes, classes, destinations
  }
}

/// Frames of one class between a NIC that DPDK drives and its tap, since the start.
public struct HostClassRow: Codable, Equatable, Sendable {
  /// `link` (LACP, LLDP), `neighbor` (ARP, ND), `membership` (IGMP, MLD), `routing` (BGP, BFD and others) or `host`: everything else.
  public var name: String
  /// Frames per second and worker, in each direction; of `host`, only from a NIC that receives more than vtepd takes.
  public var limit: UInt64
  public var toHost: UInt64
  public var fromHost: UInt64
  /// Frames beyond the limit, which were dropped.
  public var dropped: UInt64

  public init(name: String, limit: UInt64, toHost: UInt64 = 0, fromHost: UInt64 = 0, dropped: UInt64 = 0) {
    self.name = name
    self.limit = limit
    self.toHost = toHost
    self.fromHost = fromHost
    self.dropped = dropped
  }

  enum CodingKeys: String, CodingKey {
    case limit, dropped
    case name = "class"
    case toHost = "to_host"
    case fromHost = "from_host"
  }
}

/// A destination that the daemon keeps resolved: a remote VTEP or a multicast group.
public struct DestinationRow: Codable, Equatable, Sendable {
  public var address: String
  public var state: ReachabilityState
  /// The route's next hops with their neighbours.
  public var nextHops: [NextHopRow]

  public init(address: String, state: ReachabilityState, nextHops: [NextHopRow] = []) {
    self.address = address
    self.state = state
    self.nextHops = nextHops
  }

  enum CodingKeys: String, CodingKey {
    case address, state
    case nextHops = "next_hops"
  }
}
