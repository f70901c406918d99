// LargePages: without hugepages, DPDK's memory is a file in memory (a memfd, which back ends of virtio-user ports map, too). Page by page of 4 KiB
// the kernel takes a tenth of a second to provide it at the start, in which a restarted daemon forwards nothing, and a third of that to take
// it back at the end. In pieces of 2 MiB (transparent huge pages, which need no reservation) it takes a tenth of the time.

import CDPDK
import Glibc

enum LargePages {
  static let byteCount = 2 << 20
  /// At once: the kernel waits for every CPU with each call, and tries all of it when it is short of large pages.
  private static let stepByteCount = 32 << 20
  /// `MADV_COLLAPSE` of Linux 6.1. glibc 2.36 does not have it.
  private static let collapseAdvice: Int32 = 25

  /// Provides all of DPDK's memory in large pages. What the kernel refuses comes in small ones, when it is used.
  static func provideMemory() {
    guard isAllowed else { return }
    _ = rte_memseg_list_walk(
      { list, _ in
        guard let list, list.pointee.external == 0, let first = rte_mem_virt2memseg(list.pointee.base_va, list) else { return 0 }
        let file = rte_memseg_get_fd_thread_unsafe(first)
        if file >= 0 { _ = LargePages.fill(file, byteCount: list.pointee.len) }
        return 0
      }, nil)
  }

  /// Fills a file in memory from its beginning with large pages. What is in it stays.
  ///
  /// - Returns: so many bytes were filled.
  static func fill(_ file: Int32, byteCount fileByteCount: Int) -> Int {
    let length = fileByteCount / byteCount * byteCount
    // A mapping that is aligned like the file, as the kernel wants it. DPDK's own begins somewhere.
    let areaByteCount = length + byteCount
    guard length > 0, let area = mmap(nil, areaByteCount, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), area != MAP_FAILED
    else { return 0 }
    defer { munmap(area, areaByteCount) }
    let base = area + (byteCount - Int(UInt(bitPattern: area) % UInt(byteCount))) % byteCount
    guard mmap(base, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) != MAP_FAILED else { return 0 }
    for start in stride(from: 0, to: length, by: stepByteCount) {
      let end = min(start + stepByteCount, length)
      // There must be something that can be collapsed.
      for page in stride(from: start, to: end, by: byteCount) where madvise(base + page, 4096, MADV_POPULATE_WRITE) != 0 { return start }
      guard madvise(base + start, end - start, collapseAdvice) == 0 else { return start }
    }
    return length
  }

  /// Whoever runs the host has not turned transparent huge pages off.
  private static var isAllowed: Bool {
    guard let file = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r") else { return false }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 64)
    guard fgets(&line, Int32(line.count), file) != nil else { return false }
    return strstr(line, "[never]") == nil
  }
}
