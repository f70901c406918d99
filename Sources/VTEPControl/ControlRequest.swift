// ControlRequest: what a command of vtepctl is on the wire. Each command is one type: its stored properties are the
// JSON-RPC parameters, `Answer` is the JSON-RPC result. The keys are those of vtepctl's `--format json`.
// Control side only; no packet comes near it. Protocol: JSON-RPC 2.0, one object per line, over a Unix stream socket.

/// One command that the daemon answers.
///
/// Addresses and MAC addresses travel as text; the daemon parses and judges them.
public protocol ControlRequest: Codable, Equatable, Sendable {
  /// The JSON-RPC result.
  associatedtype Answer: Codable & Equatable & Sendable
  /// The JSON-RPC method name, e.g. `mac.add`.
  static var method: String { get }
  /// Whether it only reads; ControlAccess.swift lists all.
  static var access: ControlAccess { get }
  /// Every parameter name. The daemon refuses others: a misspelt filter must not flush everything.
  static var parameterNames: [String] { get }
}

/// A command whose answer may be too long for one message.
///
/// Each answer holds at most `limit` rows and the cursor of the next ones. The daemon keeps nothing between two pages:
/// rows that come or go in between may be missed or seen twice, others are seen exactly once.
public protocol PagedRequest: ControlRequest where Answer == Page<Row> {
  associatedtype Row: Codable & Equatable & Sendable
  /// `next` of the previous page; nil: the first page. Opaque to the client.
  var cursor: UInt64? { get set }
  /// Most rows wanted in the answer; the daemon may send fewer. nil: the daemon's choice.
  var limit: Int? { get set }
}

/// Rows of a list, and where it goes on.
public struct Page<Row: Codable & Equatable & Sendable>: Codable, Equatable, Sendable {
  public var rows: [Row]
  /// Cursor of the next page; nil: this was the last. A page may be empty and still have a successor.
  @Nullable public var next: UInt64?

  public init(_ rows: [Row], next: UInt64? = nil) {
    self.rows = rows
    self.next = next
  }
}

/// Answer of a command that changes something.
public struct ChangeAnswer: Codable, Equatable, Sendable {
  /// False when everything was as wanted already.
  public var changed: Bool

  public init(changed: Bool) {
    self.changed = changed
  }
}

/// The parameter names of a request's coding keys.
func names<Keys: CodingKey & CaseIterable>(of keys: Keys.Type) -> [String] {
  keys.allCases.map(\.stringValue)
}
