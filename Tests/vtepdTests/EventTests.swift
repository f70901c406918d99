// Events and explanations on the control socket and in vtepctl: filters by name, the reference, lines for people.

import Encap
import Foundation
import Testing
import VTEP
import VTEPControl

@testable import vtepctl
@testable import vtepd

@Suite struct EventRequestTests {
  @Test func theReferenceIsThatOfTheCode() throws {
    let path = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../docs/events.md")
    let text = try String(contentsOf: path, encoding: .utf8)
    #expect(text.contains(EventType.reference), "docs/events.md is not what vtepd --list-events prints")
  }

  @Test func filtersByTypeAndGroup() throws {
    #expect(try EventFilter(Monitor()).types.isEmpty)
    #expect(try EventFilter(Monitor(types: ["mac-moved", "uplink"])).types == [.macMoved, .uplinkUp, .uplinkDown])
    let filter = try EventFilter(Monitor(vni: 5001, port: "vm1", mac: "02:00:00:00:00:01"))
    #expect(filter.vni?.rawValue == 5001 && filter.port == "vm1" && filter.mac == MACAddress("02:00:00:00:00:01"))
  }

  @Test(arguments: [
    Monitor(types: ["mac-moved", "nonsense"]), Monitor(types: [""]), Monitor(vni: 1 << 24), Monitor(mac: "02:00"),
  ])
  func refusesWhatIsNoFilter(_ request: Monitor) {
    #expect(throws: ControlError.self) { try EventFilter(request) }
  }

  @Test func aLineForPeople() {
    let row = EventRow(seq: 7, time: 1_700_000_000.0995, type: "port-up", level: "notice", text: "port vm1: up")
    #expect(row.line.hasPrefix("7  20") && row.line.hasSuffix("notice   port-up           port vm1: up"))
    // Tenths of milliseconds do not lead to the next second.
    #expect(LocalTime.text(0.9996).hasSuffix(".000") || LocalTime.text(0.9996).hasSuffix(".999"))
  }

  @Test func anExplanationForPeople() {
    let event = EventRow(seq: 3, time: 1, type: "mac-moved", level: "debug", text: "moved")
    let text = Explanation(
      vni: 5, mac: "02:00:00:00:00:01",
      entry: Explanation.Entry(type: .static, place: "vtep 192.0.2.2", since: 1, ageSeconds: nil, moves: 1), frozen: nil,
      sources: [
        Explanation.Source(source: "configuration", place: "vtep 192.0.2.2", holds: true, remark: nil),
        Explanation.Source(source: "controller", place: "vtep 192.0.2.3", holds: false, remark: "outranked by the configuration"),
      ],
      past: [Explanation.Past(place: "port vm1", until: 1), Explanation.Past(place: nil, until: 0)], events: [event],
      limits: ["full"],
      outcomes: [
        Explanation.Outcome(port: "vm1", vlan: 7, action: "tunnel", text: "VTEP 192.0.2.2"),
        Explanation.Outcome(port: nil, vlan: nil, action: "drop", text: "split horizon"),
      ], omittedOutcomes: 3
    ).report
    for part in [
      "at          vtep 192.0.2.2 (static)", "configuration: vtep 192.0.2.2: holds", "controller: vtep 192.0.2.3: outranked by",
      "before      port vm1 until 19", "a place that is gone until 19", "limit       full", "port vm1 vlan 7: tunnel: VTEP 192.0.2.2",
      "a VTEP: drop: split horizon", "3 more bindings: --from-port",
    ] {
      #expect(text.contains(part), "\(part) in\n\(text)")
    }
  }
}
