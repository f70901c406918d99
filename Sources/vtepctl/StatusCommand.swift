// StatusCommand: `vtepctl status`, also as the way to wait until the daemon forwards.

import ArgumentParser
import Glibc
import VTEPControl

struct StatusCommand: ClientCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Shows the daemon's state and its problems.",
    discussion: "With --wait: exit status 0 if the daemon is running, 4 if ports could not be attached; 'show ports' has the reasons.")

  @Option(help: "Seconds to wait until the daemon is running and all its ports are attached.")
  var wait: Double?
  @ParentCommand var root: VTEPCtl
  @OptionGroup var options: CommandOptions

  private static let pollingInterval = Duration.milliseconds(50)

  func validate() throws {
    if let wait, !(wait >= 0 && wait <= 86400) { throw ValidationError("The time to wait must be from 0 to 86400 seconds.") }
  }

  func run(_ session: Session) throws {
    guard let wait else { return try print(session.ask(GetStatus()), session) }
    let end = ContinuousClock.now + .seconds(wait)
    while true {
      let result = Result { () throws(ControlClientError) in try session.ask(GetStatus()) }
      if case .success(let status) = result, status.state == .running, status.unattached.isEmpty { return try print(status, session) }
      // Without permission, waiting does not help.
      if case .failure(.refused(let refusal)) = result, refusal.code == .permissionDenied { _ = try result.get() }
      if ContinuousClock.now >= end {
        let status = try result.get()
        if status.state == .running {
          try print(status, session)
          throw PortsMissing(names: status.unattached)
        }
        throw CommandFailure(message: "the daemon is still \(status.state.rawValue) after \(wait) s", isUsage: false)
      }
      usleep(useconds_t(Self.pollingInterval / .microseconds(1)))
    }
  }

  private func print(_ status: DaemonStatus, _ session: Session) throws {
    guard session.format == .table else { return try session.printObject(status) }
    var rows = [
      ("state", status.state.rawValue), ("name", status.name), ("mode", status.mode), ("version", status.version),
      ("uptime", "\(status.uptimeSeconds) s"),
      ("counted", "\(status.countedSeconds) s"), ("workers", "\(status.workers)"), ("ports", "\(status.ports)"),
      ("unattached", status.unattached.joined(separator: ", ")), ("vnis", "\(status.vnis)"), ("macs", "\(status.macs)"),
    ]
    if let change = status.unconfirmed {
      rows.append(("unconfirmed", "\(change.action), undone in \(change.secondsLeft) s (config confirm keeps it)"))
    }
    rows += status.problems.map { ("problem", $0) }
    for (name, value) in rows where !value.isEmpty {
      Output.standard.write(name + String(repeating: " ", count: 12 - name.count) + value + "\n")
    }
  }
}
