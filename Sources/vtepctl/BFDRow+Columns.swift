// BFDRow+Columns: the table of `vtepctl show bfd`.

import ArgumentParser
import VTEPControl

extension ShowCommand {
  struct BFD: ClientCommand {
    static let configuration = CommandConfiguration(
      commandName: "bfd", abstract: "Shows the BFD sessions with other VTEPs. Times are in milliseconds.")
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws { try session.list(ShowBFD(), BFDRow.columns) }
  }
}

extension BFDRow {
  static var columns: [Column<BFDRow>] {
    [
      Column("ADDRESS") { $0.address },
      Column("STATE") { $0.state },
      Column("FORWARDING") { $0.forwarding ? "yes" : "no" },
      Column("DIAGNOSTIC") { $0.diagnostic },
      Column("REMOTE STATE") { $0.remoteState },
      Column("REMOTE DIAGNOSTIC") { $0.remoteDiagnostic }.extra,
      Column("FORM") { $0.form }.extra,
      Column(number: "VNI") { "\($0.vni)" }.extra,
      Column(number: "TX") { row in row.transmitMilliseconds.map { "\(Int($0.rounded()))" } ?? "-" },
      Column(number: "DETECTION") { "\(Int($0.detectionMilliseconds.rounded()))" },
      Column(number: "FLAPS") { "\($0.flaps)" },
      Column(number: "SINCE") { "\($0.sinceSeconds)" },
      Column(number: "TX PACKETS") { "\($0.txPackets)" }.extra,
      Column(number: "RX PACKETS") { "\($0.rxPackets)" }.extra,
      Column(number: "WRONG KEYS") { "\($0.wrongKeys)" }.extra,
    ]
  }
}
