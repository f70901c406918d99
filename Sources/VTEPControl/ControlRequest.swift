// ControlRequest: what a command of vtepctl is on the wire. Each command is one type: its stored properties are the
// JSON-RPC parameters, `Answer` is the JSON-RPC result. The keys are those of vtepctl's `--format json`.
// Control side only; no packet comes near it. Protocol: JSON-RPC 2.0, one object per line, over a Unix stream socket.

/// One command that the daemon answers.
///
/// IP and MAC addresses are sent as text; the daemon parses and checks them.
public protocol ControlRequest: Codable, Equatable, Sendable {
  /// The JSON-RPC result.
  associatedtype Answer: Codable & Equatable & Sendable
  /// The JSON-RPC method name, e.g. `mac.add`.
  static var method: String { get }
  /// Whether it only reads. There is no default: each command says so.
  static var access: ControlAccess { get }
  /// Every parameter name. The daemon refuses others: a misspelt filter must not flush everything.
  static var parameterNames: [String] { get }
}

/// A command whose answer may be too long for one message.
///
/// Each answer has at most `limit` rows and the cursor of the next ones. The daemon keeps no state between pages: rows that are added
/// or removed in between may be missed or seen twice; all others are seen exactly once.
public protocol PagedRequest: ControlRequest where Answer == Page<Row> {
  associatedtype Row: Codable & Equatable & Sendable
  /// `next` of the previous page; nil: the first page. Opaque to the client.
  var cursor: UInt64? { get set }
  /// Most rows in the answer; the daemon may send fewer. nil: the daemon chooses.
  var limit: Int? { get set }
}

/// Rows of a list, and the cursor of the next page.
public struct Page<Row: Codable & Equatable & Sendable>: Codable, Equatable, Sendable {
  public var rows: [Row]
  /// Cursor of the next page; nil: this was the last. Even an empty page may have a successor.
  @Nullable public var next: UInt64?

  public init(_ rows: [Row], next: UInt64? = nil) {
    self.rows = rows
    self.next = next
  }
}

/// Answer of a command that changes something.
public struct ChangeAnswer: Codable, Equatable, Sendable {
  /// False when nothing had to change.
  public var changed: Bool

  public init(changed: Bool) {
    self.changed = changed
  }
}

/// The parameter names of a request's coding keys.
func names<Keys: CodingKey & CaseIterable>(of keys: Keys.Type) -> [String] {
  keys.allCases.map(\.stringValue)
}
