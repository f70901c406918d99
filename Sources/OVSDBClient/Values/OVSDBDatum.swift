// OVSDBDatum: the value of one column, RFC 7047 §5.1 `<value>`: a set of atoms (most often exactly one) or a map. Sets and maps are
// kept sorted and without duplicates, so equal values compare equal.

/// The value of one column of one row.
public struct OVSDBDatum: Sendable, Hashable {
  enum Storage: Sendable, Hashable {
    /// A set of exactly one: needs no heap allocation.
    case one(OVSDBAtom)
    /// None, or two or more, ascending.
    case set([OVSDBAtom])
    /// Ascending by key.
    case map([Pair])
  }

  /// A key with its value.
  public struct Pair: Sendable, Hashable {
    public var key: OVSDBAtom
    public var value: OVSDBAtom

    public init(key: OVSDBAtom, value: OVSDBAtom) {
      self.key = key
      self.value = value
    }
  }

  let storage: Storage

  init(storage: Storage) {
    self.storage = storage
  }

  /// A set of exactly one, which also represents a scalar column.
  public init(_ atom: OVSDBAtom) {
    storage = .one(atom)
  }

  /// A set; duplicates are dropped.
  public init(set atoms: some Sequence<OVSDBAtom>) {
    self.init(storage: Self.normalized(Array(atoms)))
  }

  /// A map; if a key occurs twice, the last value wins.
  public init(map pairs: some Sequence<Pair>) {
    self.init(storage: .map(Self.normalized(Array(pairs))))
  }

  /// A map of strings, such as `other_config`.
  public init(_ strings: [String: String]) {
    self.init(map: strings.map { Pair(key: .string($0.key), value: .string($0.value)) })
  }

  /// A scalar string.
  public init(_ text: String) {
    storage = .one(.string(text))
  }

  /// One or none: a column with `min` 0 and `max` 1.
  public init(optional atom: OVSDBAtom?) {
    storage = atom.map(Storage.one) ?? .set([])
  }

  /// A set without elements.
  public static let emptySet = OVSDBDatum(storage: .set([]))
  /// A map without pairs.
  public static let emptyMap = OVSDBDatum(storage: .map([]))

  static func normalized(_ atoms: [OVSDBAtom]) -> Storage {
    if atoms.count == 1 { return .one(atoms[0]) }
    // The server sorts sets too, but for some types in a different order.
    var sorted = atoms
    if !isAscending(sorted) {
      sorted.sort()
      sorted = sorted.reduce(into: []) { if $0.last != $1 { $0.append($1) } }
    }
    return sorted.count == 1 ? .one(sorted[0]) : .set(sorted)
  }

  static func normalized(_ pairs: [Pair]) -> [Pair] {
    guard !zip(pairs, pairs.dropFirst()).allSatisfy({ $0.key < $1.key }) else { return pairs }
    return Dictionary(pairs.map { ($0.key, $0.value) }, uniquingKeysWith: { _, last in last })
      .map { Pair(key: $0.key, value: $0.value) }.sorted { $0.key < $1.key }
  }

  private static func isAscending(_ atoms: [OVSDBAtom]) -> Bool {
    zip(atoms, atoms.dropFirst()).allSatisfy { $0 < $1 }
  }
}

extension OVSDBDatum {
  /// The elements of a set, ascending; the keys of a map.
  public var atoms: [OVSDBAtom] {
    switch storage {
    case .one(let atom): [atom]
    case .set(let atoms): atoms
    case .map(let pairs): pairs.map(\.key)
    }
  }

  /// The pairs of a map, ascending by key; empty for a set.
  public var pairs: [Pair] {
    guard case .map(let pairs) = storage else { return [] }
    return pairs
  }

  /// The element of a set of exactly one; nil for anything else.
  public var scalar: OVSDBAtom? {
    guard case .one(let atom) = storage else { return nil }
    return atom
  }

  /// Number of elements or pairs.
  public var count: Int {
    switch storage {
    case .one: 1
    case .set(let atoms): atoms.count
    case .map(let pairs): pairs.count
    }
  }

  /// Whether there are no elements or pairs.
  public var isEmpty: Bool { count == 0 }

  /// Whether this is a map.
  public var isMap: Bool {
    if case .map = storage { return true }
    return false
  }

  /// Whether the set contains this element, or the map this key.
  public func contains(_ atom: OVSDBAtom) -> Bool {
    switch storage {
    case .one(let element): element == atom
    case .set(let atoms): atoms.contains(atom)
    case .map(let pairs): pairs.contains { $0.key == atom }
    }
  }

  /// The value of a key; nil if there is none, and for a set.
  public subscript(_ key: OVSDBAtom) -> OVSDBAtom? {
    pairs.first { $0.key == key }?.value
  }

  /// The row IDs in a set, or among the keys of a map.
  public var rowIDs: [RowID] { atoms.compactMap(\.rowID) }

  /// The text of a scalar string column; nil for anything else.
  public var text: String? { scalar?.text }

  /// The elements that are strings.
  public var texts: [String] { atoms.compactMap(\.text) }

  /// A map of strings such as `other_config`; pairs of other types are skipped.
  public var strings: [String: String] {
    var strings: [String: String] = [:]
    for pair in pairs {
      if let key = pair.key.text, let value = pair.value.text { strings[key] = value }
    }
    return strings
  }
}

extension OVSDBDatum: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral,
  ExpressibleByDictionaryLiteral
{
  public init(stringLiteral value: String) { self.init(.string(value)) }
  public init(integerLiteral value: Int64) { self.init(.integer(value)) }
  public init(booleanLiteral value: Bool) { self.init(.boolean(value)) }
  /// A set.
  public init(arrayLiteral elements: OVSDBAtom...) { self.init(set: elements) }
  /// A map.
  public init(dictionaryLiteral elements: (OVSDBAtom, OVSDBAtom)...) { self.init(map: elements.map { Pair(key: $0.0, value: $0.1) }) }
}

extension OVSDBDatum: CustomStringConvertible {
  public var description: String {
    switch storage {
    case .one(let atom): "\(atom)"
    case .set(let atoms): "[" + atoms.map(\.description).joined(separator: ", ") + "]"
    case .map(let pairs): "{" + pairs.map { "\($0.key)=\($0.value)" }.joined(separator: ", ") + "}"
    }
  }
}
