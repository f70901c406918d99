// Messages of real servers and controllers (recorded with Fixtures/record): replayed whole, split anywhere, and damaged.

import Glibc
import Testing

@testable import OVSDBClient

@Suite struct RecordedTests {
  /// The server's messages to a session, and the final answer to `select`.
  struct Recording: Sendable, CustomTestStringConvertible {
    var name: String
    var bytes: [UInt8]
    var rows: [UInt8]
    var testDescription: String { name }

    init(_ name: String) throws {
      self.name = name
      bytes = try RecordedTests.fixture("\(name).server")
      rows = try RecordedTests.fixture("\(name).rows")
    }
  }

  static let names = ["update3", "update2", "update", "cluster-first", "ovn"]

  static func fixture(_ name: String) throws -> [UInt8] {
    let path = #filePath.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/Fixtures/" + name
    let file = try #require(fopen(path, "r"), "\(path)")
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
    return bytes
  }

  /// A session that has been fed `pieces`, and its events.
  private func replay(
    _ pieces: [ArraySlice<UInt8>], into session: Session = Session(SessionConfiguration(database: "hardware_vtep"))
  ) -> (Session, [SessionEvent]) {
    var session = session
    // Recorded answers are to identifiers that begin with 1.
    session.lastRequest = 0
    session.opened(now: .now)
    var events: [SessionEvent] = []
    for piece in pieces { events += session.receive(piece, now: .now) }
    return (session, events)
  }

