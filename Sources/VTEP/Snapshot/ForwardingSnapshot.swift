// ForwardingSnapshot: everything a worker needs to forward, except the MAC table: plain-data arrays, built by the
// reconciler, published by one atomic store, never changed afterwards, and freed when no worker can hold them any more.
// Taken anew in steps E1 and D1.

import Encap
import MACTable

/// A local binding that frames of a domain are delivered to: a port, and the VLAN tag of its frames there.
struct LocalTarget: Equatable {
  var port: PortIndex
  /// 0 = untagged.
  var vlan: UInt16
}

/// A port as workers see it.
struct PortEntry {
  /// How the device's frames move; `none`: it has no device.
  var kind = FrameDeviceKind.none
  /// Number of the device among those of its kind: DPDK's port identifier.
  var device: UInt16 = 0
  /// One per transmit queue, for kinds that send through descriptors.
  var descriptors: UnsafePointer<Int32>?
  /// AF_XDP sockets, one per receive queue; only of an uplink that has them.
  var xdpQueues: UnsafeMutablePointer<XDPQueue>?
  /// One per worker; only of a NIC behind io-cores.
  var rings: UnsafePointer<RingPair>?
  var transmitQueues: UInt16 = 1
  /// Of a NIC with as many transmit queues as there are workers: each worker has one for itself. A guest serves each of its queues with a
  /// processor, so its frames are spread by flow.
  var hasWorkerQueues = false
  /// The kernel device is up: frames may be delivered.
  var isUp = false
  var isUnderlay = false
  /// Of an uplink's NIC that DPDK drives, the tap that stands for it in the kernel; of that tap, the NIC. Absent: all others.
  var partner = PortIndex.absent
  /// The uplink's MAC address; underlay devices only.
  var mac = MACAddress.zero
  /// Frames arrive by DMA and are not in the cache yet; virtual drivers have just copied them.
  var isHardware = false
  /// Received checksums may be unfinished, and nothing says so.
  var hasUnfinishedChecksums = false
  /// The device accepts chained buffers.
  var sendsSegments = false
  /// Packets of one flow and size leave as one train (DatagramTrain).
  var joinsDatagrams = false
  /// Octets of a received frame that go into its first buffer, at most its room; see `KernelReceiver.receive`.
  var headByteCount = UInt16.max
  /// Flags for everything out of the ordinary.
  var features: PortFeatures = []
  /// Domain of untagged frames.
  var untaggedDomain = DomainIndex.absent
  /// Largest frame that may be delivered, in bytes without VLAN tag.
  var maxFrameByteCount: UInt32 = 0
  /// Drop reason for a frame that the device does not accept.
  var fullReason = DropReason.transmitFull
  /// VLAN identifier → domain, 4096 entries; nil when the port has no tagged binding.
  var vlanDomains: UnsafePointer<DomainIndex>?
  /// TPID of the tags that are added.
  var tpid = EtherType.customerTag
  /// Tags of the other type match the port's bindings as well.
  var takesAnyTPID = true

  var isAttached: Bool { kind != .none }

  /// Whether a tag with this TPID belongs to a binding.
  func takesTag(_ tpid: UInt16) -> Bool { takesAnyTPID || tpid == self.tpid }
}

/// A bridge domain: the frames of one VNI.
struct DomainEntry {
  var vni = VNI(truncating: 0)
  /// Distinguishes a domain from an earlier one with the same index or VNI.
  var serial: UInt32 = 0
  var isInUse = false
  var learnsFromVTEPs = true
  var acceptsOnlyPeers = false
  var carriesInnerVLAN = false
  /// The operator has disabled flooding to the overlay.
  var isFloodDisabled = false
  /// The control side needs the IP addresses of local stations.
  var reportsStations = false
  /// Addresses that stations claim in ARP and ND are noted, and requests for known ones answered here (`neighbor-suppression`).
  var suppressesNeighbors = false
  /// A port of the domain accepts link-local control frames from the overlay.
  var tunnelsControl = false
  /// Position in `storms`; `unlimited`: flooding is not limited.
  var storm = DomainEntry.unlimited
  /// Position of its first router interface; `noRouter`: it has none.
  var router = DomainEntry.noRouter
  /// Range of `localTargets`.
  var firstLocal: UInt32 = 0
  var localCount: UInt32 = 0
  /// Range of `floodTargets`: VTEP indexes that flooded frames go to.
  var firstFlood: UInt32 = 0
  var floodCount: UInt32 = 0
  /// Range of `peers`: VTEP indexes that may send to this VNI, ascending.
  var firstPeer: UInt32 = 0
  var peerCount: UInt32 = 0

