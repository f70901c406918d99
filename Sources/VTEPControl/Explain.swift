// Explain: `vtepctl explain`, all that is known of one address in one VNI.

/// Asks about an address.
public struct Explain: ControlRequest {
  public typealias Answer = Explanation
  public static let method = "explain"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  public var mac: String
  public var vni: UInt32
  /// Only what becomes of frames from this port; nil: from every bound one, and from VTEPs.
  public var fromPort: String?

  public init(mac: String, vni: UInt32, fromPort: String? = nil) {
    self.mac = mac
    self.vni = vni
    self.fromPort = fromPort
  }

  enum CodingKeys: String, CodingKey, CaseIterable {
    case mac, vni
    case fromPort = "from_port"
  }
}

public struct Explanation: Codable, Equatable, Sendable {
  /// What the MAC table has.
  public struct Entry: Codable, Equatable, Sendable {
    public var type: MACTableRow.Kind
    /// `port NAME`, `port NAME vlan N`, `vtep ADDRESS` or `vteps ADDRESS …`.
    public var place: String
    /// Since when, in seconds since 1970; nil: an earlier version of vtepd did not note it.
    @Nullable public var since: UInt32?
    /// Seconds since it was last seen; nil: it does not age.
    @Nullable public var ageSeconds: UInt32?
    /// Moves since it was added; 255 means 255 or more.
    public var moves: UInt32

    public init(type: MACTableRow.Kind, place: String, since: UInt32?, ageSeconds: UInt32?, moves: UInt32) {
      self.type = type
      self.place = place
      self.since = since
      self.ageSeconds = ageSeconds
      self.moves = moves
    }

    enum CodingKeys: String, CodingKey {
      case type, place, since
      case ageSeconds = "age_s"
      case moves
    }
  }

  /// Somebody who says where it is.
  public struct Source: Codable, Equatable, Sendable {
    /// `configuration`, `controller` or `learned`.
    public var source: String
    public var place: String
    /// The MAC table follows it.
    public var holds: Bool
    @Nullable public var remark: String?

    public init(source: String, place: String, holds: Bool, remark: String?) {
      self.source = source
      self.place = place
      self.holds = holds
      self.remark = remark
    }
  }

  /// A place that it has left.
  public struct Past: Codable, Equatable, Sendable {
    /// Nil: nobody remembers what was there.
    @Nullable public var place: String?
    /// When it left, in seconds since 1970.
    public var until: UInt32

    public init(place: String?, until: UInt32) {
      self.place = place
      self.until = until
    }
  }

  /// What becomes of a frame to it.
  public struct Outcome: Codable, Equatable, Sendable {
    /// Where the frame comes from; nil: from a VTEP.
    @Nullable public var port: String?
    /// Nil: untagged, or from a VTEP.
    @Nullable public var vlan: UInt16?
    /// `deliver`, `tunnel`, `flood`, `hold`, `drop` or `punt`.
    public var action: String
    public var text: String

    public init(port: String?, vlan: UInt16?, action: String, text: String) {
      self.port = port
      self.vlan = vlan
      self.action = action
      self.text = text
    }
  }

  public var vni: UInt32
  public var mac: String
  /// Nil: frames to it are flooded.
  @Nullable public var entry: Entry?
  /// Nil: it is not frozen.
  @Nullable public var frozen: MACMoveRow?
  /// In order of precedence.
  public var sources: [Source]
  /// The latest first, 16 at most.
  public var past: [Past]
  /// The events about it that are still kept, the latest first, 16 at most.
  public var events: [EventRow]
  /// What keeps it from being learned, one sentence each.
  public var limits: [String]
  public var outcomes: [Outcome]
  /// Bindings of which nothing is said in `outcomes`, since there are so many: `from_port` names one.
  public var omittedOutcomes: Int

  public init(
    vni: UInt32, mac: String, entry: Entry?, frozen: MACMoveRow?, sources: [Source], past: [Past], events: [EventRow],
    limits: [String], outcomes: [Outcome], omittedOutcomes: Int
  ) {
    self.vni = vni
    self.mac = mac
    self.entry = entry
    self.frozen = frozen
    self.sources = sources
    self.past = past
    self.events = events
    self.limits = limits
    self.outcomes = outcomes
    self.omittedOutcomes = omittedOutcomes
  }

  enum CodingKeys: String, CodingKey {
    case vni, mac, entry, frozen, sources, past, events, limits, outcomes
    case omittedOutcomes = "omitted_outcomes"
  }
}
