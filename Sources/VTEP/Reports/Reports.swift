// Reports: the running state as values, for `vtepctl show …` and metrics. Counters are sums over the workers since the
// object came into being; addresses are values, not text.

import CDPDK
import Encap
import MACTable

/// Packets and bytes, both directions.
public struct TrafficReport: Equatable, Sendable {
  public var rxPackets: UInt64 = 0
  public var rxBytes: UInt64 = 0
  public var txPackets: UInt64 = 0
  public var txBytes: UInt64 = 0

  public init(rxPackets: UInt64 = 0, rxBytes: UInt64 = 0, txPackets: UInt64 = 0, txBytes: UInt64 = 0) {
    self.rxPackets = rxPackets
    self.rxBytes = rxBytes
    self.txPackets = txPackets
    self.txBytes = txBytes
  }
}

public struct PortReport: Sendable {
  public var settings: PortSettings
  /// Of no other port; the same as long as the port exists.
  public var number: Int
  public var status: PortStatus
  public var mac: MACAddress?
  public var mtu: Int?
  public var traffic: TrafficReport
  public var drops: UInt64
  /// Those that the port's policy caused.
  public var policyDrops: [(reason: DropReason, count: UInt64)]
  /// Learned addresses behind the port.
  public var learnedMACs: Int
  /// Why the port is shut for a while, and for how long still; nil: it is not.
  public var shutReason: String?
  public var shutSeconds: Int?
  /// What an operator should know about the port.
  public var notes: [String]
}

/// A place of a port that belongs to a VNI.
public struct BindingReport: Sendable {
  public var port: String
  /// 0 = untagged.
  public var vlan: UInt16
  public var vni: VNI
  /// The controller made it, not the operator.
  public var isController: Bool
  /// Received: from the port, sent: to the port; bytes as they are on the port. Since the binding was made.
  public var traffic: TrafficReport
}

public struct VNIReport: Sendable {
  public var settings: VNISettings
  public var ports: [String]
  public var macs: Int
  /// Received: from the overlay, sent: into it; bytes of inner frames.
  public var traffic: TrafficReport
  public var flooded: UInt64
  /// Requests for neighbours that were answered here, and those that were flooded although the VNI answers.
  public var neighborAnswers: UInt64
  public var neighborPasses: UInt64
  /// What storm control of the VNI dropped, from wherever it came.
  public var stormDrops: [(reason: DropReason, count: UInt64)]
  /// Learn attempts refused by `mac-limit`.
  public var learnRefusals: UInt64
  /// Seconds that the VNI stays prepared for a guest; nil: it is not.
  public var preparedSeconds: Int?
}

public struct NextHopReport: Sendable {
  public var address: IPAddress
  public var device: String
  /// Nil while unresolved.
  public var mac: MACAddress?
  public var isFailed: Bool
}

/// Why the MTU towards a VTEP is less than that of the interface.
public enum PathMTUReason: Equatable, Sendable {
  /// The route has an MTU of its own.
  case route
  /// A router has reported it, and it holds for some seconds still.
  case icmp(reporter: IPAddress, secondsLeft: Int)
}

public struct VTEPReport: Sendable {
  public var address: IPAddress
  public var isGroup: Bool
  public var vnis: [VNI]
  public var macs: Int
  public var nextHops: [NextHopReport]
  /// Why nothing can be sent to it; nil: it can.
  public var obstacle: String?
  /// Of the IP packets that fit the path, in bytes; nil without a route.
  public var mtu: Int?
  /// What makes the MTU less than that of the interface; nil: nothing does.
  public var pathMTU: PathMTUReason?
  public var traffic: TrafficReport
  /// Nil: BFD does not run with it.
  public var bfd: BFDReport?
  /// BFD frames that came from it nevertheless.
  public var bfdIgnored: UInt64
}

/// The MAC table as a whole.
public struct MACTableReport: Sendable {
  public var entries: Int
  /// Entries that it can hold.
  public var capacity: Int
  /// Addresses that moved too often.
  public var frozen: Int
  /// Since the start: entries added, entries that changed their place, and learned entries removed because the table was full.
  public var inserts: UInt64
  public var moves: UInt64
  public var evictions: UInt64
}

/// A pool of packet buffers.
public struct BufferReport: Sendable {
  /// `frames`, with the socket if there are several, `segments` of large buffers, or `slices` of views.
  public var pool: String
  public var count: Int
  public var free: Int
}

