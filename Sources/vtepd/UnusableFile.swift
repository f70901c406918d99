// UnusableFile: files in state-dir that cannot be used get out of the way, and stay to be looked at.

import Glibc

enum UnusableFile {
  static let suffix = ".unusable"

  /// Renames a file; an earlier one of that name is replaced.
  ///
  /// - Returns: what happened, for a message.
  static func setAside(_ path: String, suffix: String = suffix) -> String {
    let aside = path + suffix
    return rename(path, aside) == 0 ? "it is now \(aside)" : "renaming it failed: \(String(cString: strerror(errno)))"
  }
}
