// Earlier configurations on disk: what is written is read back, what was damaged is set aside, what is too much goes. And comparisons.

import Encap
import Foundation
import Synchronization
import Testing
import VTEP
import VTEPControl

@testable import vtepd

/// A folder that goes with everything in it, and what was said about it.
private final class Scratch: Sendable {
  let path = "/tmp/vtepd-test-history-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
  let warnings = Mutex<[String]>([])

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func folder(entries: Int = 50, bytes: Int = 1 << 20) -> HistoryFolder {
    var folder = HistoryFolder(stateDirectory: path)
    folder.warn = { text in self.warnings.withLock { $0.append(text) } }
    folder.entryLimit = entries
    folder.byteLimit = bytes
    return folder
  }

  var names: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path + "/configurations")) ?? []).sorted() }
}

@Suite struct HistoryTests {
  private let root = ChangeOrigin(uid: 0, user: "root", process: 7, command: "vtepctl config apply x\ny")
  private let trial = Trial(isUndone: false, deadline: 1_900_000_000, origin: .daemon, action: "config apply x")

  @Test func entriesAreKept() throws {
    let scratch = Scratch()
    let folder = scratch.folder()
    #expect(folder.entries().isEmpty && folder.trial() == nil)
    let changes = (0..<30).map { "port p\($0) added" }
    #expect(try folder.append(["a: 1\n", nil], action: "start", origin: .daemon, changes: [], now: 1_800_000_000) == 1)
    #expect(try folder.append(["ä\n", ""], action: "config apply f", origin: root, changes: changes, now: 1_800_000_001) == 2)
    let entries = folder.entries()
    #expect(entries.map(\.number) == [1, 2] && entries.map(\.seconds) == [1_800_000_000, 1_800_000_001])
    #expect(entries[1].origin == root && entries[1].changeCount == 30 && entries[1].changes.count == HistoryEntry.mostChanges)
    #expect(try folder.texts(1) == ["a: 1\n", nil] && folder.texts(2) == ["ä\n", ""])
    #expect(root.text == #"root (uid 0), pid 7, "vtepctl config apply x\ny""#)
    #expect(scratch.warnings.withLock { $0 }.isEmpty)
  }

  @Test func theOldestGo() throws {
    let scratch = Scratch()
    let folder = scratch.folder(entries: 3)
    for number in 1...5 { _ = try folder.append(["\(number)"], action: "a", origin: .daemon, changes: [], now: 1) }
    #expect(folder.entries().map(\.number) == [3, 4, 5])
    let small = scratch.folder(bytes: 1)
    #expect(try small.append(["6"], action: "a", origin: .daemon, changes: [], now: 1) == 6)
    #expect(folder.entries().map(\.number) == [5, 6], "two stay in any case")
    // What a killed daemon has left.
    try Data().write(to: URL(filePath: scratch.path + "/configurations/00000007.history.tmp-1"))
    _ = try folder.append(["7"], action: "a", origin: .daemon, changes: [], now: 1)
    #expect(scratch.names == ["00000005.history", "00000006.history", "00000007.history"])
  }

  @Test func damagedEntriesAreSetAside() throws {
    let scratch = Scratch()
    let folder = scratch.folder()
    for number in 1...4 { _ = try folder.append(["text \(number)\n"], action: "a", origin: .daemon, changes: [], now: 1) }
    func damage(_ number: Int, _ edit: (inout Data) -> Void) throws {
      let file = URL(filePath: scratch.path + "/configurations/0000000\(number).history")
      var bytes = try Data(contentsOf: file)
      edit(&bytes)
      try bytes.write(to: file)
    }
    try damage(1) { $0 = Data() }
    try damage(2) { $0.removeLast() }
    try damage(3) { $0[$0.count - 2] ^= 1 }
    #expect(folder.entries().map(\.number) == [3, 4])
    #expect(throws: HistoryError.self) { try folder.texts(3) }
    #expect(folder.entries().map(\.number) == [4] && scratch.names.count { $0.hasSuffix(".damaged") } == 3)
    let warnings = scratch.warnings.withLock { $0 }
    #expect(warnings.count { $0.contains("cut off") } == 2 && warnings.count { $0.contains("its contents were changed") } == 1)
    #expect(try folder.append(["x"], action: "a", origin: .daemon, changes: [], now: 1) == 5)
  }

