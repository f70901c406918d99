// EventMailboxTests: events not taken in time are merged, and are equivalent to all of them.

import Testing

@testable import OVSDBClient

@Suite struct EventMailboxTests {
  private let schema: DatabaseSchema
  private let row: OVSDBRow

  init() throws {
    var parser = JSONParser()
    schema = try DatabaseSchema(try #require(try parser.feed(Array(TestSchema.text.utf8)).first))
    row = OVSDBRow(try #require(Replica(schema: schema).layouts["T"]))
  }

  private func named(_ name: String) -> OVSDBRow { row.setting("name", to: OVSDBDatum(stringLiteral: name)) }

  private func replica(_ transaction: Int) -> Replica {
    var replica = Replica(schema: schema)
    replica.lastTransaction = TestSchema.id(transaction)
    return replica
  }

  private func change(_ id: Int, _ old: String?, _ new: String?) -> TableChange {
    TableChange(table: "T", id: TestSchema.id(id), old: old.map(named), new: new.map(named))
  }

  private func isOver(_ mailbox: EventMailbox) async -> Bool {
    if case nil = await mailbox.next() { true } else { false }
  }

  @Test func eventsTakenInTimeAreUnchanged() async throws {
    let mailbox = EventMailbox()
    for number in 1...3 {
      mailbox.post(.changed([change(number, nil, "a")], replica(number)))
      guard case .changed(let changes, let replica)? = await mailbox.next() else { return #expect(Bool(false), "no change") }
      #expect(changes == [change(number, nil, "a")] && replica.lastTransaction == TestSchema.id(number))
    }
  }

  @Test func changesOfARowBecomeOne() async throws {
    let mailbox = EventMailbox()
    mailbox.post(.changed([change(1, "a", "b"), change(2, nil, "x")], replica(1)))
    mailbox.post(.changed([change(3, "gone", nil), change(1, "b", "c")], replica(2)))
    // Inserted and deleted: nothing to report.
    mailbox.post(.changed([change(2, "x", nil)], replica(3)))
    mailbox.post(.disconnected("first"))
    mailbox.post(.disconnected("last"))
    mailbox.finish()
    guard case .changed(let changes, let replica)? = await mailbox.next() else { return #expect(Bool(false), "no change") }
    #expect(changes == [change(1, "a", "c"), change(3, "gone", nil)])
    #expect(replica.lastTransaction == TestSchema.id(3))
    guard case .disconnected("last")? = await mailbox.next() else { return #expect(Bool(false), "no end") }
    #expect(await isOver(mailbox))
  }

  @Test func aFreshSnapshotReplacesEverythingBefore() async throws {
    let mailbox = EventMailbox()
    mailbox.post(.changed([change(1, "a", "b")], replica(1)))
    mailbox.post(.disconnected("lost"))
    mailbox.post(.connected(replica(2)))
    mailbox.post(.changed([change(1, "b", "c")], replica(3)))
    mailbox.finish()
    guard case .connected(let replica)? = await mailbox.next() else { return #expect(Bool(false), "no snapshot") }
    #expect(replica.lastTransaction == TestSchema.id(3))
    #expect(await isOver(mailbox))
  }

  @Test func aWaitingConsumerIsWoken() async throws {
    let mailbox = EventMailbox()
    let consumer = Task { await mailbox.next() }
    try await Task.sleep(for: .milliseconds(20))
    mailbox.post(.disconnected("why"))
    guard case .disconnected("why")? = await consumer.value else { return #expect(Bool(false), "nothing came") }
    let last = Task { await isOver(mailbox) }
    mailbox.finish()
    #expect(await last.value)
  }
}
