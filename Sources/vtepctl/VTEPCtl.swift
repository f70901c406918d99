// VTEPCtl: the command line of vtepctl. It asks the daemon over the control socket and prints the answer; nothing of
// forwarding is linked in. Exit status: 0 done, 1 refused by the daemon, 2 usage error, 3 daemon unreachable, 4 ports not attached,
// 5 warnings found, 6 errors found.

import ArgumentParser
import Glibc
import VTEPControl

/// The root command. Its options may also stand behind the subcommand, see `CommandOptions`.
struct VTEPCtl: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "vtepctl",
    abstract: "Shows and changes a running vtepd.",
    discussion: """
      Exit status: 0 done, 1 refused by the daemon, 2 usage error, 3 daemon unreachable, 4 ports not attached, 5 warnings found, \
      6 errors found.
      """,
    version: Version.text,
    subcommands: [
      StatusCommand.self, ShowCommand.self, MACCommand.self, VNICommand.self, PeerCommand.self, PortCommand.self,
      BindingCommand.self, ACLCommand.self, UnderlayCommand.self, ConfigCommand.self, OVSDBCommand.self, DoctorCommand.self,
      VerifyCommand.self, TraceCommand.self, CaptureCommand.self, MonitorCommand.self, ExplainCommand.self,
      CompletionsCommand.self,
    ])

  @Option(help: "Control socket of the daemon.", completion: .file())
  var socket = ControlLimits.defaultSocketPath

  @Option(help: "Tables for people, or JSON with stable keys.")
  var format = OutputFormat.table

  @Flag(help: "All columns of tables, and lists uncut.")
  var wide = false

  @Option(help: "Timeout in seconds for connecting and for each answer.")
  var timeout = 10.0

  func validate() throws {
    try CommandOptions.validate(timeout: timeout)
  }

  func run() throws {
    throw ValidationError("A command is missing.")
  }
}

enum OutputFormat: String, ExpressibleByArgument, CaseIterable, Sendable {
  case table, json
}

/// The root's options at the end of the command line, where they are accepted as well.
struct CommandOptions: ParsableArguments {
  @Option(help: .hidden, completion: .file())
  var socket: String?

  @Option(help: .hidden)
  var format: OutputFormat?

  @Flag(help: .hidden)
  var wide = false

  @Option(help: .hidden)
  var timeout: Double?

  func validate() throws {
    if let timeout { try Self.validate(timeout: timeout) }
  }

  static func validate(timeout: Double) throws {
    guard timeout >= 0.001, timeout <= 86400 else { throw ValidationError("The timeout must be from 0.001 to 86400 seconds.") }
  }
}

/// A command that asks the daemon.
protocol ClientCommand: ParsableCommand {
  var root: VTEPCtl { get }
  var options: CommandOptions { get }
  func run(_ session: Session) throws
}

extension ClientCommand {
  func run() throws { try run(Session(root, options)) }
}

/// A command that only has subcommands.
protocol CommandGroup: ParsableCommand {}

extension CommandGroup {
  func run() throws {
    throw ValidationError("A command is missing.")
  }
}
