// Values: equal values have one representation, and text forms.

import Testing

@testable import OVSDBClient

@Suite struct ValueTests {
  @Test func aRowIDKeepsItsText() {
    let text = "9f5c2b6e-0d1a-4c3b-8e7f-00112233445f"
    #expect(RowID(text)?.description == text)
    #expect(RowID(text.uppercased()) == RowID(text))
    for wrong in ["", String(text.dropLast()), text + "0", text.replacing("-", with: "_"), text.replacing("9f", with: "9g")] {
      #expect(RowID(wrong) == nil, "\(wrong)")
    }
  }

  @Test func equalSetsAndMapsAreEqual() {
    #expect(OVSDBDatum(set: [2, 1, 2]) == OVSDBDatum(set: [1, 2]))
    #expect(OVSDBDatum(set: ["a"]) == OVSDBDatum("a"))
    #expect(OVSDBDatum(set: ["a", "a"]).scalar == "a")
    #expect(OVSDBDatum(["b": "1", "a": "2"]).pairs.map(\.key) == ["a", "b"])
    #expect(OVSDBDatum.emptySet != .emptyMap)
    #expect(OVSDBDatum(["b": "1"])["b"] == "1")
    #expect(OVSDBDatum(map: [.init(key: 1, value: "x"), .init(key: 0, value: "z"), .init(key: 1, value: "y")])[1] == "y")
  }
}
