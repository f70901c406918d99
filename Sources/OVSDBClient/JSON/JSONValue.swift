// JSONValue: a JSON value as a tree (RFC 8259), for values of unknown structure. Rows are read directly from the bytes
// (TableUpdates): a tree of 100,000 rows would cost more than the rows.

/// A JSON value.
///
/// Integers and reals are kept apart: RFC 7047 §3.1 has `<integer>` and `<real>`, and `Double` cannot hold every 64-bit integer.
public enum JSONValue: Sendable, Hashable {
  case null
  case boolean(Bool)
  /// A number without fraction or exponent that fits 64 bits.
  case integer(Int64)
  /// Any other number.
  case real(Double)
  case string(String)
  case array([JSONValue])
  /// If a name occurs twice, the last value wins, as in Open vSwitch.
  case object([String: JSONValue])
}

extension JSONValue {
  /// A member of an object; nil if this is not an object or has no such member.
  public subscript(_ name: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members[name]
  }

  /// The text of a string; nil for anything else.
  public var text: String? {
    guard case .string(let text) = self else { return nil }
    return text
  }

  /// The elements of an array; nil for anything else.
  public var elements: [JSONValue]? {
    guard case .array(let elements) = self else { return nil }
    return elements
  }

  /// The members of an object; nil for anything else.
  public var members: [String: JSONValue]? {
    guard case .object(let members) = self else { return nil }
    return members
  }

  /// An integer that fits `Int`; nil for anything else.
  public var integer: Int? {
    guard case .integer(let value) = self else { return nil }
    return Int(value)
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral,
  ExpressibleByDictionaryLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int64) { self = .integer(value) }
  public init(booleanLiteral value: Bool) { self = .boolean(value) }
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(Dictionary(elements, uniquingKeysWith: { _, last in last }))
  }
}
