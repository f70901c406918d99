// MACExplanation: all that is known of one address in one VNI, for `vtepctl explain`.

import Encap
import MACTable

public struct MACExplanation: Sendable {
  /// What the MAC table has.
  public struct Entry: Sendable {
    public var type: MACEntryType
    public var place: MACReport.Place
    /// Since when it has been there, in seconds since 1970; nil: an earlier version of vtepd did not note it.
    public var sinceSeconds: UInt32?
    /// Seconds since it was last seen; nil: it does not age.
    public var ageSeconds: UInt32?
    /// 255 means 255 or more.
    public var moves: UInt8
  }

  /// Somebody who says where the address is.
  public struct Claim: Sendable {
    public var source: MACEntryType
    public var place: MACReport.Place
    /// It is the one that the table follows.
    public var holds: Bool
    /// Why not, or what an operator should know.
    public var remark: String?
  }

  /// Where it was before.
  public struct Past: Sendable {
    /// Nil: nobody remembers what was there.
    public var place: MACReport.Place?
    /// Seconds since 1970.
    public var endSeconds: UInt32
  }

  /// What becomes of a frame to the address.
  public struct Outcome: Sendable {
    public enum Action: String, Sendable, CaseIterable { case deliver, tunnel, route, flood, answer, hold, drop, punt }

    /// Where the frame comes from; nil: from a VTEP.
    public var port: String?
    /// 0 = untagged.
    public var vlan: UInt16
    public var action: Action
    public var text: String
  }

  public var vni: VNI
  public var mac: MACAddress
  /// Nil: frames to it are flooded.
  public var entry: Entry?
  /// Nil: it is not frozen.
  public var frozen: MACMoveReport?
  /// In order of precedence.
  public var claims: [Claim]
  /// The latest first, 16 at most.
  public var past: [Past]
  /// The events about it that are still kept, the latest first, 16 at most.
  public var events: [Event]
  /// What keeps it from being learned, one sentence each.
  public var limits: [String]
  public var outcomes: [Outcome] = []
  /// Bindings of which nothing is said in `outcomes`, since there are so many.
  public var omittedOutcomes = 0
}

extension MACExplanation.Outcome {
  /// - Parameter report: on a frame from there.
  init(_ report: TraceReport, port: String?, vlan: UInt16) {
    func stage(_ name: TraceReport.Stage.Name) -> TraceReport.Stage? { report.stages.first { $0.name == name } }
    self.port = port
    self.vlan = vlan
    switch report.outcome {
    case .sent:
      if case .text(let name)? = stage(.verdict)?.facts["action"] { action = Action(rawValue: name) ?? .deliver } else { action = .deliver }
    case .answered: action = .answer
    case .held: action = .hold
    case .slowPath: action = .punt
    case .dropped, .kernel: action = .drop
    }
    text = report.summary
    // The frame is no IP packet, which is all that a router takes.
    if stage(.verdict)?.facts["action"] == .text("route"), case .text(let router)? = stage(.route)?.facts["router"] {
      action = .route
      text = "to router \(router): it routes packets, and answers ARP, ND and pings; trace with --ipv4 or --ipv6 shows where one goes"
    } else if action == .drop, let drop = report.drops.first {
      let isDenied = [.aclDeniedIngress, .aclDeniedEgress].contains(drop.reason)
      let list = isDenied ? report.stages.last { $0.name == .acl } : nil
      text = "\(drop.reason.name): \(list?.text ?? drop.reason.description)"
    }
    if action == .tunnel || action == .hold, let hop = stage(.nextHop) { text += ", next hop \(hop.text)" }
    if stage(.bind)?.facts["port_up"] == .flag(false) { text += "; the port is down: nothing comes from it now" }
  }
}
