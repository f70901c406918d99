// RunDirectory: the folder of the daemon's sockets.

import Glibc

struct RunDirectoryError: Error, CustomStringConvertible {
  var description: String
}

enum RunDirectory {
  /// Creates the folder and those above it, where missing.
  static func create(_ path: String) throws(RunDirectoryError) {
    var made = ""
    for part in path.split(separator: "/") {
      made += "/\(part)"
      guard mkdir(made, 0o755) != 0, errno != EEXIST else { continue }
      throw RunDirectoryError(
        description: "run-dir \(path): cannot create \(made): \(String(cString: strerror(errno)))")
    }
  }
}
