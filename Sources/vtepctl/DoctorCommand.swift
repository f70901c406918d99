// DoctorCommand: `vtepctl doctor`: asks the daemon what is wrong with its host, or has vtepd's program look without a running daemon.

import ArgumentParser
import FoundationEssentials
import Glibc
import VTEPControl

struct DoctorCommand: ClientCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Checks host, configuration and permissions, and says what to do about what is wrong.",
    discussion: """
      The running daemon looks, in its own network namespace and with its own rights. With --config, no daemon is needed: the file \
      and the host are looked at with the rights of the caller. Exit status: 0 all is well, 5 there are warnings, 6 there are errors.
      """)

  @Option(help: "Look at the host for this configuration file, without a running daemon.", completion: .file())
  var config: String?
  @ParentCommand var root: VTEPCtl
  @OptionGroup var options: CommandOptions

  func run(_ session: Session) throws {
    let findings = try config.map(Self.look) ?? session.ask(RunDoctor())
    switch session.format {
    case .json: try session.print(findings)
    case .table: for finding in findings { Output.standard.write(finding.text) }
    }
    let worst = findings.map(\.status).max() ?? .ok
    if worst != .ok { throw TroubleFound(isError: worst == .error) }
  }

  /// Has vtepd's program look.
  private static func look(_ config: String) throws -> [DoctorFinding] {
    let (status, output) = try Program.run(Program.daemon, ["--doctor", "--config", config])
    // It has said why on standard error.
    guard status == 0 else { throw CommandFailure(message: "\(config): cannot be used", isUsage: false) }
    do {
      return try JSONDecoder().decode([DoctorFinding].self, from: output)
    } catch {
      throw CommandFailure(message: "\(Program.daemon) is of another version than vtepctl", isUsage: false)
    }
  }
}

extension DoctorFinding {
  /// One line, and one each for cause and remedy.
  fileprivate var text: String {
    func padded(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(width - text.count, 0) + 2) }
    let indent = String(repeating: " ", count: 9)
    let about = subject.map { found.contains($0) ? "" : "\($0): " } ?? ""
    var text = "\(padded(status.rawValue, 7))\(padded(check, 12))\(about)\(found)\n"
    if let cause { text += "\(indent)\(padded("cause", 12))\(cause)\n" }
    if let remedy { text += "\(indent)\(padded("remedy", 12))\(remedy)\n" }
    return text
  }
}

/// Programs that vtepctl starts.
enum Program {
  /// The daemon's: beside ours in a build folder, or where it is installed.
  static var daemon: String {
    let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    let folder = own.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
    return ["\(folder)/vtepd", "\(folder)/../sbin/vtepd"].first { access($0, X_OK) == 0 } ?? "/usr/sbin/vtepd"
  }

  /// Runs a program; its standard error is ours.
  ///
  /// - Returns: its exit status, and what it wrote to standard output.
  static func run(_ path: String, _ arguments: [String]) throws -> (status: Int32, output: Data) {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw failure(path, errno) }
    defer { close(ends[0]) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
    posix_spawn_file_actions_addclose(&actions, ends[0])
    posix_spawn_file_actions_addclose(&actions, ends[1])
    var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) }
    words.append(nil)
    defer { for word in words { free(word) } }
    var process: pid_t = 0
    let code = posix_spawn(&process, path, &actions, nil, words, environ)
    close(ends[1])
    guard code == 0 else { throw failure(path, code) }
    var output = Data()
    var block = [UInt8](repeating: 0, count: 16384)
    while true {
      let count = read(ends[0], &block, block.count)
      if count > 0 { output.append(contentsOf: block[..<count]) } else if count == 0 || errno != EINTR { break }
    }
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0 && errno == EINTR {}
    return (status & 0x7f == 0 ? status >> 8 & 0xff : -1, output)
  }

  private static func failure(_ path: String, _ code: Int32) -> CommandFailure {
    CommandFailure(message: "\(path): \(String(cString: strerror(code)))", isUsage: false)
  }
}
