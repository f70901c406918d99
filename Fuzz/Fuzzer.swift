// The program built by scripts/fuzz: libFuzzer's entry points. VTEPD_FUZZ_TARGET names the target; without it the targets are
// listed.

import FoundationEssentials
import Glibc

private nonisolated(unsafe) var target: FuzzTarget?
private nonisolated(unsafe) let input = GuardedInput()

private func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

/// VTEPD_FUZZ_UNPACK: a folder to which all seeds are written, one file each. VTEPD_FUZZ_KEEP: a folder whose files become the
/// target's capture in the repository.
@_cdecl("LLVMFuzzerInitialize")
public func initialize(_: UnsafeMutableRawPointer, _: UnsafeMutableRawPointer) -> CInt {
  guard let name = environment("VTEPD_FUZZ_TARGET") else {
    print(FuzzTarget.all.map(\.name).joined(separator: "\n"))
    exit(0)
  }
  guard let named = FuzzTarget.all.first(where: { $0.name == name }) else {
    print("there is no target '\(name)'")
    exit(2)
  }
  target = named
  do {
    if let folder = environment("VTEPD_FUZZ_UNPACK") {
      for (index, seed) in try named.seeds().enumerated() { try Data(seed.bytes).write(to: URL(filePath: "\(folder)/\(index)")) }
      exit(0)
    }
    if let folder = environment("VTEPD_FUZZ_KEEP") {
      try named.keep(folder)
      exit(0)
    }
  } catch {
    print("\(name): \(error)")
    exit(2)
  }
  return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  guard let target else { preconditionFailure("no target") }
  do {
    try input.run(target, on: UnsafeRawBufferPointer(start: start, count: count))
  } catch {
    fatalError("\(target.name): \(error)")
  }
  return 0
}
