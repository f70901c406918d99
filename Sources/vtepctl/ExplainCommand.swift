// ExplainCommand: `vtepctl explain`: all that the daemon knows of one address.

import ArgumentParser
import VTEPControl

struct ExplainCommand: ClientCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Says where a MAC address is, since when, who says so, where it was, and what becomes of a frame to it.")

  @Argument(help: "The MAC address.") var mac: String
  @Option(help: "The VNI.") var vni: UInt32
  @Option(help: "What becomes of frames from this port only, and not from each port of the VNI.") var fromPort: String?
  @ParentCommand var root: VTEPCtl
  @OptionGroup var options: CommandOptions

  func run(_ session: Session) throws {
    let answer = try session.ask(Explain(mac: mac, vni: vni, fromPort: fromPort))
    switch session.format {
    case .json: try session.printObject(answer)
    case .table: Output.standard.write(answer.report)
    }
  }
}

extension Explanation {
  /// For people.
  var report: String {
    var text = "\(mac) in VNI \(vni)\n"
    func line(_ name: String, _ value: String) { text += name + String(repeating: " ", count: max(12 - name.count, 1)) + value + "\n" }
    if let entry {
      line("at", "\(entry.place) (\(entry.type.rawValue))")
      let since = entry.since.map { LocalTime.text(Double($0), hasFraction: false) } ?? "not noted by an earlier version of vtepd"
      line("since", since + (entry.ageSeconds.map { ", last seen \($0) s ago" } ?? ""))
      line("moves", "\(entry.moves)")
    } else {
      line("at", "not in the MAC table")
    }
    if let frozen {
      line("frozen", "also seen at \(frozen.second), \(frozen.moves) moves; released in \(frozen.releaseSeconds.orDash) s")
    }
    for source in sources {
      let state = source.holds ? "holds" : source.remark ?? "does not hold"
      line(source.source == sources.first?.source ? "says" : "", "\(source.source): \(source.place): \(state)")
    }
    for (number, past) in past.enumerated() {
      let end = LocalTime.text(Double(past.until), hasFraction: false)
      line(number == 0 ? "before" : "", "\(past.place ?? "a place that is gone") until \(end)")
    }
    for limit in limits { line("limit", limit) }
    for (number, event) in events.enumerated() { line(number == 0 ? "events" : "", event.line) }
    for outcome in outcomes {
      let origin = outcome.port.map { "port \($0)" + (outcome.vlan.map { " vlan \($0)" } ?? "") } ?? "a VTEP"
      line("from", "\(origin): \(outcome.action): \(outcome.text)")
    }
    if omittedOutcomes > 0 { line("from", "\(omittedOutcomes) more bindings: --from-port shows those of one port") }
    return text
  }
}