  /// Whether the replica equals the answer to `select`.
  private func check(_ session: Session, _ rows: [UInt8], sourceLocation: SourceLocation = #_sourceLocation) throws {
    let replica = try #require(session.replica, sourceLocation: sourceLocation)
    let tables = replica.schema.tables.keys.sorted()
    var reader = JSONReader(rows.span.bytes)
    let results = try reader.results(of: tables.map { .select(table: $0, where: []) }, schema: replica.schema).get()
    for (table, result) in zip(tables, results) {
      guard case .rows(let selected) = result else { throw Unexpected() }
      let expected = try Dictionary(uniqueKeysWithValues: selected.map { (try #require($0.id), $0.row) })
      let actual = Dictionary(uniqueKeysWithValues: replica.rows(table).map { ($0.key, $0.value) })
      #expect(actual == expected, "\(table)", sourceLocation: sourceLocation)
    }
  }

  @Test(arguments: names) func theReplicaEqualsSelect(_ name: String) throws {
    let recording = try Recording(name)
    let (session, events) = replay([recording.bytes[...]])
    #expect(session.isReady && events.allSatisfy { $0.failure == nil })
    #expect(session.replica?.rows("Physical_Switch").count == 1)
    try check(session, recording.rows)
  }

  /// Applying the changes yields the replica, after each event.
  @Test(arguments: names) func theChangesAddUpToTheReplica(_ name: String) throws {
    let (_, events) = replay([try Recording(name).bytes[...]])
    var shadow: [String: [RowID: OVSDBRow]] = [:]
    var count = 0
    for event in events {
      guard let replica = event.replica else { continue }
      if let changes = event.changes {
        for change in changes {
          #expect(shadow[change.table]?[change.id] == change.old)
          shadow[change.table, default: [:]][change.id] = change.new
          count += 1
        }
      } else {
        for (table, rows) in replica.tables { shadow[table] = Dictionary(uniqueKeysWithValues: rows.map { ($0.key, $0.value) }) }
      }
      for (table, rows) in replica.tables {
        #expect(shadow[table, default: [:]] == Dictionary(uniqueKeysWithValues: rows.map { ($0.key, $0.value) }))
      }
    }
    #expect(count > 10)
  }

  @Test func aReconnectToAClusterFetchesTheDifference() throws {
    let first = try Recording("cluster-first")
    let second = try Recording("cluster-second")
    #expect(String(decoding: second.bytes, as: UTF8.self).contains(#""result":[true,"#))
    var (session, _) = replay([first.bytes[...]])
    _ = session.closed("test", now: .now)
    let (after, events) = replay([second.bytes[...]], into: session)
    #expect(events.allSatisfy { $0.failure == nil })
    try check(after, second.rows)
    // Without the previous contents the difference is useless, and this is detected.
    #expect(replay([second.bytes[...]]).1.last?.failure != nil)
  }

  @Test func aRecordingMayBeCutAnywhere() throws {
    let recording = try Recording("ovn")
    let whole = replay([recording.bytes[...]])
    for cut in stride(from: 0, through: recording.bytes.count, by: 3) {
      let (session, events) = replay([recording.bytes[..<cut], recording.bytes[cut...]])
      #expect(session.replica == whole.0.replica && events.count == whole.1.count, "cut at \(cut)")
    }
    for name in Self.names {
      let recording = try Recording(name)
      let whole = replay([recording.bytes[...]])
      for _ in 0..<20 {
        var pieces: [ArraySlice<UInt8>] = []
        var rest = recording.bytes[...]
        while !rest.isEmpty {
          let count = Int.random(in: 1...min(rest.count, Bool.random() ? 10 : 3000))
          pieces.append(rest.prefix(count))
          rest = rest.dropFirst(count)
        }
        let (session, events) = replay(pieces)
        #expect(session.replica == whole.0.replica && events.count == whole.1.count)
      }
    }
  }

  @Test(arguments: [
    "update3.server", "update.server", "ovn.server", "vtep-ctl.client", "vtep-ctl.server", "ovn-controller-vtep.client",
    "ovn-controller-vtep.server",
  ])
  func everyMessageIsReadAndWrittenAgain(_ name: String) throws {
    var parser = JSONParser()
    let values = try parser.feed(try Self.fixture(name))
    #expect(values.count > 3 && !parser.isWithinValue)
    for value in values { #expect(try JSONValue(parsing: value.encoded) == value) }
  }

  /// Damaged messages are rejected or mean something else, and nothing worse.
  @Test func damagedRecordingsNeverCrash() throws {
    let alphabet = Array(#"{}[]",:\u0189dabcdef-+.eE tfn"#.utf8) + [0, 0x1f, 0x80, 0xc3, 0xff]
    var refused = 0
    for name in Self.names {
      let recording = try Recording(name)
      for _ in 0..<150 {
        var bytes = recording.bytes
        for _ in 0..<Int.random(in: 1...8) {
          let position = Int.random(in: 0..<bytes.count)
          switch Int.random(in: 0..<4) {
          case 0: bytes[position] = alphabet.randomElement() ?? 0
          case 1: bytes[position] = UInt8.random(in: 0...255)
          case 2: bytes.removeSubrange(position..<min(bytes.count, position + Int.random(in: 1...40)))
          default: bytes.insert(contentsOf: bytes[position..<min(bytes.count, position + Int.random(in: 1...40))], at: position)
          }
        }
        let (session, events) = replay([bytes[...]])
        if events.last?.failure != nil {
          refused += 1
          #expect(!session.isReady)
        }
      }
    }
    #expect(refused > 0)
  }

  @Test func theSchemaIsRead() throws {
    let (session, _) = replay([try Recording("update3").bytes[...]])
    let schema = try #require(session.replica?.schema)
    #expect(schema.name == "hardware_vtep" && schema.version == "1.7.0" && schema.tables.count == 18)
    let port = try #require(schema.tables["Physical_Port"])
    #expect(!port.isRoot)
    #expect(port.columns["vlan_bindings"]?.type.key.kind == .integer)
    #expect(port.columns["vlan_bindings"]?.type.value?.referencedTable == "Logical_Switch")
    #expect(schema.tables["Manager"]?.columns["status"]?.isEphemeral == true)
    #expect(schema.tables["Global"]?.maximumRows == 1 && schema.tables["Global"]?.isRoot == true)
    #expect(schema.tables["Physical_Locator"]?.indexes == [["encapsulation_type", "dst_ip", "tunnel_key"]])
    #expect(schema.tables["Physical_Locator"]?.columns["dst_ip"]?.isMutable == false)
    #expect(
      schema.tables["Logical_Switch"]?.columns["replication_mode"]?.type.key.enumeration == ["service_node", "source_node"])
  }

  private struct Unexpected: Error {}
}
