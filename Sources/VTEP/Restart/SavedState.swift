// SavedState: what the data plane knows beyond its configuration: learned addresses with their ages and moves, frozen ones, ports that a
// guard shut, and counters. A value by the operator's names, since indexes are others in the next run. Made by RunningState+Saved, entered
// again by ControlState+Restore, written as bytes by SavedState+Bytes (docs/decisions/0042).

import Encap

/// What one run of the daemon leaves to the next. Times are seconds of the host's monotonic clock, which goes on while no daemon runs and
/// which no change of the date concerns; it begins anew when the host boots. Only `since` is a date.
public struct SavedState: Equatable, Sendable {
  /// Where an address was: a position in `ports` with a VLAN, or an address of a VTEP.
  enum Place: Hashable, Sendable {
    case port(Int, vlan: UInt16)
    case vtep(IPAddress)
  }

  /// A learned address.
  struct Address: Equatable, Sendable {
    var mac: MACAddress
    /// A position in `vnis`.
    var vni: UInt32
    /// A position in `places`.
    var place: UInt32
    var lastSeenSeconds: UInt32
    /// 255 means 255 or more.
    var moves: UInt8
    /// When it came to its place, in seconds since 1970; 0: not known.
    var since: UInt32 = 0
  }

  /// An address that moved too often.
  struct Frozen: Equatable, Sendable {
    var mac: MACAddress
    /// Positions, as in `Address`.
    var vni: UInt32
    var first: UInt32
    var second: UInt32
    var moves: Int
    var sinceSeconds: UInt32
  }

  /// An address that has moved lately.
  struct Moving: Equatable, Sendable {
    struct Move: Equatable, Sendable {
      var seconds: UInt32
      var from: UInt32
    }

    var mac: MACAddress
    var vni: UInt32
    /// The oldest first.
    var moves: [Move]
    var place: UInt32
  }

  /// Frames by the names of drop reasons, classes or causes; what is 0 is left out.
  typealias Counts = [String: UInt64]

  struct Port: Equatable, Sendable {
    /// What it is attached to: a port is the same as long as that is, whatever it is called.
    var attachment: String
    var traffic = TrafficReport()
    var drops = Counts()
    /// By VLAN; 0 = untagged.
    var bindings: [UInt16: TrafficReport] = [:]
    var shut: Shut?
  }

  /// A guard shut the port.
  struct Shut: Equatable, Sendable {
    var isLoop: Bool
    var reason: String
    var endSeconds: UInt32
  }

  struct VNICounts: Equatable, Sendable {
    var vni: VNI
    var traffic = TrafficReport()
    var flooded: UInt64 = 0
    var stormDrops = Counts()
    var learnRefusals: UInt64 = 0
    var drops = Counts()
    var neighbors = NeighborCounts()
  }

  struct VTEPCounts: Equatable, Sendable {
    var address: IPAddress
    var traffic: TrafficReport
    var drops = Counts()
    /// Nil: BFD does not run with it.
    var bfd: BFDCounts?
  }

  struct RouterInterface: Equatable, Sendable {
    var router: String
    var vni: VNI
    var traffic: TrafficReport
  }

  /// What the entries of a list have matched, by `ACLTable.Entry.identity`.
  struct ACL: Equatable, Sendable {
    var name: String
    var entries: [String: ACLCount] = [:]
  }

  /// An interface of the underlay, or the NIC in front of its tap.
  struct Uplink: Equatable, Sendable {
    var name: String
    var traffic = TrafficReport()
    var drops = Counts()
    var ignored = Counts()
    /// Frames of each class that passed, and that exceeded its limit.
    var passed = Counts()
    var limited = Counts()
    var missed: UInt64 = 0
  }

  /// When it was saved.
  public var savedSeconds: UInt32 = 0
  /// The counters count since then.
  public var countingSinceSeconds: UInt32 = 0
  var ports: [Port] = []
  var vnis: [VNICounts] = []
  var vteps: [VTEPCounts] = []
  var uplinks: [Uplink] = []
  /// In all places, those that are gone included.
  var dropTotals = Counts()
  var inserts: UInt64 = 0
  var moves: UInt64 = 0
  var evictions: UInt64 = 0
  var places: [Place] = []
  var addresses: [Address] = []
  var frozen: [Frozen] = []
  var moving: [Moving] = []
  var routers: [RouterInterface] = []
  var acls: [ACL] = []

  /// Learned addresses in it.
  public var addressCount: Int { addresses.count }

  public init() {}

  /// Older ones are of no use: whoever was there may be anywhere.
  static let oldestSeconds: Int32 = 3600

  /// Why it must not be entered; nil: it may.
  public func obstacle(nowSeconds: UInt32 = MonotonicClock.seconds()) -> String? {
    let age = Int32(truncatingIfNeeded: nowSeconds &- savedSeconds)
    if age < 0 { return "it is from the future by the host's monotonic clock" }
    return age > Self.oldestSeconds ? "it is \(age / 60) minutes old" : nil
  }
}

extension PortSettings {
  /// What the port is attached to, by which a later run knows it again.
  var savedAttachment: String { "\(kind.rawValue) \(kind.driver.claim(attachment).value)" }
}

/// What an entry of an access control list has matched.
struct ACLCount: Equatable, Sendable {
  var packets: UInt64
  var bytes: UInt64
}

/// What became of requests for neighbours in a VNI with neighbour suppression.
struct NeighborCounts: Equatable, Sendable {
  /// Answered here.
  var answers: UInt64 = 0
  /// Flooded nevertheless.
  var passes: UInt64 = 0

  static func + (left: NeighborCounts, right: NeighborCounts) -> NeighborCounts {
    NeighborCounts(answers: left.answers &+ right.answers, passes: left.passes &+ right.passes)
  }

  static func - (left: NeighborCounts, right: NeighborCounts) -> NeighborCounts {
    NeighborCounts(answers: left.answers &- right.answers, passes: left.passes &- right.passes)
  }
}
