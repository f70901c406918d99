// OVSDBCommand: `vtepctl ovsdb …`, the exchange between the daemon and the controller's database.

import ArgumentParser
import VTEPControl

struct OVSDBCommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "ovsdb", abstract: "Shows and controls the exchange with the controller's database.",
    subcommands: [Transactions.self, ReleaseHold.self])

  struct Transactions: ClientCommand {
    static let configuration = CommandConfiguration(
      commandName: "transactions", abstract: "Shows the latest transactions sent to the database, newest last.")

    @Option(help: "Show the last N.") var last: Int?
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws { try session.list(ShowTransactions(last: last), TransactionRow.columns) }
  }

  struct ReleaseHold: ClientCommand {
    static let configuration = CommandConfiguration(
      commandName: "release-hold",
      abstract: "Applies the database now and stops forwarding what it no longer contains.")
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws { try session.change(VTEPControl.ReleaseHold()) }
  }
}

extension TransactionRow {
  static var columns: [Column<TransactionRow>] {
    [
      Column(number: "AGE") { "\($0.ageSeconds)" },
      Column(number: "OPERATIONS") { "\($0.operations)" },
      Column(number: "MS") { "\(Int($0.milliseconds.rounded()))" },
      Column("RESULT") { $0.result },
      Column("WHAT") { $0.summary },
    ]
  }
}
