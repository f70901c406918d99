// ObjectIdentifier: names of objects in MIBs (RFC 2578, section 3.5).

/// An object identifier, in lexicographic order.
struct ObjectIdentifier: Hashable, Comparable, Sendable, CustomStringConvertible {
  var ids: [UInt32]

  init(_ ids: [UInt32]) { self.ids = ids }

  static func < (left: ObjectIdentifier, right: ObjectIdentifier) -> Bool { left.ids.lexicographicallyPrecedes(right.ids) }

  static func + (left: ObjectIdentifier, right: [UInt32]) -> ObjectIdentifier { ObjectIdentifier(left.ids + right) }

  func hasPrefix(_ prefix: ObjectIdentifier) -> Bool { ids.starts(with: prefix.ids) }

  var description: String { ids.map(String.init).joined(separator: ".") }

  /// `1.3.6.1.2.1`, mib-2.
  static var mib2: ObjectIdentifier { ObjectIdentifier([1, 3, 6, 1, 2, 1]) }
}