public struct GroupReport: Sendable {
  public var group: IPAddress
  public var vnis: [VNI]
  public var interface: String
  public var isJoined: Bool
  /// Why not.
  public var error: String?
}

public struct UnderlayReport: Sendable {
  public struct Device: Sendable {
    public var name: String
    public var mtu: Int?
    public var isUp: Bool
    public var traffic: TrafficReport
    /// Packets that were left to the kernel.
    public var ignored: [(cause: IgnoredCause, count: UInt64)]
    /// Packets to our UDP port that found the socket full.
    public var missed: UInt64
    /// In use: `af_packet`, `af_xdp`, or DPDK's driver of a NIC that is ours.
    public var driver: String
    /// The NIC that is ours, as it is configured.
    public var devargs: String?
    /// What of the kernel or of the NIC is made use of.
    public var features: [String]
    /// Of a NIC that is ours, by name: `used`, `used, untested`, or `software: ` and the reason.
    public var offloads: [String: String]
    public var notes: [String]
    /// What passes between NIC and tap, of a NIC that is ours.
    public var classes: [HostClassReport]?
  }

  public var settings: UnderlaySettings
  /// VTEP addresses that the host does not have.
  public var missingAddresses: Set<IPAddress>
  public var devices: [Device]
}

public struct PlacementReport: Sendable {
  public struct Queue: Sendable {
    public var device: String
    /// Its number among those of its kind.
    public var queue: UInt16
    public var kind: String
    public var place: Placement.Queue
  }

  public var placement: Placement
  /// Those of each worker, and of each io-core.
  public var queues: [[Queue]]
  public var ioQueues: [[Queue]]
}

/// Frames of one class between a NIC and its tap, since the start.
public struct HostClassReport: Sendable {
  public var kind: HostFrameClass
  /// Frames per second and worker, in each direction.
  public var limit: UInt32
  public var toHost: UInt64
  public var fromHost: UInt64
  /// Beyond the limit.
  public var dropped: UInt64
}

public struct WorkerReport: Sendable {
  /// Its number among those of its kind.
  public var worker: Int
  /// It only carries frames between NICs and workers.
  public var isIOCore = false
  public var core: Int?
  /// Receive queues as "port/queue".
  public var queues: [String]
  /// Since the start.
  public var total: WorkerActivity
  /// Over about a second.
  public var recent: WorkerActivity
  /// Since the start: addresses that a full ring kept from the learner.
  public var learnEventsLost: UInt64
  /// It has not finished its round for a second.
  public var isStuck = false
}

/// What a worker has done.
public struct WorkerActivity: Sendable {
  public var packets: UInt64
  /// Rounds that found packets.
  public var bursts: UInt64
  /// Time-stamp counter cycles in these rounds, and in all.
  public var busyCycles: UInt64
  public var totalCycles: UInt64

  init(_ counters: UnsafeMutablePointer<ActivityCounters>) {
    packets = counters.pointee.packets.value
    bursts = counters.pointee.bursts.value
    busyCycles = counters.pointee.busyCycles.value
    totalCycles = counters.pointee.totalCycles.value
  }

  public var busySeconds: Double { Double(busyCycles) / Double(cdpdk_cycles_per_second()) }

  static func - (left: WorkerActivity, right: WorkerActivity) -> WorkerActivity {
    var difference = left
    difference.packets &-= right.packets
    difference.bursts &-= right.bursts
    difference.busyCycles &-= right.busyCycles
    difference.totalCycles &-= right.totalCycles
    return difference
  }
}

/// An address that moved lately, or moved too often and is frozen.
public struct MACMoveReport: Sendable {
  public var vni: VNI
  public var mac: MACAddress
  /// Frozen: where it is held, and where it was also seen. Else where it came from, and where it is.
  public var first: MACReport.Place
  public var second: MACReport.Place
  /// Within the window; of a frozen one, those that led to it.
  public var moves: Int
  /// Nil: not frozen.
  public var frozenSeconds: UInt32?
  /// Until it is released.
  public var releaseSeconds: UInt32?
}

public struct MACReport: Sendable {
  public enum Place: Sendable {
    case port(name: String, vlan: UInt16)
    case vtep(IPAddress)
    /// A multicast address.
    case vteps([IPAddress])
  }

  public var vni: VNI
  public var mac: MACAddress
  public var type: MACEntryType
  public var place: Place
  /// Seconds since the address was last seen; nil for entries that do not age.
  public var ageSeconds: UInt32?
  public var moves: UInt8
}
