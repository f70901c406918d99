// EntryPoint: runs the command and turns every outcome into the exit statuses that scripts rely on.

import ArgumentParser
import Glibc
import VTEPControl

@main
enum EntryPoint {
  private enum ExitStatus {
    static let refused: Int32 = 1
    static let usage: Int32 = 2
    static let unreachable: Int32 = 3
    static let portsMissing: Int32 = 4
    static let warnings: Int32 = 5
    static let errors: Int32 = 6
  }

  static func main() {
    // A reader that has seen enough causes a write error, which Output treats as a clean end.
    signal(SIGPIPE, SIG_IGN)
    do {
      var command = try VTEPCtl.parseAsRoot(PortCommand.renamingSocket(Array(CommandLine.arguments.dropFirst())))
      try command.run()
      Output.standard.flush()
    } catch {
      exit(explain(error))
    }
  }

  /// Says what went wrong.
  ///
  /// - Returns: the exit status.
  private static func explain(_ error: any Error) -> Int32 {
    Output.standard.flush()
    switch error {
    case ControlClientError.refused(let refusal):
      Output.diagnose("vtepctl: \(refusal.code == .invalidParameters ? optionNames(in: refusal.description) : refusal.description)")
      return ExitStatus.refused
    case let failure as ControlClientError:
      Output.diagnose("vtepctl: \(failure)\(hint(failure))")
      return ExitStatus.unreachable
    case let missing as PortsMissing:
      Output.diagnose("vtepctl: not attached: \(missing.names.joined(separator: ", ")); see show ports")
      return ExitStatus.portsMissing
    case let trouble as TroubleFound:
      return trouble.isError ? ExitStatus.errors : ExitStatus.warnings
    case let failure as CommandFailure:
      Output.diagnose("vtepctl: \(failure.message)")
      return failure.isUsage ? ExitStatus.usage : ExitStatus.refused
    default: break
    }
    let message = VTEPCtl.fullMessage(for: error)
    // Asking for help is not a mistake, although it arrives as an error.
    if VTEPCtl.exitCode(for: error) == .success {
      Output.standard.write(message + "\n")
      Output.standard.flush()
      return 0
    }
    Output.diagnose(message)
    return ExitStatus.usage
  }

  /// Parameters of the control socket's requests (`src_mac`) as options are spelled (`--src-mac`), but for what is quoted.
  static func optionNames(in text: String) -> String {
    let parts = text.split(separator: "'", omittingEmptySubsequences: false)
    return parts.enumerated().map { position, part in
      guard position.isMultiple(of: 2) else { return String(part) }
      let words = part.split(separator: " ", omittingEmptySubsequences: false).map { word -> String in
        let name = word.prefix { $0.isLowercase || $0 == "_" || $0 == "(" }
        guard name.contains("_") else { return String(word) }
        let start = name.prefix { $0 == "(" }
        return start + "--" + word.dropFirst(start.count).replacing("_", with: "-")
      }
      return words.joined(separator: " ")
    }.joined(separator: "'")
  }

  private static func hint(_ failure: ControlClientError) -> String {
    guard case .unreachable("connect", _, let code) = failure else { return "" }
    switch code {
    case ENOENT, ECONNREFUSED: return " (is vtepd running?)"
    case EACCES: return " (only root and the socket's group may connect)"
    default: return ""
    }
  }
}

/// A failure of the command line itself.
struct CommandFailure: Error {
  var message: String
  /// The command line is at fault; otherwise what it asked for did not happen.
  var isUsage: Bool
}

/// A check was carried out, and what it found was printed.
struct TroubleFound: Error {
  /// Not only warnings.
  var isError: Bool
}

/// The daemon forwards, but not for these ports.
struct PortsMissing: Error {
  var names: [String]
}
