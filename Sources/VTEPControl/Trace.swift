// Trace: `vtepctl trace`: what vtepd would do with a frame, step by step. Nothing is sent, learned or counted.

/// Asks for the way of one frame. It comes in at a port, or from a VTEP, or is a whole packet that comes in at an uplink.
public struct TraceFrame: ControlRequest {
  public typealias Answer = TraceAnswer
  public static let method = "trace"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  /// Port that the frame comes from.
  public var port: String?
  /// Address of the VTEP that sends it, in the VNI `vni`.
  public var fromVTEP: String?
  public var vni: UInt32?
  /// Uplink that a packet comes in at; nil: the first that is up.
  public var uplink: String?
  /// `frame` is a packet with its outer headers.
  public var isOuter: Bool?
  /// Octets in hex digits; blanks and colons between them are left out. Nil: the frame is built from the rest.
  public var frame: String?

  public var sourceMAC: String?
  public var destinationMAC: String?
  public var vlan: UInt16?
  /// Of the tag, 0 to 7.
  public var priority: UInt8?
  /// `SOURCE,DESTINATION`.
  public var ipv4: String?
  public var ipv6: String?
  /// `SENDER,TARGET` of a request.
  public var arp: String?
  /// `SOURCE,DESTINATION`: ports.
  public var udp: String?
  public var tcp: String?
  /// 0 to 63.
  public var dscp: UInt8?
  /// TTL or hop limit.
  public var ttl: UInt8?
  /// Of the frame, in octets without FCS.
  public var length: Int?

  public init() {}

  enum CodingKeys: String, CodingKey, CaseIterable {
    case port
    case fromVTEP = "from_vtep"
    case vni, uplink
    case isOuter = "outer"
    case frame
    case sourceMAC = "src_mac"
    case destinationMAC = "dst_mac"
    case vlan, priority, ipv4, ipv6, arp, udp, tcp, dscp, ttl, length
  }

  /// Whether anything is said that a frame is built from.
  public var isBuilt: Bool {
    let texts = [sourceMAC, destinationMAC, ipv4, ipv6, arp, udp, tcp]
    return texts.contains { $0 != nil } || vlan != nil || priority != nil || dscp != nil || ttl != nil || length != nil
  }
}

/// The way of a frame.
public struct TraceAnswer: Codable, Equatable, Sendable {
  /// `sent`, `dropped`, `held`, `slow-path`, `kernel` or `answered`.
  public var outcome: String
  /// In the order of the walk.
  public var stages: [TraceStageRow]
  /// Each reason, where it would count, and how often. The description has the remedy.
  public var drops: [DropRow]
  /// What would leave; the first ones of `sentCount`.
  public var sent: [TraceSentRow]
  public var sentCount: Int
  /// Number of the forwarding snapshot that was used.
  public var snapshot: UInt64

  public init(outcome: String, stages: [TraceStageRow], drops: [DropRow], sent: [TraceSentRow], sentCount: Int, snapshot: UInt64) {
    self.outcome = outcome
    self.stages = stages
    self.drops = drops
    self.sent = sent
    self.sentCount = sentCount
    self.snapshot = snapshot
  }

  enum CodingKeys: String, CodingKey {
    case outcome, stages, drops, sent
    case sentCount = "sent_count"
    case snapshot
  }
}

/// A step of the walk.
public struct TraceStageRow: Codable, Equatable, Sendable {
  /// `outer`, `parse`, `bind`, `acl`, `checks`, `learn`, `look-up`, `verdict`, `flood`, `vtep`, `next-hop`, `header`, `deliver` or `result`.
  public var stage: String
  /// One line for people.
  public var text: String
  /// The same for scripts; each stage has keys of its own.
  public var facts: [String: SettingValue]

  public init(stage: String, text: String, facts: [String: SettingValue]) {
    self.stage = stage
    self.text = text
    self.facts = facts
  }
}

/// A frame that would leave.
public struct TraceSentRow: Codable, Equatable, Sendable {
  /// Port or uplink.
  public var port: String
  public var isUplink: Bool
  /// Where a packet goes, and in which VNI; nil: the frame goes to a port.
  @Nullable public var vtep: String?
  @Nullable public var vni: UInt32?
  /// In octets.
  public var length: Int
  /// In hex digits.
  public var octets: String

  public init(port: String, isUplink: Bool, vtep: String?, vni: UInt32?, length: Int, octets: String) {
    self.port = port
    self.isUplink = isUplink
    self.vtep = vtep
    self.vni = vni
    self.length = length
    self.octets = octets
  }

  enum CodingKeys: String, CodingKey {
    case port
    case isUplink = "uplink"
    case vtep, vni, length, octets
  }
}
