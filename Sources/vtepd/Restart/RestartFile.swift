// RestartFile: the file in state-dir that carries learned addresses and counters from one run of the daemon to the next. One that cannot be used
// is set aside with a message and never in the way. It belongs to one boot of the host, so it need not survive a power failure.

import FoundationEssentials
import Glibc
import Logging
import VTEP
import VTEPControl

struct RestartFile: Sendable {
  let path: String
  private let log: Logger

  init(stateDirectory: String, log: Logger) {
    path = stateDirectory + "/restart-state"
    self.log = log
  }

  /// The state that an earlier run has left; nil: there is none, or it cannot be used, which was logged.
  func load(boot: String = Self.boot) -> SavedState? {
    guard let bytes = try? Data(contentsOf: URL(filePath: path)) else {
      if access(path, F_OK) == 0 { log.error("\(path) cannot be read: \(String(cString: strerror(errno))); nothing is restored") }
      return nil
    }
    do throws(SavedStateError) {
      let state = try SavedState(bytes: Array(bytes), boot: boot)
      guard let obstacle = state.obstacle() else { return state }
      throw SavedStateError(description: obstacle)
    } catch {
      setAside("\(error)")
      return nil
    }
  }

  private func setAside(_ reason: String) {
    let aside = UnusableFile.setAside(path)
    log.warning("\(path) cannot be used: \(reason); \(aside); starting without learned addresses, counters begin at 0")
  }

  /// - Throws: why it was not written; the old one is as it was.
  func save(_ bytes: [UInt8]) throws {
    guard let slash = path.lastIndex(of: "/") else { return }
    try RunDirectory.create(String(path[..<slash]), key: "state-dir")
    try AtomicFile.write(bytes, to: path, survivesPowerFailure: false)
  }

  /// Identifies this boot of the host: the kernel's random number.
  static let boot: String = {
    let text = (try? Data(contentsOf: URL(filePath: "/proc/sys/kernel/random/boot_id"))) ?? Data()
    return String(decoding: text, as: UTF8.self).filter { !$0.isNewline }
  }()
}