  /// Cut off anywhere, it is never taken for whole.
  @Test func recordsAreWholeOrRefused() throws {
    let record = RecordFile(trial, texts: ["one\n", nil, "two"])
    let bytes = try record.bytes
    #expect(try RecordFile<Trial>(bytes: bytes) == record)
    for count in 0..<bytes.count { #expect(throws: RecordError.self) { try RecordFile<Trial>(bytes: bytes.prefix(count)) } }
    for place in bytes.indices {
      var damaged = bytes
      damaged[place] ^= 4
      #expect(throws: RecordError.self) { try RecordFile<Trial>(bytes: damaged) }
    }
  }

  @Test func trialsAreKept() throws {
    let folder = Scratch().folder()
    try folder.write(trial, before: ["before", nil], applied: "applied")
    let found = try #require(folder.trial())
    #expect(found.trial == trial && found.before == ["before", nil] && found.applied == "applied")
    try folder.removeTrial()
    try folder.removeTrial()
    #expect(folder.trial() == nil)
  }

  // -- what the daemon starts with -------------------------------------------------------------------------------------------

  private func text(_ scratch: Scratch, vni: Int) -> String {
    "name: h\nstate-dir: \(scratch.path)\nunderlay: {addresses: [192.0.2.1], device: eth0}\nvnis: [{vni: \(vni), flood: none}]\n"
  }

  private func started(_ scratch: Scratch, _ text: String) throws -> [VNI] {
    let file = try ConfigurationLoader().load(text: text, file: "f")
    return StartConfiguration(file, text: text, path: "f", log: quietLogger).state().desired.vnis.keys.sorted()
  }

  @Test func theStartUndoesWhatIsNotConfirmed() throws {
    let scratch = Scratch()
    let folder = scratch.folder()
    let (before, applied) = (text(scratch, vni: 1), text(scratch, vni: 2))
    let (one, two) = (VNI(truncating: 1), VNI(truncating: 2))
    #expect(try started(scratch, applied) == [two])
    try folder.write(trial, before: [before, nil], applied: applied)
    // Each time, as long as the file says it.
    for _ in 0..<3 { #expect(try started(scratch, applied) == [one]) }
    #expect(folder.trial()?.trial.isUndone == true)
    let other = applied + "# edited\n"
    #expect(try started(scratch, other) == [two] && folder.trial() == nil)
    // Applied from another file than the daemon's own.
    try folder.write(trial, before: [before, nil], applied: applied)
    #expect(try started(scratch, other) == [one] && folder.trial() == nil)
    #expect(try started(scratch, other) == [two])
    // What cannot be read is set aside.
    try folder.write(trial, before: ["name: []", nil], applied: applied)
    #expect(try started(scratch, applied) == [two] && scratch.names == ["unconfirmed.damaged"])
  }

  // -- comparisons -----------------------------------------------------------------------------------------------------------

  @Test func differencesAreByKey() throws {
    let scratch = Scratch()
    let loader = ConfigurationLoader(hostName: "h")
    let old = try loader.load(text: text(scratch, vni: 1), file: "f")
    var new = old
    new.desired.vnis[VNI(truncating: 1)]?.macLimit = 5
    new.desired.ports["a"] = PortSettings(name: "a", kind: .tap, device: "tap: a")
    new.desired.ports["a"]?.options.vni = VNI(truncating: 1)
    new.ovsdb = OVSDBSettings()
    var entry = ACLEntry(sequence: 10, direction: .ingress, action: .deny)
    var before = old
    before.desired.acls["web"] = ACLSettings(name: "web", entries: [entry, ACLEntry(sequence: 20, direction: .egress, action: .permit)])
    entry.protocolNumber = 6
    var after = before
    after.desired.acls["web"]?.entries[0] = entry
    #expect(YAMLNode.differences(before.node, after.node).map(\.key) == ["acls[web].entries[ingress 10]"])
    let rows = YAMLNode.differences(old.node, new.node)
    #expect(rows.first == ConfigurationDifference(key: "vnis[1].mac-limit", running: "0", file: "5"))
    #expect(rows.contains(ConfigurationDifference(key: "ports[a].device", running: nil, file: "\"tap: a\"")))
    #expect(rows.contains(ConfigurationDifference(key: "ovsdb.stale-hold", running: nil, file: "300")))
    #expect(YAMLNode.differences(new.node, old.node).count == rows.count && YAMLNode.differences(new.node, new.node).isEmpty)
  }

  @Test func exportsAreReadBack() throws {
    for saved in ["", "a: 1\n", "no end", "%% end\n%% running 3\nx", "ä\r\n"] {
      let export = ConfigurationExport(saved: saved, running: "running\n")
      #expect(ConfigurationExport(text: export.text) == export)
      for count in 0..<export.text.utf8.count {
        #expect(ConfigurationExport(text: String(decoding: Array(export.text.utf8.prefix(count)), as: UTF8.self)) == nil)
      }
    }
  }
}
