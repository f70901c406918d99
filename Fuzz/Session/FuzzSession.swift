// Fuzz target of the session: everything behind the JSON: envelopes, schemas, rows, differences, results. The first byte says how
// far the conversation has come, the others are what the server says then.

import OVSDBClient

private let start = ContinuousClock.now

/// A session that has been told `text`.
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

/// Just connected; asking for the contents; replicated, and waiting for the answer to transaction 6.
private let beginnings = [
  session(told: ""), session(told: introduction),
  session(
    told: introduction + contents,
    asking: [.insert(table: "T", row: [:]), .select(table: "T", where: []), .comment(""), .delete(table: "T", where: [])]),
]

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSession(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  guard count > 1 else { return 0 }
  var session = beginnings[Int(data[0]) % beginnings.count]
  var before = session.replica
  for event in session.receive(UnsafeBufferPointer(start: data + 1, count: count - 1), now: start) {
    switch event {
    case .connected(let replica): before = replica
    case .changed(let changes, let replica):
      // The changes lead from the replica before to this one.
      var rows = before?.tables ?? [:]
      for change in changes {
        precondition(rows[change.table]?[change.id] == change.old, "the row before is another")
        rows[change.table]?[change.id] = change.new
      }
      precondition(rows == replica.tables, "the changes lead elsewhere")
      before = replica
    case .server, .transaction, .reply, .lock, .notification, .failed: break
    }
  }
  precondition(!session.isReady || session.replica != nil)
  _ = session.takeOutput()
  _ = session.closed("end", now: start)
  return 0
}
