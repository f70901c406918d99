// AtomicFile: replaces a file as a whole: whoever reads it finds the old or the new contents, also after a power failure. Used for what the
// daemon keeps and for what vtepctl writes.

import FoundationEssentials
import Glibc

/// A file that could not be written; the old one is as it was.
public struct AtomicFileError: Error, Equatable, Sendable, CustomStringConvertible {
  public var path: String
  public var operation: String
  /// An errno value.
  public var code: Int32

  public var description: String {
    "\(path): cannot be written: \(operation): \(strerror(code).map { String(cString: $0) } ?? "error \(code)")"
  }
}

public enum AtomicFile {
  /// In the names of files that are not finished; one that is left over may be removed.
  public static let temporarySuffix = ".tmp-"

  /// Writes a file. One that exists keeps its permissions and owner, and a symbolic link its target's place.
  ///
  /// - Parameters:
  ///   - mode: permissions of a new file, whatever the umask.
  ///   - survivesPowerFailure: false: it need not be on the disk yet when this returns.
  /// - Throws: why it was not written.
  public static func write(
    _ bytes: some ContiguousBytes, to path: String, mode: mode_t = 0o640, survivesPowerFailure: Bool = true
  ) throws(AtomicFileError) {
    let target =
      realpath(path, nil).map { resolved in
        defer { free(resolved) }
        return String(cString: resolved)
      } ?? path
    func check(_ result: some BinaryInteger, _ operation: String) throws(AtomicFileError) {
      if result < 0 { throw AtomicFileError(path: path, operation: operation, code: errno) }
    }
    let temporary = target + temporarySuffix + String(UInt64.random(in: .min ... .max), radix: 16)
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    try check(descriptor, "create")
    do throws(AtomicFileError) {
      defer { close(descriptor) }
      var old = stat()
      if stat(target, &old) == 0 {
        // Only root may give a file away; others keep the group if they can.
        if fchown(descriptor, old.st_uid, old.st_gid) != 0 { _ = fchown(descriptor, uid_t.max, old.st_gid) }
        try check(fchmod(descriptor, old.st_mode & 0o7777), "chmod")
      } else {
        try check(fchmod(descriptor, mode), "chmod")
      }
      var sent = 0
      let size = bytes.withUnsafeBytes(\.count)
      while sent < size {
        let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress?.advanced(by: sent), $0.count - sent) }
        if count < 0, errno == EINTR { continue }
        try check(count, "write")
        sent += count
      }
      if survivesPowerFailure { try check(fsync(descriptor), "fsync") }
      try check(rename(temporary, target), "rename")
    } catch {
      unlink(temporary)
      throw error
    }
    if survivesPowerFailure { syncFolder(of: target) }
  }

  /// Has the folder's new entry reach the disk. The file is complete in any case.
  public static func syncFolder(of path: String) {
    let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
  }
}
