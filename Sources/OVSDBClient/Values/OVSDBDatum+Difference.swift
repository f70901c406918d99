// OVSDBDatum+Difference: how `update2` and `update3` encode a change, ovsdb-server(7) §4.1.14: columns with at most one element
// carry the new value, others a difference.

extension OVSDBDatum {
  /// The value after applying `difference`.
  ///
  /// A set: the elements that are in exactly one of the two. A map: a pair that exists is removed; one with another value replaces
  /// it; a new key is added.
  func applying(_ difference: OVSDBDatum, type: ColumnType) -> OVSDBDatum {
    guard type.isComposite else { return difference }
    guard type.value != nil else { return OVSDBDatum(storage: Self.normalized(Self.exclusive(atoms, difference.atoms))) }
    var result: [Pair] = []
    var rest = difference.pairs[...]
    for pair in pairs {
      while let next = rest.first, next.key < pair.key {
        result.append(next)
        rest.removeFirst()
      }
      if let next = rest.first, next.key == pair.key {
        if next.value != pair.value { result.append(next) }
        rest.removeFirst()
      } else {
        result.append(pair)
      }
    }
    return OVSDBDatum(storage: .map(result + rest))
  }

  /// The elements of exactly one of two ascending lists, ascending.
  private static func exclusive(_ a: [OVSDBAtom], _ b: [OVSDBAtom]) -> [OVSDBAtom] {
    var result: [OVSDBAtom] = []
    var rest = b[...]
    for atom in a {
      while let next = rest.first, next < atom {
        result.append(next)
        rest.removeFirst()
      }
      if rest.first == atom { rest.removeFirst() } else { result.append(atom) }
    }
    return result + rest
  }
}
