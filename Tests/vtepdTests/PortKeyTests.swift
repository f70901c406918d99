// The table of port keys against everything that is made from it.

import Encap
import Foundation
import Testing
import VTEPControl

@testable import VTEP
@testable import vtepd

@Suite struct PortKeyTests {
  @Test func everyKeyIsStoredSomewhere() {
    #expect(PortKey.all.map(\.name).filter { !["name", "kind"].contains($0) } == PortField.all.map(\.key.name))
    #expect(Set(PortKey.all.map(\.name)).count == PortKey.all.count)
    #expect(Set(PortKey.all.compactMap(\.option?.name)).count == PortKey.all.compactMap(\.option).count)
  }

  @Test func everyKeyOfAnAttachmentBelongsToAKind() {
    #expect(Set(PortField.attachments.map(\.key.name)) == Set(PortAttachment.Key.allCases.map(\.rawValue)))
    for key in PortField.attachments.map(\.key.name) { #expect(PortKind.allCases.contains { $0.takes(key) }, "\(key)") }
  }

  @Test func choicesAreThoseOfTheirTypes() throws {
    func choices(_ name: String) throws -> [String] {
      guard case .choice(let choices) = try #require(PortKey.all.first { $0.name == name }).form else { return [] }
      return choices
    }
    #expect(try choices("kind") == PortKind.allCases.map(\.rawValue))
    #expect(try choices("role") == PortAttachment.Role.allCases.map(\.rawValue))
    #expect(try choices("offloads") == PortOffloads.allCases.map(\.rawValue))
    #expect(try choices("l2-protocols") == LinkProtocols.allCases.map(\.rawValue))
    #expect(PortKey.all.filter { if case .choice = $0.form { true } else { false } }.count == 4)
  }

  /// Each option, set to something else than its fallback by way of the control socket, is written, read, shown, and unset again.
  @Test func everyOptionMakesTheRound() throws {
    let text = """
      underlay: {addresses: [192.0.2.1], device: eth0}
      vnis: [{vni: 1, flood: none}]
      acls: [{name: "0x88a8", entries: []}]
      ports: [{name: p, kind: tap, device: t, macs: ["02:00:00:00:00:01"], vlan-macs: {7: ["02:00:00:00:00:02"]}, vlans: {7: 1}, vni: 1}]

      """
    let loader = ConfigurationLoader(hostName: "h")
    let configuration = try loader.load(text: text, file: "f")
    let before = configuration.desired
    for field in PortField.options where !["vni", "vlans", "vlan-acls"].contains(field.key.name) {
      let old = try #require(before.ports["p"])
      let value: SettingValue =
        switch field.key.form {
        case .flag: .flag(field.effective(old) != .flag(true))
        case .choice(let choices): .text(choices.last ?? "")
        case .text: .text("0x88a8")
        default: .number(1400)
        }
      let settings = field.key.path.reversed().reduce(value) { .map([$1: $0]) }
      guard case .map(let given) = settings else { continue }
      let after = try before.applying(SetPort(name: "p", settings: given))
      let port = try #require(after.ports["p"])
      #expect(field.own(port) == value && field.effective(port) == value && field.effective(old) != value, "\(field.key.name)")
      var changed = configuration
      changed.desired = after
      #expect(try loader.load(text: changed.yaml(), file: "f") == changed, "\(field.key.name)")
      guard case .map(let unset) = field.key.path.reversed().reduce(SettingValue.null, { .map([$1: $0]) }) else { continue }
      #expect(try after.applying(SetPort(name: "p", settings: unset)) == before, "\(field.key.name)")
    }
  }

  /// docs/configuration.md is written by people, its rows about ports are this table.
  @Test func referenceIsTheTable() throws {
    let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let text = try String(contentsOf: repository.appending(path: "docs/configuration.md"), encoding: .utf8)
    let rows = text.split(separator: "\n").map(String.init).filter { $0.hasPrefix("| `ports[]") }
    #expect(rows == PortKey.all.map(\.referenceRow), "the rows should be:\n\(PortKey.all.map(\.referenceRow).joined(separator: "\n"))")
  }
}
