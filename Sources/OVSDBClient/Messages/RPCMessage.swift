// RPCMessage: the envelope of a message, JSON-RPC 1.0 as used by RFC 7047 §4. Large parts stay unparsed; the requester knows how to
// read them.

/// A message from the peer.
enum RPCMessage: Sendable {
  /// The answer to one of our requests. `result` is its range in the text.
  case reply(id: JSONValue, result: Int?, error: JSONValue)
  /// A request that must be answered.
  case request(id: JSONValue, method: String, parameters: Int?)
  /// A request that expects no answer.
  case notification(method: String, parameters: Int?)

  /// Reads the envelope of one complete text.
  init(_ text: RawSpan, limits: JSONLimits) throws(JSONError) {
    var reader = JSONReader(text, depth: limits.depth)
    var id = JSONValue.null
    var error = JSONValue.null
    var method: String?
    var parameters: Int?
    var result: Int?
    var count = 0
    try reader.enterObject()
    while try reader.moreMembers(&count) {
      let name = try reader.name()
      if reader.equals(name, "id") {
        id = try reader.value()
      } else if reader.equals(name, "error") {
        error = try reader.value()
      } else if reader.equals(name, "method") {
        method = try reader.value().text
      } else {
        if reader.equals(name, "result") { result = reader.position } else if reader.equals(name, "params") { parameters = reader.position }
        try reader.skip()
      }
    }
    try reader.end()
    if let method {
      self = id == .null ? .notification(method: method, parameters: parameters) : .request(id: id, method: method, parameters: parameters)
    } else if id != .null {
      self = .reply(id: id, result: result, error: error)
    } else {
      throw JSONError(.mismatch(expected: "a message with 'method' or 'id'"), offset: 0)
    }
  }

  /// The text of our request.
  static func encode(_ request: OVSDBRequest, id: Int64) -> [UInt8] {
    (["id": .integer(id), "method": .string(request.method), "params": request.parameters] as JSONValue).encoded
  }

  /// The text of `cancel`, RFC 7047 §4.1.4: a notification.
  static func encodeCancel(id: Int64) -> [UInt8] {
    (["id": .null, "method": "cancel", "params": [.integer(id)]] as JSONValue).encoded
  }

  /// The text of our answer.
  static func encodeReply(id: JSONValue, result: JSONValue, error: JSONValue = .null) -> [UInt8] {
    (["id": id, "result": result, "error": error] as JSONValue).encoded
  }
}
