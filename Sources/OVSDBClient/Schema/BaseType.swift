// BaseType: RFC 7047 §3.2 `<base-type>`: the type and constraints of an atom.

/// The type of a column's element, key or value.
public struct BaseType: Sendable, Hashable {
  /// The kinds of atoms.
  public enum Kind: String, Sendable, Hashable {
    case integer, real, boolean, string, uuid
  }

  public var kind: Kind
  /// The allowed values; nil: any.
  public var enumeration: OVSDBDatum?
  /// The table that a UUID refers to.
  public var referencedTable: String?
  /// Whether the reference vanishes with its target row, instead of keeping it alive.
  public var isWeakReference: Bool

  public init(_ kind: Kind, enumeration: OVSDBDatum? = nil, referencedTable: String? = nil, isWeakReference: Bool = false) {
    self.kind = kind
    self.enumeration = enumeration
    self.referencedTable = referencedTable
    self.isWeakReference = isWeakReference
  }

  /// RFC 7047 §5.2.1: zero, false, the empty string or the zero UUID.
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