  static let unlimited: UInt16 = 0xffff
  static let noRouter: UInt16 = 0xffff
}

/// A remote VTEP, a multicast group, or a list of VTEPs.
struct VTEPEntry {
  var address = IPAddress(ipv4: 0)
  /// Packets may come from it or go to it.
  var isInUse = false
  var isGroup = false
  /// There is a BFD session.
  var hasBFD = false
  /// Drop reason of its frames while it has no adjacencies.
  var obstacle = DropReason.noRoute
  /// VNI of the frames sent to it; nil: their domain's.
  var tunnelKey: VNI?
  /// Range of `floodTargets`: the VTEPs of a list.
  var firstMember: UInt32 = 0
  var memberCount: UInt32 = 0
}

/// The usable next hops to a VTEP, a weighted one several times. Apart from `VTEPEntry`, of which packets need nothing else.
struct NextHops {
  /// None: an adjacency that takes no frame.
  var first: UnsafePointer<Adjacency>
  /// 0: no route.
  var count: UInt32

  /// The next hop of a flow, by its hash. The hash's low bits choose it, its high bits the source port, so that routers behind the next hop, which
  /// hash the port, spread each share again.
  @inline(always)
  func adjacency(of hash: UInt32) -> UnsafePointer<Adjacency> {
    if _fastPath(count == 1) { return first }
    return first + Int(((hash & 0xffff) &* count) &>> 16)
  }
}

/// One path to a VTEP: the prebuilt outer header and the egress device. Two cache lines.
struct Adjacency {
  /// `maxInnerByteCount` if the path needs nothing but a plain header, else 0: one comparison for the everyday frame. First, so that
  /// all that this frame needs is in one cache line.
  private(set) var plainInnerByteCount: UInt32 = 0
  /// The same for a header that is not plain but fixed: over IPv6, or with a UDP checksum.
  private(set) var fixedInnerByteCount: UInt32 = 0
  /// Index into `ports`.
  var port: PortIndex
  var header: OuterHeader { didSet { setLimits() } }
  /// The next hop's MAC address is known.
  var isResolved: Bool { didSet { setLimits() } }
  /// Largest inner frame that fits the path's MTU, in bytes.
  var maxInnerByteCount: UInt32 { didSet { setLimits() } }
  /// Keeps the next one from beginning in the same cache line.
  private let filler: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

  init(header: OuterHeader, port: PortIndex, isResolved: Bool, maxInnerByteCount: UInt32) {
    self.header = header
    self.port = port
    self.isResolved = isResolved
    self.maxInnerByteCount = maxInnerByteCount
    setLimits()
  }

  /// In place of one: takes no frame.
  static var unusable: Adjacency {
    let address = IPAddress(ipv4: 0)
    let header = OuterHeader(
      source: address, destination: address, sourceMAC: .zero, destinationMAC: .zero, udpPort: 0, ttl: 0, dscp: 0,
      computesUDPChecksum: false)
    return Adjacency(header: header, port: .absent, isResolved: false, maxInnerByteCount: 0)
  }

  private mutating func setLimits() {
    plainInnerByteCount = isResolved && header.isPlain ? min(maxInnerByteCount, UInt32(OuterHeader.largestPlainPacket - 36)) : 0
    fixedInnerByteCount = isResolved && header.isFixed && !header.isPlain ? maxInnerByteCount : 0
  }
}

/// A receive queue of a worker.
struct ReceiveQueue: Hashable {
  var port: PortIndex
  var queue: UInt16
  var kind = FrameDeviceKind.ethdev
  /// Reports that frames wait; -1: nothing does.
  var descriptor: Int32 = -1
  /// What the descriptor's events name; absent: the queue is polled in every round.
  var slot = QueueSlot.absent
  /// Ascending, in the order in which queues were given to workers.
  var serial: UInt32 = 0

  var isPolled: Bool { slot == .absent }
}

/// The place of a receive queue that is read only when frames wait in it.
struct QueueSlot: TypedIndex {
  var rawValue: UInt16
}

