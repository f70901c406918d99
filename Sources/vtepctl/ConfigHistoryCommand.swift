// ConfigHistoryCommand: `vtepctl config history|rollback`: earlier configurations.

import ArgumentParser
import Glibc
import VTEPControl

extension ConfigCommand {
  struct History: ClientCommand {
    static let configuration = CommandConfiguration(
      abstract: "Shows which configurations were in force, since when, and who made them so.",
      discussion: "Entry 0 is the present one. 'config show --history N' shows an entry, 'config rollback N' returns to it.")
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      let answer = try session.ask(ShowHistory())
      if session.format == .json { return try session.printObject(answer) }
      var table = Table(HistoryRow.columns, isWide: session.isWide)
      Output.standard.write(table.lines(for: answer.entries))
      if !answer.changesSince.isEmpty {
        Output.standard.write("\nchanged since with vtepctl (config rollback 0 undoes it, config save keeps it):\n")
        for change in answer.changesSince { Output.standard.write("  \(change)\n") }
      }
      if let seconds = answer.confirmSeconds {
        Output.standard.write("\nentry 0 is undone in \(seconds) s unless confirmed: vtepctl config confirm\n")
      }
    }
  }

  struct Rollback: ClientCommand {
    static let configuration = CommandConfiguration(
      abstract: "Returns to an earlier configuration.",
      discussion: "Without a number: undoes the change that waits for confirmation, or else the latest entry of 'config history'.")

    @Argument(help: "Entry of 'config history'; 0 undoes only what vtepctl has changed since.") var number: Int?
    @Option(help: "As for 'config apply'.") var confirm: Int?
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      try session.ask(RollBackConfiguration(number: number, confirmSeconds: confirm)).print(session, nothing: "unchanged")
    }
  }
}

extension HistoryRow {
  fileprivate static var columns: [Column<HistoryRow>] {
    [
      Column(number: "NUMBER") { "\($0.number)" },
      Column("SINCE") { $0.time },
      Column("USER") { $0.user.orDash },
      Column("ACTION") { $0.action },
      Column("CHANGES") { row in
        let shown = row.changes.prefix(3).joined(separator: ", ")
        return row.changeCount > 3 ? "\(shown), … (\(row.changeCount))" : shown.isEmpty ? "-" : shown
      },
    ]
  }

  /// Local time, as `ls --time-style=long-iso` has it, with seconds.
  private var time: String {
    var seconds = time_t(seconds)
    var parts = tm()
    guard localtime_r(&seconds, &parts) != nil else { return "\(self.seconds)" }
    func digits(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let date = "\(parts.tm_year + 1900)-\(digits(parts.tm_mon + 1))-\(digits(parts.tm_mday))"
    return "\(date) \(digits(parts.tm_hour)):\(digits(parts.tm_min)):\(digits(parts.tm_sec))"
  }
}
