// Column values: reading by type, writing, and the differences of update2.

import Testing

@testable import OVSDBClient

@Suite struct DatumTests {
  private static let row = "9f5c2b6e-0d1a-4c3b-8e7f-00112233445f"
  private static let id = OVSDBAtom.uuid(RowID(row) ?? .zero)

  private func read(_ text: String, _ type: ColumnType) throws -> OVSDBDatum {
    let bytes = Array(text.utf8)
    var reader = JSONReader(bytes.span.bytes)
    let datum = try reader.datum(type)
    try reader.end()
    return datum
  }

  private static func scalar(_ kind: BaseType.Kind) -> ColumnType { ColumnType(key: BaseType(kind)) }
  private static func set(_ kind: BaseType.Kind) -> ColumnType { ColumnType(key: BaseType(kind), minimum: 0, maximum: .max) }
  private static func map(_ key: BaseType.Kind, _ value: BaseType.Kind) -> ColumnType {
    ColumnType(key: BaseType(key), value: BaseType(value), minimum: 0, maximum: .max)
  }

  @Test(arguments: [
    ("5", scalar(.integer), OVSDBDatum(5)), ("1e2", scalar(.integer), OVSDBDatum(100)), ("5", scalar(.real), OVSDBDatum(.real(5))),
    ("0.5", scalar(.real), OVSDBDatum(.real(0.5))), ("true", scalar(.boolean), OVSDBDatum(.boolean(true))),
    (#""x""#, scalar(.string), OVSDBDatum("x")), (#"["uuid","\#(row)"]"#, scalar(.uuid), OVSDBDatum(id)),
    (#"["set",[]]"#, set(.integer), .emptySet), (#"["set",[3,1,2]]"#, set(.integer), OVSDBDatum(set: [1, 2, 3])),
    ("7", set(.integer), OVSDBDatum(7)), (#"["set",["7"]]"#, set(.string), OVSDBDatum("7")),
    (#"["uuid","\#(row)"]"#, set(.uuid), OVSDBDatum(id)), (#"["set",[["uuid","\#(row)"]]]"#, set(.uuid), OVSDBDatum(id)),
    (#"["map",[]]"#, map(.string, .string), .emptyMap),
    (#"["map",[["b","2"],["a","1"]]]"#, map(.string, .string), OVSDBDatum(["a": "1", "b": "2"])),
    (#"["map",[[100,["uuid","\#(row)"]]]]"#, map(.integer, .uuid), OVSDBDatum(map: [.init(key: 100, value: id)])),
    (#"[ "map" , [ [ 1 , 0.5 ] ] ]"#, map(.integer, .real), OVSDBDatum(map: [.init(key: 1, value: .real(0.5))])),
  ])
  func valuesAreReadByType(_ text: String, _ type: ColumnType, _ datum: OVSDBDatum) throws {
    #expect(try read(text, type) == datum)
    #expect(try read(datum.json.description, type) == datum)
  }

  @Test(arguments: [
    (#""5""#, scalar(.integer)), ("1.5", scalar(.integer)), ("1e30", scalar(.integer)), ("null", scalar(.integer)), ("1", scalar(.boolean)),
    ("tru", scalar(.boolean)), ("5", scalar(.string)), (#""\#(row)""#, scalar(.uuid)), (#"["uuid","x"]"#, scalar(.uuid)),
    (#"["uuid"]"#, scalar(.uuid)), (#"["uuid","\#(row)",1]"#, scalar(.uuid)), (#"["named-uuid","x"]"#, scalar(.uuid)),
    (#"["set",5]"#, set(.integer)), (#"["set",[5],6]"#, set(.integer)), (#"["set",["5"]]"#, set(.integer)), (#"["map",[]]"#, set(.string)),
    ("[]", set(.string)), ("{}", set(.string)), (#"["set",[]]"#, map(.string, .string)), (#"["map",[["a"]]]"#, map(.string, .string)),
    (#"["map",[["a","b","c"]]]"#, map(.string, .string)), (#""a""#, map(.string, .string)), (#"["map",{"a":"b"}]"#, map(.string, .string)),
  ])
  func valuesOfAnotherTypeAreRefused(_ text: String, _ type: ColumnType) {
    #expect(throws: JSONError.self) { try read(text, type) }
  }

  @Test func defaultsAreThoseOfTheRFC() {
    #expect(Self.scalar(.integer).defaultValue == OVSDBDatum(0))
    #expect(Self.scalar(.string).defaultValue == OVSDBDatum(""))
    #expect(Self.scalar(.boolean).defaultValue == OVSDBDatum(.boolean(false)))
    #expect(Self.scalar(.uuid).defaultValue == OVSDBDatum(.uuid(.zero)))
    #expect(Self.set(.uuid).defaultValue == .emptySet)
    #expect(Self.map(.string, .string).defaultValue == .emptyMap)
  }

  @Test func differencesOfSets() {
    let type = Self.set(.integer)
    func check(_ old: OVSDBDatum, _ difference: OVSDBDatum, _ new: OVSDBDatum) {
      #expect(old.applying(difference, type: type) == new)
    }
    check(.emptySet, OVSDBDatum(1), OVSDBDatum(1))
    check(OVSDBDatum(1), OVSDBDatum(1), .emptySet)
    check(OVSDBDatum(2), OVSDBDatum(set: [1, 3]), OVSDBDatum(set: [1, 2, 3]))
    check(OVSDBDatum(set: [1, 2, 3]), OVSDBDatum(set: [1, 3]), OVSDBDatum(2))
    check(OVSDBDatum(set: [1, 2]), .emptySet, OVSDBDatum(set: [1, 2]))
    // At most one element: the new value, not a difference.
    let optional = ColumnType(key: BaseType(.integer), minimum: 0, maximum: 1)
    #expect(OVSDBDatum(1).applying(OVSDBDatum(1), type: optional) == OVSDBDatum(1))
    #expect(OVSDBDatum(1).applying(.emptySet, type: optional) == .emptySet)
  }

  @Test func spellingsOfACharacterAreDifferentStrings() {
    let composed = OVSDBDatum("\u{e9}")
    let decomposed = OVSDBDatum("e\u{301}")
    #expect(composed != decomposed)
    let both = composed.applying(decomposed, type: Self.set(.string))
    #expect(both.count == 2)
    #expect(both == OVSDBDatum(set: ["\u{e9}", "e\u{301}"]))
    #expect(both.applying(composed, type: Self.set(.string)) == decomposed)
  }

  @Test func differencesOfMaps() {
    let type = Self.map(.string, .string)
    let old = OVSDBDatum(["a": "1", "b": "2", "c": "3"])
    #expect(old.applying(OVSDBDatum(["a": "1", "b": "9", "d": "4"]), type: type) == OVSDBDatum(["b": "9", "c": "3", "d": "4"]))
    #expect(old.applying(old, type: type) == .emptyMap)
    #expect(OVSDBDatum.emptyMap.applying(old, type: type) == old)
  }

  /// The definition of the difference, computed with the standard library's dictionaries and sets.
  @Test func randomDifferencesLeadToTheNewValue() {
    for _ in 0..<2000 {
      func set() -> Set<Int64> { Set((0..<Int.random(in: 0...6)).map { _ in Int64.random(in: 0..<9) }) }
      let (a, b) = (set(), set())
      func datum(_ set: Set<Int64>) -> OVSDBDatum { OVSDBDatum(set: set.map(OVSDBAtom.integer)) }
      #expect(datum(a).applying(datum(a.symmetricDifference(b)), type: Self.set(.integer)) == datum(b))

      func map() -> [String: String] {
        Dictionary(
          (0..<Int.random(in: 0...6)).map { _ in ("\(Int.random(in: 0..<7))", "\(Int.random(in: 0..<3))") }, uniquingKeysWith: { $1 })
      }
      let (old, new) = (map(), map())
      let keys = Set(old.keys).union(new.keys).filter { old[$0] != new[$0] }
      let difference = Dictionary(uniqueKeysWithValues: keys.map { ($0, new[$0] ?? old[$0] ?? "") })
      #expect(OVSDBDatum(old).applying(OVSDBDatum(difference), type: Self.map(.string, .string)) == OVSDBDatum(new))
    }
  }
}
