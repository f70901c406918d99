// ConfigCommand: `vtepctl config …`: checks, applies and shows configurations. Files are read here and judged by the daemon.
// ConfigHistoryCommand has what looks back, ConfigFileCommand what writes files.

import ArgumentParser
import FoundationEssentials
import Glibc
import VTEPControl

struct ConfigCommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "Checks, applies, shows and saves configurations.",
    subcommands: [
      Check.self, Diff.self, Apply.self, Confirm.self, Rollback.self, History.self, Show.self, Save.self, Export.self, Import.self,
    ])

  struct Check: ClientCommand {
    static let configuration = CommandConfiguration(
      abstract: "Checks a configuration file and shows what it would change, without changing anything.")

    @Argument(help: "Configuration file.", completion: .file()) var file: String
    @Flag(help: "Do not ask a running daemon: run 'vtepd --check'.") var offline = false
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run() throws {
      if offline { throw try checkOffline(file) }
      try run(Session(root, options))
    }

    func run(_ session: Session) throws {
      let answer = try session.ask(CheckConfiguration(file: file, text: readText(file)))
      try answer.print(session, nothing: "\(file): no problems, nothing would change")
    }
  }

  struct Diff: ClientCommand {
    static let configuration = CommandConfiguration(
      abstract: "Shows key by key what 'config apply' of a file would change.",
      discussion: "A line that begins with - has the running value, one with + that of the file.")

    @Argument(help: "Configuration file.", completion: .file()) var file: String?
    @Flag(help: "Compare the running configuration with the daemon's own file, as a restart would: shows what is not saved.") var saved =
      false
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func validate() throws {
      guard (file == nil) == saved else { throw ValidationError("Give either a file or --saved.") }
    }

    func run(_ session: Session) throws {
      let rows = try session.ask(DiffConfiguration(file: file ?? "", text: try file.map(readText)))
      if session.format == .json { return try session.printObject(rows) }
      for row in rows {
        if let running = row.running { Output.standard.write("-\(row.key): \(running)\n") }
        if let file = row.file { Output.standard.write("+\(row.key): \(file)\n") }
      }
    }
  }

  struct Apply: ClientCommand {
    static let configuration = CommandConfiguration(
      abstract: "Applies the difference between a configuration file and the running configuration.",
      discussion: "All of it or nothing. What was changed with vtepctl stays, unless the file changes it, too.")

    @Argument(help: "Configuration file.", completion: .file()) var file: String
    @Option(help: "Undo it by itself after this many seconds unless 'config confirm' comes, also if the daemon is killed meanwhile.")
    var confirm: Int?
    @Flag(help: "Keep nothing that was changed with vtepctl: afterwards, exactly the file's configuration runs.") var replace = false
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      let request = ApplyConfiguration(file: file, text: try readText(file), confirmSeconds: confirm, replace: replace ? true : nil)
      try session.ask(request).print(session, nothing: "unchanged")
    }
  }

  struct Confirm: ClientCommand {
    static let configuration = CommandConfiguration(abstract: "Keeps a change that was made with --confirm.")
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws { try session.change(ConfirmConfiguration()) }
  }

  struct Show: ClientCommand {
    static let configuration = CommandConfiguration(
      abstract: "Shows the running configuration, including run-time changes, in the file's format.")

    @Flag(help: "Which configuration.") var source = Source.running
    @Option(help: "Entry of 'config history' instead; 0 is the present one.") var history: Int?
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    enum Source: String, EnumerableFlag {
      case running, saved

      static func help(for value: Source) -> ArgumentHelp? {
        value == .running ? "The running configuration (default)." : "The daemon's file, as it is."
      }
    }

    func run(_ session: Session) throws {
      // What an older daemon knows, too.
      let source: ShowConfiguration.Source? = history != nil ? .history : source == .saved ? .saved : nil
      let answer = try session.ask(ShowConfiguration(source: source, number: history))
      switch session.format {
      case .json: try session.printObject(answer)
      case .table: Output.standard.write(answer.text)
      }
    }
  }
}

/// - Throws: a usage failure when the file cannot be read.
func readText(_ file: String) throws -> String {
  guard let data = try? Data(contentsOf: URL(filePath: file)) else {
    throw CommandFailure(message: "\(file): cannot be read", isUsage: true)
  }
  guard let text = String(validating: data, as: UTF8.self) else {
    throw CommandFailure(message: "\(file): the file is not UTF-8 text; save it as UTF-8", isUsage: false)
  }
  return text
}

/// Becomes `vtepd --check`, the one beside this program or, failing that, the one on PATH.
///
/// - Returns: why it could not.
private func checkOffline(_ file: String) throws -> CommandFailure {
  guard access(file, R_OK) == 0 else { throw CommandFailure(message: "\(file): cannot be read", isUsage: true) }
  let texts: [String] = ["vtepd", "--check", "--config", file]
  var words = texts.map { strdup($0) } + [nil]
  var own = [CChar](repeating: 0, count: Int(PATH_MAX))
  if readlink("/proc/self/exe", &own, own.count - 1) > 0 {
    let folder = String(decoding: own.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).split(separator: "/").dropLast()
    for place in [folder + ["vtepd"], folder.dropLast() + ["sbin", "vtepd"]] { execv("/" + place.joined(separator: "/"), &words) }
  }
  execvp("vtepd", &words)
  return CommandFailure(
    message: "vtepd was not found beside vtepctl or on PATH; it checks files: vtepd --check --config \(file)", isUsage: false)
}

extension ConfigurationAnswer {
  func print(_ session: Session, nothing: String) throws {
    guard session.format == .table else { return try session.printObject(self) }
    for change in changes { Output.standard.write(change + "\n") }
    for key in needsRestart { Output.standard.write("\(key): takes effect when vtepd is restarted\n") }
    if changes.isEmpty && needsRestart.isEmpty { Output.standard.write(nothing + "\n") }
    if let confirmSeconds {
      Output.standard.write("undone in \(confirmSeconds) s unless confirmed: vtepctl config confirm\n")
    }
  }
}
