// DryRun: what a dry worker did with one frame, step by step, in the data plane's own indexes. `RunningState+Trace` puts names to them.

import Encap
import MACTable

struct DryRun {
  /// Where the walk ended.
  enum End: Equatable {
    /// Steps E2, D2 and D3.
    case receive
    /// The limits of the port, in step E2.
    case checks
    /// Steps E3 and D4.
    case learn
    /// Steps E4 to E7 and D5 to D7: the verdict was carried out.
    case act
  }

  /// A frame that would have left by a port.
  struct Sent: Equatable {
    var port: PortIndex
    var octets: [UInt8]
    var hasRequest: Bool
  }

  struct Drop: Equatable {
    /// Where it counts.
    var port: PortIndex
    var reason: DropReason
    var count: UInt64
  }

  /// An entry of the MAC table.
  struct Entry {
    var location: MACLocation
    var type: MACEntryType
    var isFrozen: Bool
    var moves: UInt8
    /// On the clock of `MonotonicClock`; 0: never.
    var lastSeenSeconds: UInt32
  }

  /// A frame that belongs to a domain.
  struct Bound {
    var domain: DomainIndex
    /// `noLocation`: nothing is learned of it.
    var seenAt: MACLocation
    var source: MACKey
    var destination: MACKey
    /// As it is forwarded: without the tag of its binding, or without outer headers.
    var octets: [UInt8]
    /// Of a removed tag or of the outer DSCP, for the priority.
    var notedTag: UInt16?
    var serial: UInt32
  }

  /// A VTEP or group that the frame goes to, and the next hop of its flow.
  struct Target {
    var vtep: VTEPIndex
    var address: IPAddress
    var tunnelKey: VNI?
    /// 0: nothing can be sent to it, for the reason `obstacle`.
    var hopCount: Int
    var obstacle: DropReason
    /// Of the flow's next hop.
    var port: PortIndex
    var isResolved: Bool
    /// Of the IP packets that fit its path, in octets.
    var mtu: Int
    /// Octets that the outer headers behind Ethernet, and the inner Ethernet header, take of it.
    var overhead: Int
    var sentCount: UInt64 = 0
    var isHeld = false
  }

  /// A local binding of a domain.
  struct Local {
    var target: LocalTarget
    var isUp: Bool
    var isIsolated: Bool
  }

  var generation: UInt64
  var port: PortIndex
  var isFromOverlay: Bool
  /// Whether the port is up.
  var isPortUp: Bool
  var octets: [UInt8]
  var end = End.receive
  /// What the parser makes of a packet from the underlay.
  var outer: OuterPacket?
  /// The VTEP that sent it; absent: none that is known.
  var sender = VTEPIndex.absent
  var bound: Bound?
  /// Datagrams of a train; 0: it is none.
  var stagedCount = 0
  /// Counters of the entries of access control lists that the frame and its copies have met, and how often.
  var aclEntries: [(slot: UInt32, count: UInt64)] = []
  /// The limits of the port; nil: it has none.
  var policy: PolicyEntry?
  var source: Entry?
  var destination: Entry?
  var verdict: Verdict?
  /// Of a frame that would be flooded.
  var neighbor = NeighborVerdict.notAsked
  /// The address that it asks about.
  var neighborTarget: IPAddress?
  /// The verdict is from what the learner has not dealt with yet.
  var isPending = false
  var remotes: [Target] = []
  var locals: [Local] = []
  /// What a router did with it; nil: it met none, or was dropped there.
  var router: RouterNote?
  /// For the learner.
  var learned: [LearnEvent] = []
  /// For the slow path.
  var slowPath: [SlowPathItem.Kind] = []
  /// Frames that wait for a next hop, or for a VTEP.
  var heldCount = 0
  /// Held until the station's VTEP has an index.
  var isAwaited = false
  /// Left to the kernel.
  var ignored: IgnoredCause?
  var drops: [Drop] = []
  /// At most `FrameRecorder.capacity`, of `sentCount`.
  var sent: [Sent] = []
  var sentCount = 0
}
