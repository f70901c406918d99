// ConfigCommand: `vtepctl config check|apply|show`. Files are read here and judged by the daemon.

import ArgumentParser
import FoundationEssentials
import VTEPControl

struct ConfigCommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "Checks, applies and shows configurations.",
    subcommands: [Check.self, Apply.self, Show.self])

  struct Check: ClientCommand {
    static let configuration = CommandConfiguration(
      abstract: "Checks a configuration file and shows what it would change, without changing anything.")

    @Argument(help: "Configuration file.", completion: .file()) var file: String
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      let answer = try session.ask(CheckConfiguration(file: file, text: readText(file)))
      try answer.print(session, nothing: "\(file): no problems, nothing would change")
    }
  }

  struct Apply: ClientCommand {
    static let configuration = CommandConfiguration(
      abstract: "Applies the difference between a configuration file and the running configuration.")

    @Argument(help: "Configuration file.", completion: .file()) var file: String
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      let answer = try session.ask(ApplyConfiguration(file: file, text: readText(file)))
      try answer.print(session, nothing: "unchanged")
    }
  }

  struct Show: ClientCommand {
    static let configuration = CommandConfiguration(
      abstract: "Shows the running configuration, including run-time changes, in the file's format.")
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      let answer = try session.ask(ShowConfiguration())
      switch session.format {
      case .json: try session.printObject(answer)
      case .table: Output.standard.write(answer.text)
      }
    }
  }
}

/// - Throws: a usage failure when the file cannot be read.
private func readText(_ file: String) throws -> String {
  guard let data = try? Data(contentsOf: URL(filePath: file)) else {
    throw CommandFailure(message: "\(file): cannot be read", isUsage: true)
  }
  guard let text = String(validating: data, as: UTF8.self) else {
    throw CommandFailure(message: "\(file): the file is not UTF-8 text; save it as UTF-8", isUsage: false)
  }
  return text
}

extension ConfigurationAnswer {
  fileprivate func print(_ session: Session, nothing: String) throws {
    guard session.format == .table else { return try session.printObject(self) }
    for change in changes { Output.standard.write(change + "\n") }
    for key in needsRestart { Output.standard.write("\(key): takes effect when vtepd is restarted\n") }
    if changes.isEmpty && needsRestart.isEmpty { Output.standard.write(nothing + "\n") }
  }
}
