// TraceReport: what `vtepctl trace` says about a frame: a stage for each step that it met, what would have left, and what was dropped. The
// frames in it are octets: who asks puts them into words.

import Encap

public struct TraceReport: Sendable {
  /// A value of a stage, for scripts.
  public enum Fact: Equatable, Sendable {
    case text(String)
    case number(Int)
    case flag(Bool)
    case list([String])
    case none
  }

  /// A step of the walk.
  public struct Stage: Sendable {
    /// In the order in which a frame meets them; those that do not concern it are left out.
    public enum Name: String, CaseIterable, Sendable {
      case outer, parse, bind, acl, checks, learn
      case lookUp = "look-up"
      case verdict, neighbor, route, flood, vtep
      case nextHop = "next-hop"
      case header, deliver, result
    }

    public var name: Name
    /// One line for people; empty: the frame speaks for itself.
    public var text: String
    public var facts: [String: Fact]
    /// The frame that the stage is about.
    public var frame: [UInt8]?
    /// Of that, only the outer headers are meant, up to VXLAN's.
    public var isOuter: Bool

    init(_ name: Name, _ text: String = "", _ facts: [String: Fact] = [:], frame: [UInt8]? = nil, isOuter: Bool = false) {
      self.name = name
      self.text = text
      self.facts = facts
      self.frame = frame
      self.isOuter = isOuter
    }
  }

  /// What became of the frame.
  public enum Outcome: String, Sendable {
    /// It left, by one port or several.
    case sent
    /// No copy of it left, for the reasons in `drops`.
    case dropped
    /// It waits for the address of a next hop, or for its station's VTEP.
    case held
    /// To the slow path: the port's tap for control frames, or a report.
    case slowPath = "slow-path"
    /// It is not VXLAN for us.
    case kernel
    /// It asks for a neighbour, and was answered here.
    case answered
  }

  /// A frame that leaves.
  public struct Sent: Sendable {
    /// Name of the port or of the uplink.
    public var port: String
    public var isUplink: Bool
    /// Where its packet goes, if it is one.
    public var vtep: IPAddress?
    public var vni: VNI?
    public var octets: [UInt8]
  }

  public struct Drop: Sendable {
    public var reason: DropReason
    /// Port or uplink under which it counts.
    public var place: String
    public var count: UInt64
  }

  public var stages: [Stage] = []
  public var outcome = Outcome.dropped
  public var sent: [Sent] = []
  /// `sent` has the first ones of so many.
  public var sentCount = 0
  public var drops: [Drop] = []
  /// Number of the snapshot that was used.
  public var snapshot: UInt64 = 0

  /// In one line: what the frame meets at the end.
  public var summary: String { stages.last?.text ?? "" }
}

/// What a frame is given to: where it comes in.
public enum TraceOrigin: Sendable {
  /// A port, by its name; the octets are the frame as the port carries it.
  case port(String)
  /// A VTEP that sends the frame in a VNI; nil: by the first uplink that is up.
  case vtep(IPAddress, vni: VNI, uplink: String?)
  /// An uplink; the octets are the whole packet, with its outer headers.
  case underlay(uplink: String?)
}
