// BaseType: RFC 7047 §3.2 `<base-type>`: the type of an atom, with its constraints.

/// The type of an element, key or value of a column.
public struct BaseType: Sendable, Hashable {
  /// The kinds of atoms.
  public enum Kind: String, Sendable, Hashable {
    case integer, real, boolean, string, uuid
  }

  public var kind: Kind
  /// The only values allowed; nil means any.
  public var enumeration: OVSDBDatum?
  /// The table that a UUID points to.
  public var referencedTable: String?
  /// Whether a reference disappears with the row it points to, instead of keeping it alive.
  public var isWeakReference: Bool

  public init(_ kind: Kind, enumeration: OVSDBDatum? = nil, referencedTable: String? = nil, isWeakReference: Bool = false) {
    self.kind = kind
    self.enumeration = enumeration
    self.referencedTable = referencedTable
    self.isWeakReference = isWeakReference
  }

  /// RFC 7047 §5.2.1: zero, false, the empty string, the UUID of zeros.
  public var defaultValue: OVSDBAtom {
    switch kind {
    case .integer: .integer(0)
    case .real: .real(0)
    case .boolean: .boolean(false)
    case .string: .string("")
    case .uuid: .uuid(.zero)
    }
  }
}
