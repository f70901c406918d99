// The messages of an OVSDB server (RFC 7047): their JSON, and everything in it: envelopes, schemas, rows, differences, results.

import OVSDBClient

/// Any input is rejected or read, with the same result in one piece as in two, and what was read can be written and read again.
@Sendable func fuzzJSON(_ input: UnsafeMutableRawBufferPointer) throws {
  let bytes = Array(input)
  let limits = JSONLimits(depth: 16, byteCount: 4096)
  func parse(_ pieces: [ArraySlice<UInt8>]) -> [JSONValue]? {
    var parser = JSONParser(limits: limits)
    var values: [JSONValue] = []
    for piece in pieces {
      guard let more = try? parser.feed(piece) else { return nil }
      values += more
    }
    return values
  }
  let values = parse([bytes[...]])
  let cut = bytes.count / 3
  try require(parse([bytes[..<cut], bytes[cut...]]) == values, "another reading in two pieces")
  for value in values ?? [] {
    try require((try? JSONValue(parsing: value.encoded, depth: limits.depth)) == value, "not read as written")
  }
}

private let start = ContinuousClock.now

/// A session that has received `text`.
private func session(told text: String, asking operations: [OVSDBOperation] = []) -> Session {
  var session = Session(SessionConfiguration(database: "db", limits: JSONLimits(depth: 16, byteCount: 1 << 16)))
  session.opened(now: start)
  for case .failed(let error) in session.receive(text.utf8, now: start) { preconditionFailure("\(error)") }
  do {
    if !operations.isEmpty { _ = try session.transact(operations) }
  } catch {
    preconditionFailure("\(error)")
  }
  return session
}

/// A schema with every kind of column, up to the request for the contents, which is number 5.
private let introduction: String = {
  let columns = ["integer", "real", "boolean", "string", "uuid"].flatMap { kind in
    [
      #""\#(kind)":{"type":"\#(kind)"}"#, #""\#(kind)s":{"type":{"key":"\#(kind)","min":0,"max":"unlimited"}}"#,
      #""\#(kind)Map":{"type":{"key":"\#(kind)","value":"string","min":0,"max":"unlimited"}}"#,
    ]
  }
  let server = ["name", "model"].map { #""\#($0)":{"type":"string"}"# } + ["leader", "connected"].map { #""\#($0)":{"type":"boolean"}"# }
  return #"""
    {"id":1,"error":null,"result":{"name":"_Server","version":"1","tables":{"Database":{"columns":{\#(server.joined(separator: ","))}}}}}
    {"id":2,"error":null,"result":{}}
    {"id":3,"error":null,"result":{"Database":{"00000000-0000-0000-0000-000000000001":{"initial":{"name":"db","connected":true}}}}}
    {"id":4,"error":null,"result":{"name":"db","version":"1","tables":{"T":{"columns":{\#(columns.joined(separator: ","))}}}}}
    """#
}()

private let contents =
  #"{"id":5,"error":null,"result":[false,"00000000-0000-0000-0000-000000000009",{"T":{"00000000-0000-0000-0000-000000000001":{"initial":{}}}}]}"#

/// Just connected; requesting the contents; replicated, and waiting for the answer to transaction 6.
private let beginnings = [
  session(told: ""), session(told: introduction),
  session(
    told: introduction + contents,
    asking: [.insert(table: "T", row: [:]), .select(table: "T", where: []), .comment(""), .delete(table: "T", where: [])]),
]

/// The first byte selects the state of the session, the others are the server's next messages.
@Sendable func fuzzSession(_ input: UnsafeMutableRawBufferPointer) throws {
  guard input.count > 1 else { return }
  var session = beginnings[Int(input[0]) % beginnings.count]
  var before = session.replica
  for event in session.receive(Array(input[1...]), now: start) {
    switch event {
    case .connected(let replica): before = replica
    case .changed(let changes, let replica):
      // The changes lead from the previous replica to this one.
      var rows = before?.tables ?? [:]
      for change in changes {
        try require(rows[change.table]?[change.id] == change.old, "the row before is another")
        rows[change.table]?[change.id] = change.new
      }
      try require(rows == replica.tables, "the changes lead elsewhere")
      before = replica
    case .server, .transaction, .reply, .lock, .notification, .failed: break
    }
  }
  try require(!session.isReady || session.replica != nil, "ready without a replica")
  _ = session.takeOutput()
  _ = session.closed("end", now: start)
}
