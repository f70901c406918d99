// Monitor: `vtepctl monitor`, the daemon's events. The client asks for what came after the last event that it has, again and again; the
// daemon keeps nothing of its readers.

/// Asks for events; every filter that is given must match.
public struct Monitor: ControlRequest {
  public typealias Answer = EventPage
  public static let method = "monitor"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  /// Types, or groups of types; nil: all.
  public var types: [String]?
  public var vni: UInt32?
  /// Port name.
  public var port: String?
  public var mac: String?
  /// The last event that is known, 0: none; nil: only events from now on.
  public var since: UInt64?
  /// Most events in the answer; the daemon may send fewer.
  public var limit: Int?
  /// How long the daemon may wait for an event, in milliseconds; it waits a second at most.
  public var waitMilliseconds: Int?

  public init(
    types: [String]? = nil, vni: UInt32? = nil, port: String? = nil, mac: String? = nil, since: UInt64? = nil, limit: Int? = nil,
    waitMilliseconds: Int? = nil
  ) {
    self.types = types
    self.vni = vni
    self.port = port
    self.mac = mac
    self.since = since
    self.limit = limit
    self.waitMilliseconds = waitMilliseconds
  }

  enum CodingKeys: String, CodingKey, CaseIterable {
    case types, vni, port, mac, since, limit
    case waitMilliseconds = "wait_ms"
  }
}

/// Events, in order.
public struct EventPage: Codable, Equatable, Sendable {
  /// What is missing before them; nil: nothing.
  @Nullable public var gap: EventGap?
  public var events: [EventRow]
  /// `since` of the next request.
  public var last: UInt64
  /// When the daemon began to count, in milliseconds since 1970: with another one, sequence numbers are others.
  public var began: UInt64

  public init(gap: EventGap? = nil, events: [EventRow], last: UInt64, began: UInt64) {
    self.gap = gap
    self.events = events
    self.last = last
    self.began = began
  }
}

/// Events that were overwritten before they were read.
public struct EventGap: Codable, Equatable, Sendable {
  /// Sequence numbers of the first and the last of them.
  public var from: UInt64
  public var to: UInt64
  public var count: UInt64

  public init(from: UInt64, to: UInt64, count: UInt64) {
    self.from = from
    self.to = to
    self.count = count
  }
}

/// One event. Which keys a type has: docs/events.md.
public struct EventRow: Codable, Equatable, Sendable {
  /// Of no other event since the daemon's start; from 1, without gaps.
  public var seq: UInt64
  /// Since 1970, UTC, in seconds with milliseconds.
  public var time: Double
  public var type: String
  /// `debug`, `info`, `notice`, `warning` or `error`.
  public var level: String
  public var vni: UInt32?
  public var mac: String?
  public var port: String?
  public var address: String?
  public var device: String?
  /// `port NAME`, `port NAME vlan N` or `vtep ADDRESS`.
  public var from: String?
  public var to: String?
  /// Who had or has the entry: `learned`, `static` or `controller`.
  public var source: String?
  public var count: Int?
  /// One line.
  public var text: String

  public init(seq: UInt64, time: Double, type: String, level: String, text: String) {
    self.seq = seq
    self.time = time
    self.type = type
    self.level = level
    self.text = text
  }
}
