// VTEPDaemon: the program. Reads the configuration, starts the data plane and the control socket as services, handles signals, and
// turns failures into exit statuses.

import ArgumentParser
import Dispatch
import Encap
import Glibc
import Logging
import Netlink
import ServiceLifecycle
import VTEP
import VTEPControl

@main
enum EntryPoint {
  static func main() {
    // In the first thread, which an `async` entry is not: all other threads inherit the blocked signals.
    Signals.prepare()
    let end = DispatchSemaphore(value: 0)
    Task.detached {
      await VTEPDaemon.main()
      end.signal()
    }
    end.wait()
  }
}

struct VTEPDaemon: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "vtepd", abstract: "A VXLAN tunnel end point (RFC 7348) on DPDK.",
    discussion: """
      Runs in the foreground and logs to standard error. SIGHUP applies changes in the configuration file, SIGTERM \
      and SIGINT stop the daemon. Exit status: 0 clean stop, 1 bad configuration, 2 could not start.
      """,
    version: Version.text)

  @Option(name: .long, help: "Configuration file.")
  var config = "/etc/vtepd/vtepd.yaml"

  @Flag(name: .long, help: "Check the configuration file and exit with 0 or 1.")
  var check = false

  @Flag(
    name: .long, help: ArgumentHelp("Look at the host with the configuration file, print findings as JSON, and exit.", visibility: .hidden))
  var doctor = false

  @Flag(name: .long, help: ArgumentHelp("Print every key of the configuration file and exit.", visibility: .hidden))
  var listConfigurationKeys = false

  @Flag(name: .long, help: ArgumentHelp("Print every metric as a table in Markdown and exit.", visibility: .hidden))
  var listMetrics = false

  @Flag(name: .long, help: ArgumentHelp("Print every drop reason as a table in Markdown and exit.", visibility: .hidden))
  var listDropReasons = false

  @Flag(name: .long, help: ArgumentHelp("Print every type of event as a table in Markdown and exit.", visibility: .hidden))
  var listEvents = false

  @Option(name: .long, help: "trace, debug, info, notice, warning, error or critical.")
  var logLevel: Logger.Level = .info

  func run() async throws {
    if listConfigurationKeys { return print(ConfigurationKeys.all.joined(separator: "\n")) }
    if listMetrics { return print(MetricFamily.reference, terminator: "") }
    if listDropReasons { return print(DropReason.reference, terminator: "") }
    if listEvents { return print(EventType.reference, terminator: "") }
    defer { LogWriter.standardError.flush(seconds: 1) }
    var configuration: Configuration
    let text: String
    do {
      text = try ConfigurationLoader().text(path: config)
      configuration = try ConfigurationLoader().load(text: text, file: config)
    } catch {
      Self.complain(error.lines.joined(separator: "\n"))
      throw ExitCode(1)
    }
    if doctor {
      // For vtepctl, which knows nothing of configurations.
      let findings = Doctor.findings(DoctorFacts.gather(configuration, isRunning: false))
      return print(String(decoding: try JSONLine.encode(findings), as: UTF8.self))
    }
    if check {
      let problems = UnderlayCheck.problems(configuration.desired.underlay)
      guard problems.isEmpty else {
        Self.complain(problems.map { "\(config): \($0)" }.joined(separator: "\n"))
        throw ExitCode(1)
      }
      Self.warnOfDescriptors(configuration)
      return
    }

    Signals.keepForServices()
    LoggingSystem.bootstrap { label -> any LogHandler in
      JournalLog.isThere ? JournalLog() : StreamLogHandler(label: label, stream: LogStream())
    }
    DPDKRuntime.sendLog { text, byteCount in
      guard let text else { return }
      LogWriter.standardError.write(String(decoding: UnsafeRawBufferPointer(start: text, count: byteCount), as: UTF8.self))
    }
    var log = Logger(label: "vtepd")
    log.logLevel = logLevel

    let start = StartConfiguration(configuration, text: text, path: config, log: log).state()
    configuration = start.file
    let daemon = Daemon(configuration: configuration, desired: start.desired, fileText: text, path: config, log: log)
    let control: ControlServer
    do {
      try RunDirectory.create(configuration.runDirectory)
      try await daemon.ovsdb.check(configuration.ovsdb)
      try await daemon.metrics.open(configuration.metrics)
      control = try ControlServer(
        socketPath: configuration.runDirectory + "/vtepd.sock", commands: daemon.commands, logger: log, audit: daemon.noteChange)
    } catch {
      Self.complain("vtepd: \(error)")
      throw ExitCode(2)
    }
    // Services stop in reverse order: forwarding continues until the control socket is closed.
    let group = ServiceGroup(
      configuration: .init(
        services: [
          .init(service: DataplaneService(daemon: daemon)), .init(service: daemon.ovsdb), .init(service: control),
          .init(service: MetricsService(daemon: daemon, log: log)),
          .init(service: ReloadService(daemon: daemon, log: log)),
          .init(service: StopService(), successTerminationBehavior: .gracefullyShutdownGroup),
        ],
        logger: log))
    do {
      try await group.run()
    } catch {
      Self.complain("vtepd: \(error)")
      throw ExitCode(2)
    }
  }

  /// The configuration may be right but the process's limits too tight for it.
  private static func warnOfDescriptors(_ configuration: Configuration) {
    let needed = configuration.desired.descriptorCount(workers: configuration.dataplane.workers) + 2 * configuration.dataplane.ioCores.count
    guard needed > DescriptorLimit.hard else { return }
    complain(
      "vtepd: warning: up to \(needed) file descriptors are needed, but the hard limit is \(DescriptorLimit.hard); "
        + "raise it (systemd: LimitNOFILE=, shell: ulimit -n)")
  }

  /// For those who read standard error and not the log.
  private static func complain(_ text: String) {
    LogWriter.standardError.write(text + "\n")
  }
}

extension Logger.Level: @retroactive ExpressibleByArgument {}
