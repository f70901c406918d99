// Lines for systemd's journal.

import Testing

@testable import vtepd

@Suite struct JournalLogTests {
  @Test func aMessageIsOneLineWithItsPriority() {
    #expect(JournalLog.line(.warning, "port is down", ["port": "vm1", "after": "3"]) == "<4>port is down after=3 port=vm1")
    #expect(JournalLog.line(.debug, "two\nlines", [:]) == "<7>two lines")
    #expect(!JournalLog.isThere, "tests do not run under systemd, or not with its journal as standard error")
  }
}
