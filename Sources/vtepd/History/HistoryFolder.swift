// HistoryFolder: the folder in `state-dir` with earlier configurations, and with what a change that is not confirmed replaces. Functions of
// the folder and the time alone. Each file is written as a whole (AtomicFile); a damaged one is set aside.

import FoundationEssentials
import Glibc
import VTEPControl

struct HistoryFolder: Sendable {
  let path: String
  /// Told what was set aside, and what could not be removed.
  var warn: @Sendable (String) -> Void = { _ in }

  /// Most entries, and most bytes of all of them, of which the latest two stay in any case.
  var entryLimit = 50
  var byteLimit = 100 << 20

  init(stateDirectory: String) {
    path = stateDirectory + "/configurations"
  }

  private static let suffix = ".history"
  private static let damagedSuffix = ".damaged"
  private static let trialName = "unconfirmed"
  /// Title, lengths and description of a record fit.
  private static let headByteCount = 1 << 16

  private func path(_ number: Int) -> String {
    let digits = String(number)
    return path + "/" + String(repeating: "0", count: max(8 - digits.count, 0)) + digits + Self.suffix
  }

  private var trialPath: String { path + "/" + Self.trialName }

  // -- the history ---------------------------------------------------------------------------------------------------------

  /// The entries, oldest first.
  func entries() -> [HistoryEntry] {
    numbers.compactMap { number in
      let path = path(number)
      do {
        return try RecordFile<HistoryEntry>.description(beginning: try beginning(of: path), size: try size(of: path))
      } catch let error as RecordError {
        setAside(path, error.description)
      } catch {
        warn("\(error)")
      }
      return nil
    }
  }

  /// The texts of an entry.
  ///
  /// - Throws: why it cannot be used; a damaged one is set aside.
  func texts(_ number: Int) throws(HistoryError) -> [String?] {
    let path = path(number)
    guard let record: RecordFile<HistoryEntry> = try read(path) else { throw HistoryError(description: "\(path): there is no such file") }
    return record.texts
  }

  /// Adds an entry, and removes the oldest ones beyond the limits.
  ///
  /// - Returns: its number.
  /// - Throws: why it could not be written.
  func append(
    _ texts: [String?], action: String, origin: ChangeOrigin, changes: [String], now: Int64
  ) throws -> Int {
    try create()
    let number = (numbers.last ?? 0) + 1
    let entry = HistoryEntry(number: number, seconds: now, origin: origin, action: action, changes: changes)
    try AtomicFile.write(try RecordFile(entry, texts: texts).bytes, to: path(number))
    prune()
    return number
  }

  private func prune() {
    for name in names where name.contains(AtomicFile.temporarySuffix) { remove(path + "/" + name) }
    var kept = 0
    var byteCount = 0
    for number in numbers.reversed() {
      kept += 1
      byteCount += (try? size(of: path(number))) ?? 0
      if kept > entryLimit || kept > 2 && byteCount > byteLimit { remove(path(number)) }
    }
  }

  private func remove(_ path: String) {
    if unlink(path) != 0, errno != ENOENT { warn("\(path): cannot be removed: \(Self.error)") }
  }

  // -- a change that is not confirmed ----------------------------------------------------------------------------------------

  /// The change that waits for confirmation, or was undone; nil: there is none.
  func trial() -> (trial: Trial, before: [String?], applied: String)? {
    do throws(HistoryError) {
      guard let record: RecordFile<Trial> = try read(trialPath) else { return nil }
      guard record.texts.count == 3, let applied = record.texts[2] else {
        setAside(trialPath, "it cannot be parsed")
        return nil
      }
      return (record.description, Array(record.texts[..<2]), applied)
    } catch {
      warn("\(error)")
      return nil
    }
  }

  /// - Throws: why it could not be written.
  func write(_ trial: Trial, before: [String?], applied: String) throws {
    try create()
    try AtomicFile.write(try RecordFile(trial, texts: before + [applied]).bytes, to: trialPath)
  }

  /// - Throws: when it is still there.
  func removeTrial() throws(HistoryError) {
    guard unlink(trialPath) != 0 else { return AtomicFile.syncFolder(of: trialPath) }
    guard errno == ENOENT || errno == ENOTDIR else { throw HistoryError(description: "\(trialPath): cannot be removed: \(Self.error)") }
  }

  // -- files -----------------------------------------------------------------------------------------------------------------

  private func create() throws(RunDirectoryError) { try RunDirectory.create(path, key: "state-dir") }

  private var names: [String] { (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] }

  /// Of the entries, ascending.
  private var numbers: [Int] {
    names.compactMap { $0.hasSuffix(Self.suffix) ? Int($0.dropLast(Self.suffix.count)) : nil }.filter { $0 > 0 }.sorted()
  }

  /// - Returns: nil: there is no such file.
  /// - Throws: why it cannot be used; a damaged one is set aside.
  private func read<Description>(_ path: String) throws(HistoryError) -> RecordFile<Description>? {
    let bytes: Data
    do {
      bytes = try Data(contentsOf: URL(filePath: path))
    } catch {
      if (error as? CocoaError)?.code == .fileReadNoSuchFile { return nil }
      throw HistoryError(description: "\(path): cannot be read")
    }
    do throws(RecordError) {
      return try RecordFile<Description>(bytes: bytes)
    } catch {
      throw HistoryError(description: setAside(path, error.description))
    }
  }

  private func size(of path: String) throws(HistoryError) -> Int {
    var status = stat()
    guard stat(path, &status) == 0 else { throw HistoryError(description: "\(path): \(Self.error)") }
    return Int(status.st_size)
  }

  private func beginning(of path: String) throws(HistoryError) -> Data {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw HistoryError(description: "\(path): \(Self.error)") }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: Self.headByteCount)
    let count = Glibc.read(descriptor, &bytes, bytes.count)
    guard count >= 0 else { throw HistoryError(description: "\(path): \(Self.error)") }
    return Data(bytes[..<count])
  }

  /// Renames a file that cannot be used, so that it is in nobody's way and can be looked at.
  ///
  /// - Returns: what happened, for a message.
  @discardableResult
  func setAside(_ path: String, _ reason: String) -> String {
    let message = "\(path) cannot be used: \(reason); \(UnusableFile.setAside(path, suffix: Self.damagedSuffix))"
    warn(message)
    return message
  }

  /// Sets the record of an unconfirmed change aside.
  func setTrialAside(_ reason: String) { setAside(trialPath, reason) }

  private static var error: String { String(cString: strerror(errno)) }
}

/// An entry of the history that cannot be used, and why.
struct HistoryError: Error, Equatable, CustomStringConvertible {
  var description: String
}
