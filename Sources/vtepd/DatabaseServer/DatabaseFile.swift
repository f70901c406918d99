// DatabaseFile: the embedded server's database on disk: created if missing, and converted if the installed schema is newer, with
// the old file kept beside it. Every step leaves a complete database behind if interrupted.

import Glibc
import Logging

struct DatabaseFile {
  let tools: OVSDBTools
  let folder: String
  let log: Logger

  static let name = "hardware_vtep"

  var path: String { "\(folder)/vtep.db" }
  /// Locked by the process that has the database open.
  var lockPath: String { "\(folder)/.vtep.db.~lock~" }
  private var newPath: String { "\(folder)/vtep.db.new" }

  /// Ensures that a database with the right schema exists.
  ///
  /// - Throws: what is wrong with the existing one, and the remedy.
  func prepare() async throws(EmbeddedServerError) {
    removeNew()
    guard access(path, F_OK) == 0 else {
      _ = try await tool("create", newPath, tools.schema)
      try install()
      log.notice("OVSDB: created \(path)")
      return
    }
    let name = try await tool("db-name", path)
    guard name == Self.name else {
      throw EmbeddedServerError(
        description: "\(path) holds database '\(name)', not \(Self.name): move it away, or choose another state-dir")
    }
    let old = try await tool("db-version", path)
    let installed = try await tool("schema-version", tools.schema)
    guard try await tool("needs-conversion", path, tools.schema) == "yes" else { return }
    guard Self.parts(old).lexicographicallyPrecedes(Self.parts(installed)) else {
      log.info("OVSDB: \(path) keeps schema \(old); the installed schema \(installed) is not newer")
      return
    }
    let backup = unusedName("\(path).backup-\(old)")
    guard link(path, backup) == 0 else {
      throw EmbeddedServerError(description: "cannot create \(backup): \(String(cString: strerror(errno)))")
    }
    _ = try await tool("convert", path, tools.schema, newPath)
    try install()
    log.notice("OVSDB: converted \(path) from schema \(old) to \(installed); backup in \(backup)")
  }

  private func tool(_ arguments: String...) async throws(EmbeddedServerError) -> String {
    do {
      return try await ChildProcess.run(tools.tool, ["--verbose=PATTERN:console:%m", "--verbose=syslog:off"] + arguments)
    } catch {
      throw EmbeddedServerError(
        description: "\(path): \(error) (if it is damaged, move it away: an empty one is created, and the controller fills it)")
    }
  }

  /// Moves the new database into place, after syncing it to disk.
  private func install() throws(EmbeddedServerError) {
    guard rename(newPath, path) == 0 else {
      throw EmbeddedServerError(description: "cannot move \(path) into place: \(String(cString: strerror(errno)))")
    }
    removeNew()
  }

  /// Leftovers of an interrupted attempt.
  private func removeNew() {
    unlink(newPath)
    unlink("\(folder)/.vtep.db.new.~lock~")
  }

  private func unusedName(_ wanted: String) -> String {
    var name = wanted
    var number = 1
    while access(name, F_OK) == 0 {
      number += 1
      name = "\(wanted).\(number)"
    }
    return name
  }

  /// `1.7.0` as numbers.
  private static func parts(_ version: String) -> [Int] { version.split(separator: ".").map { Int($0) ?? 0 } }
}