/// Open-addressed map slot, VNI → domain, with what everyday packets need of the domain; four to a cache line.
struct VNISlot {
  /// With its octets swapped; no packet has the one of a free slot.
  var wireVNI = UInt32.max
  var domain = DomainIndex.absent
  /// VTEPs below this index may send to it: all, or, if only peers may, none without another look.
  var vtepLimit: UInt16 = 0
  /// To be combined with a VTEP's index, shifted by one, to the VTEP's place: all bits set, as in `StagedFrame.noLocation`, if nothing is
  /// learned from VTEPs.
  var place: UInt32 = 0
  private let filler: UInt32 = 0

  /// A free one.
  init() {}

  init(_ entry: DomainEntry, at index: DomainIndex) {
    wireVNI = entry.vni.rawValue.byteSwapped
    domain = index
    vtepLimit = entry.acceptsOnlyPeers ? 0 : VTEPIndex.absent.rawValue
    place = entry.learnsFromVTEPs ? MACLocation.vtep(0).raw : StagedFrame.noLocation.raw
  }
}

/// Open-addressed map slot, IPv4 address of a VTEP, as it is in packets → index; `VTEPIndex.own` for our own address.
struct IPv4Slot {
  var wireAddress: UInt32 = 0
  var index = VTEPIndex.absent
  /// The index if the address is another host's, else absent.
  var peer = VTEPIndex.absent
}

/// IPv4 addresses, as they are in packets, of VTEPs, groups and of ourselves.
struct IPv4Map {
  let slots: UnsafePointer<IPv4Slot>
  let mask: UInt32

  /// The index of a VTEP that packets may come from: not of a group, nor our own.
  @inline(always)
  func peer(at wireAddress: UInt32) -> VTEPIndex {
    let likely = slots + Int(Self.hash(wireAddress) & mask)
    return _fastPath(likely.pointee.wireAddress == wireAddress) ? likely.pointee.peer : slot(at: wireAddress).peer
  }

  func slot(at wireAddress: UInt32) -> IPv4Slot {
    var slot = Self.hash(wireAddress) & mask
    // A free slot holds the address 0, which is no VTEP's, and the index of none.
    while slots[Int(slot)].wireAddress != wireAddress {
      if slots[Int(slot)].index == .absent { return IPv4Slot() }
      slot = (slot &+ 1) & mask
    }
    return slots[Int(slot)]
  }

  /// The last octet, in which neighbours differ, is on top, so the result is taken from above 32 bits, and the factor's second and third octet
  /// are odd: most addresses in a row get a slot each.
  @inline(always)
  static func hash(_ wireAddress: UInt32) -> UInt32 { UInt32(truncatingIfNeeded: (UInt64(wireAddress) &* 0x5bd1_e995) >> 32) }
}

/// The same for IPv6.
struct IPv6Slot {
  var address = IPAddress(high: 0, low: 0)
  var index = VTEPIndex.absent
  var peer = VTEPIndex.absent
}

/// A station that has just arrived at a local binding and is to be announced to the other VTEPs.
struct Announcement {
  /// Ascending, so that a worker does not send an announcement again with the next snapshot.
  var serial: UInt64
  /// The station, and the domain it is in.
  var key: MACKey
  var place: MACLocation
}

