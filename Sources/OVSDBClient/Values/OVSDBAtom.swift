// OVSDBAtom: one scalar of a column, RFC 7047 §5.1 `<atom>`.

/// A scalar value.
public enum OVSDBAtom: Sendable, Hashable {
  case integer(Int64)
  case real(Double)
  case boolean(Bool)
  case string(String)
  case uuid(RowID)
  /// A row inserted by the same transaction (`uuid-name`). Only in requests, never in a replica.
  case named(String)
}

extension OVSDBAtom {
  /// The value of an integer; nil for anything else.
  public var integer: Int64? {
    guard case .integer(let value) = self else { return nil }
    return value
  }

  /// The value of a real number or of an integer; nil for anything else.
  public var real: Double? {
    switch self {
    case .real(let value): value
    case .integer(let value): Double(value)
    default: nil
    }
  }

  /// The value of a boolean; nil for anything else.
  public var boolean: Bool? {
    guard case .boolean(let value) = self else { return nil }
    return value
  }

  /// The text of a string; nil for anything else.
  public var text: String? {
    guard case .string(let value) = self else { return nil }
    return value
  }

  /// The row that a UUID names; nil for anything else.
  public var rowID: RowID? {
    guard case .uuid(let value) = self else { return nil }
    return value
  }
}

extension OVSDBAtom: Comparable {
  /// The server compares strings as bytes, so canonically equivalent Unicode spellings are different strings. If they were equal
  /// here, a difference would remove one where it should add the other.
  public static func == (a: OVSDBAtom, b: OVSDBAtom) -> Bool {
    switch (a, b) {
    case (.integer(let a), .integer(let b)): a == b
    case (.real(let a), .real(let b)): a == b
    case (.boolean(let a), .boolean(let b)): a == b
    case (.string(let a), .string(let b)), (.named(let a), .named(let b)): a == b && a.utf8.elementsEqual(b.utf8)
    case (.uuid(let a), .uuid(let b)): a == b
    default: false
    }
  }

  /// A total order, by type, then by value: it gives each set a single representation.
  public static func < (a: OVSDBAtom, b: OVSDBAtom) -> Bool {
    switch (a, b) {
    case (.integer(let a), .integer(let b)): a < b
    case (.real(let a), .real(let b)): a < b
    case (.boolean(let a), .boolean(let b)): !a && b
    case (.string(let a), .string(let b)), (.named(let a), .named(let b)): a.utf8.lexicographicallyPrecedes(b.utf8)
    case (.uuid(let a), .uuid(let b)): a < b
    default: a.rank < b.rank
    }
  }

  private var rank: Int {
    switch self {
    case .integer: 0
    case .real: 1
    case .boolean: 2
    case .string: 3
    case .uuid: 4
    case .named: 5
    }
  }
}

extension OVSDBAtom: CustomStringConvertible {
  public var description: String {
    switch self {
    case .integer(let value): "\(value)"
    case .real(let value): "\(value)"
    case .boolean(let value): "\(value)"
    case .string(let value): "\"\(value)\""
    case .uuid(let value): "\(value)"
    case .named(let value): "@\(value)"
    }
  }
}

extension OVSDBAtom: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral {
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int64) { self = .integer(value) }
  public init(booleanLiteral value: Bool) { self = .boolean(value) }
}
