// VerifyCommand: `vtepctl verify [--fix]`.

import ArgumentParser
import VTEPControl

struct VerifyCommand: ClientCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Compares what is configured with data plane, kernel and the controller's database.",
    discussion: """
      Prints every difference that lasts. Exit status: 0 there is none, or all were repaired; 6 there are some.
      """)

  @Flag(help: "Repair the differences: attach, join, request, enter and publish again.") var fix = false
  @ParentCommand var root: VTEPCtl
  @OptionGroup var options: CommandOptions

  func run(_ session: Session) throws {
    let differences = fix ? try session.ask(RepairDifferences()) : try session.ask(Verify())
    switch session.format {
    case .json: try session.print(differences)
    case .table:
      for difference in differences { Output.standard.write(difference.text) }
      if differences.isEmpty { Output.standard.write("no differences\n") }
    }
    if differences.contains(where: { $0.repaired != true }) { throw TroubleFound(isError: true) }
  }
}

extension DifferenceRow {
  fileprivate var text: String {
    let outcome = repaired.map { $0 ? " (repaired)" : " (not repaired)" } ?? ""
    return "\(place): \(subject)\(outcome)\n  intended  \(intended)\n  actual    \(actual)\n"
  }
}
