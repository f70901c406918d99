// The file that one run leaves to the next, and what happens to one that cannot be used.

import Foundation
import Logging
import Testing

@testable import VTEP
@testable import vtepd

@Suite("Restart file")
struct RestartFileTests {
  private let folder = NSTemporaryDirectory() + "restart-\(UUID().uuidString)"
  private var file: RestartFile { RestartFile(stateDirectory: folder, log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) }

  private func remove() { try? FileManager.default.removeItem(atPath: folder) }

  @Test("what was saved is loaded, once per boot of the host")
  func load() throws {
    defer { remove() }
    #expect(file.load() == nil)
    var state = SavedState()
    state.savedSeconds = MonotonicClock.seconds()
    try file.save(state.bytes(boot: RestartFile.boot))
    #expect(file.load() == state)
    #expect(file.load(boot: "another") == nil)
    #expect(!FileManager.default.fileExists(atPath: file.path))
    #expect(FileManager.default.fileExists(atPath: file.path + UnusableFile.suffix))
    #expect(file.load() == nil)
  }

  @Test("a damaged, an old and an unreadable file are set aside or left alone")
  func unusable() throws {
    defer { remove() }
    var state = SavedState()
    state.savedSeconds = MonotonicClock.seconds() &- 4000
    for bytes in [Array(state.bytes(boot: RestartFile.boot)), [1, 2, 3], Array(SavedState().bytes(boot: RestartFile.boot).dropLast())] {
      try file.save(bytes)
      #expect(file.load() == nil)
      #expect(try [UInt8](Data(contentsOf: URL(filePath: file.path + UnusableFile.suffix))) == bytes)
    }
    try FileManager.default.createDirectory(atPath: file.path, withIntermediateDirectories: true)
    #expect(file.load() == nil)
    #expect(throws: (any Error).self) { try file.save([1]) }
  }
}
