// RunDirectory: the folders of the daemon's sockets and state.

import Glibc

struct RunDirectoryError: Error, CustomStringConvertible {
  var description: String
}

enum RunDirectory {
  /// Creates the folder and its missing parents.
  ///
  /// - Parameter key: the configuration key, for the message.
  static func create(_ path: String, key: String = "run-dir") throws(RunDirectoryError) {
    var made = ""
    for part in path.split(separator: "/") {
      made += "/\(part)"
      guard mkdir(made, 0o755) != 0, errno != EEXIST else { continue }
      throw RunDirectoryError(
        description: "\(key) \(path): cannot create \(made): \(String(cString: strerror(errno)))")
    }
  }
}
