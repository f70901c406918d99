// A small database for scripted sessions, and a server's messages about it.

@testable import OVSDBClient

enum TestSchema {
  static let text = #"""
    {"name":"db","version":"1.0.0","cksum":"1 2","tables":{
      "T":{"columns":{"name":{"type":"string"},"n":{"type":{"key":"integer","min":0,"max":1}},
        "set":{"type":{"key":"integer","min":0,"max":"unlimited"}},"map":{"type":{"key":"string","value":"string","min":0,"max":"unlimited"}}},
        "isRoot":true,"indexes":[["name"]],"later":{"unknown":true}},
      "U":{"columns":{"ref":{"type":{"key":{"type":"uuid","refTable":"T","refType":"weak"}}},
        "mode":{"type":{"key":{"type":"string","enum":["set",["a","b"]]},"min":0,"max":1},"ephemeral":true,"mutable":false}},"maxRows":1}}}
    """#

  static let server = #"""
    {"name":"_Server","version":"1.2.0","tables":{"Database":{"columns":{"name":{"type":"string"},
      "model":{"type":{"key":{"type":"string","enum":["set",["clustered","relay","standalone"]]}}},"connected":{"type":"boolean"},
      "leader":{"type":"boolean"},"schema":{"type":{"min":0,"key":"string"}},"sid":{"type":{"min":0,"key":"uuid"}},
      "cid":{"type":{"min":0,"key":"uuid"}},"index":{"type":{"min":0,"key":"integer"}}}}}}
    """#

  /// The UUID that ends in these digits.
  static func id(_ number: Int) -> RowID { RowID(high: 0, low: UInt64(number)) }
}
