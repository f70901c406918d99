// Memory for inputs that ends at an inaccessible page: one octet read or written beyond the input ends the process.

import Glibc

final class GuardedInput {
  /// No target needs longer inputs.
  static let capacity = 1 << 20

  private let end: UnsafeMutableRawPointer

  init() {
    let page = 4096
    let base = mmap(nil, Self.capacity + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let base, base != MAP_FAILED, mprotect(base + Self.capacity, page, PROT_NONE) == 0 else {
      preconditionFailure("no memory for inputs")
    }
    end = base + Self.capacity
  }

  deinit { munmap(end - Self.capacity, Self.capacity + 4096) }

  /// Runs a target on a copy of the input.
  func run(_ target: FuzzTarget, on input: UnsafeRawBufferPointer) throws {
    guard input.count <= Self.capacity else { return }
    let behind = input.count % target.alignment
    let start = end - input.count - (behind == 0 ? 0 : target.alignment - behind)
    let copy = UnsafeMutableRawBufferPointer(start: start, count: input.count)
    copy.copyMemory(from: input)
    try target.run(copy)
  }
}
