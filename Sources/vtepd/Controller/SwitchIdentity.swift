// SwitchIdentity: which row of Physical_Switch is this switch's, across restarts. Its name is the configuration's and may change; the
// row's UUID, in STATE-DIR/physical-switch, tells that a row of another name was ours.

import FoundationEssentials
import OVSDBClient

struct SwitchIdentity: Sendable {
  let path: String
  /// Nil: none was published yet, or the file is gone.
  private(set) var row: RowID?
  /// Why the file could not be used; it was set aside.
  private(set) var problem: String?

  init(stateDirectory: String) {
    path = stateDirectory + "/physical-switch"
    guard let data = FileManager.default.contents(atPath: path) else { return }
    row = String(validating: data, as: UTF8.self).flatMap { RowID($0.filter { !$0.isWhitespace }) }
    guard row == nil else { return }
    let aside = UnusableFile.setAside(path)
    problem = "\(path) cannot be used: it is no UUID; \(aside); a switch of another name in the database counts as foreign"
  }

  /// Remembers our row.
  ///
  /// - Throws: what the file system says.
  mutating func remember(_ new: RowID) throws {
    guard new != row else { return }
    row = new
    try FileManager.default.createDirectory(at: URL(filePath: path).deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data("\(new)\n".utf8).write(to: URL(filePath: path), options: .atomic)
  }
}