/// The block a worker reads. All pointers belong to the `SnapshotStorage` that made it.
struct ForwardingSnapshot {
  /// Distinguishes snapshots, since memory, and so the address, is reused.
  var generation: UInt64
  /// `Limits.ports` entries.
  var ports: UnsafePointer<PortEntry>
  /// Beside `ports`.
  var policies: UnsafePointer<PolicyEntry>
  /// (VLAN, source) pairs, see `PolicyEntry.source`.
  var allowedSources: UnsafePointer<UInt64>
  /// Access control lists, by `ACLIndex`.
  var acls: UnsafePointer<ACLPrograms>
  /// Counters of their entries are below this one.
  var aclSlotCount: Int
  var domains: UnsafePointer<DomainEntry>
  /// Beside `domains`: what `OuterHeader.vxlanHeader` makes of their VNIs.
  var vxlanHeaders: UnsafePointer<UInt64>
  /// Of domains that limit what is flooded.
  var storms: UnsafePointer<StormEntry>
  var vteps: UnsafePointer<VTEPEntry>
  /// Beside `vteps`.
  var nextHops: UnsafePointer<NextHops>
  /// The next hop of each VTEP that has but one; of all others, an adjacency that takes no frame.
  var onlyHops: UnsafePointer<UnsafePointer<Adjacency>>
  var localTargets: UnsafePointer<LocalTarget>
  var floodTargets: UnsafePointer<VTEPIndex>
  var peers: UnsafePointer<VTEPIndex>
  var vniSlots: UnsafePointer<VNISlot>
  var vniMask: UInt32
  var ipv4: IPv4Map
  var ipv6Slots: UnsafePointer<IPv6Slot>
  var ipv6Mask: UInt32
  /// Per worker: range of `receiveQueues`, in which those that are polled come first.
  var receiveQueues: UnsafePointer<ReceiveQueue>
  var receiveQueueStarts: UnsafePointer<UInt32>
  /// Per worker: where its polled queues end.
  var polledQueueEnds: UnsafePointer<UInt32>
  /// By slot: position in `receiveQueues`; `UInt32.max`: no queue has the slot.
  var queuesOfSlots: UnsafePointer<UInt32>
  var slotCount: Int
  /// Of all queues.
  var latestQueueSerial: UInt32
  /// Queues of NICs, and per io-core: their range.
  var ioQueues: UnsafePointer<UnsafeMutablePointer<IOQueue>>
  var ioQueueStarts: UnsafePointer<UInt32>
  /// For the first worker, by serial.
  var announcements: UnsafePointer<Announcement>
  var announcementCount: Int
  /// PCP → DSCP, 8 entries; 0: leaves the DSCP alone (see `PriorityMap`).
  var dscpOfPCP: UnsafePointer<UInt8>
  /// DSCP → PCP, 64 entries.
  var pcpOfDSCP: UnsafePointer<UInt8>
  /// Own VTEP address, wire order; `UInt64.max`, which is no address, when IPv4 is not in use.
  var ownIPv4: UInt64
  /// Our IPv6 address; unspecified: none.
  var ownIPv6: IPAddress
  /// Underlay devices that are attached, by their indexes in `ports`.
  var uplinks: UnsafePointer<PortIndex>
  var uplinkCount: Int
  var decapPolicy: DecapPolicy
  /// Limit of each port on ICMP errors to its guests about packets that are too big; not set: there are none.
  var tooBigReplies: MeterRate
  var routing: RouterTables

  @inline(always)
  func domain(of vni: VNI) -> DomainIndex { slot(ofWireVNI: vni.rawValue.byteSwapped).pointee.domain }

  /// The slot of a VNI, given with its octets swapped; a free one: nobody has the VNI.
  @inline(always)
  func slot(ofWireVNI wireVNI: UInt32) -> UnsafePointer<VNISlot> {
    var slot = Self.hash(wireVNI.byteSwapped) & vniMask
    while vniSlots[Int(slot)].wireVNI != wireVNI && vniSlots[Int(slot)].domain != .absent { slot = (slot &+ 1) & vniMask }
    return vniSlots + Int(slot)
  }

  /// The index of a VTEP or group; `own` for our own addresses, `absent` for unknown ones.
  func vtep(at address: IPAddress) -> VTEPIndex {
    address.isIPv4 ? ipv4.slot(at: address.ipv4.bigEndian).index : slot(atIPv6: address).index
  }

  /// The index of a VTEP that packets may come from: not of a group, nor our own. For IPv4: `IPv4Map.peer`.
  @inline(always)
  func peer(atIPv6 address: IPAddress) -> VTEPIndex { slot(atIPv6: address).peer }

  @inline(always)
  private func slot(atIPv6 address: IPAddress) -> IPv6Slot {
    var slot = Self.hash(address) & ipv6Mask
    while ipv6Slots[Int(slot)].index != .absent {
      if ipv6Slots[Int(slot)].address == address { return ipv6Slots[Int(slot)] }
      slot = (slot &+ 1) & ipv6Mask
    }
    return IPv6Slot()
  }

  /// Of a VNI.
  @inline(always)
  static func hash(_ key: UInt32) -> UInt32 {
    (key &* 0x9e37_79b1) >> 12
  }

  @inline(always)
  static func hash(_ address: IPAddress) -> UInt32 {
    let mixed = (address.high ^ (address.low &* 0x9e37_79b9_7f4a_7c15)) &* 0xff51_afd7_ed55_8ccd
    return UInt32(truncatingIfNeeded: mixed >> 32)
  }
}
