// DPDK's memory without hugepages, which comes in large pages, and what DPDK says of the processor's clock.

import CDPDK
import Glibc
import Testing

@testable import VTEP

@Suite("Large pages")
struct LargePagesTests {
  @Test("a file in memory is filled, and what was in it stays")
  func fill() throws {
    let byteCount = 8 * LargePages.byteCount
    var path = Array("/dev/shm/vtepd-test-XXXXXX".utf8CString)
    let file = mkstemp(&path)
    try #require(file >= 0 && unlink(path) == 0 && ftruncate(file, byteCount) == 0)
    defer { close(file) }
    let marks = stride(from: 0, to: byteCount, by: 1_000_000)
    for mark in marks { #expect(pwrite(file, [UInt8(mark / 1_000_000 + 1)], 1, mark) == 1) }
    let filled = LargePages.fill(file, byteCount: byteCount)
    for mark in marks {
      var octet = [UInt8(0)]
      #expect(pread(file, &octet, 1, mark) == 1 && octet == [UInt8(mark / 1_000_000 + 1)])
    }
    // Before Linux 6.1, or when the host has no large pages, nothing happens.
    var status = stat()
    #expect(fstat(file, &status) == 0)
    #expect(Int(status.st_blocks) * 512 >= filled)
    #expect(LargePages.fill(-1, byteCount: byteCount) == 0 && LargePages.fill(file, byteCount: 4096) == 0)
  }
}

extension DataplaneTests {
  @Suite("Clock of DPDK")
  struct ClockTests {
    @Test("DPDK knows the clock's frequency, though it was given less time to measure it")
    func frequency() throws {
      _ = try TestRuntime.shared()
      /// Cycles per second. Another process may run between two of these calls, so the smallest difference counts.
      func measured() -> Double {
        var (start, end) = (timespec(), timespec())
        clock_gettime(CLOCK_MONOTONIC_RAW, &start)
        let first = cdpdk_cycles()
        usleep(50_000)
        clock_gettime(CLOCK_MONOTONIC_RAW, &end)
        let seconds = Double(end.tv_sec - start.tv_sec) + Double(end.tv_nsec - start.tv_nsec) / 1e9
        return Double(cdpdk_cycles() - first) / seconds
      }
      let claimed = Double(cdpdk_cycles_per_second())
      #expect((0..<20).contains { _ in abs(measured() / claimed - 1) < 0.005 })
    }
  }
}
