// ProcessFigures: what the kernel says about this process (proc(5)).

import FoundationEssentials
import Glibc

/// Time, memory and descriptors of this process. What cannot be read is 0.
struct ProcessFigures: Sendable {
  /// In user and kernel mode.
  var cpuSeconds = 0.0
  /// Since 1970.
  var startSeconds = 0.0
  var residentByteCount: UInt64 = 0
  var virtualByteCount: UInt64 = 0
  var descriptorCount: UInt64 = 0
  var descriptorLimit: UInt64 = 0

  /// Reads them.
  init() {
    let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
    // Fields are counted from behind the name, which may contain anything, so the first of them is field 3.
    if let text = try? String(contentsOfFile: "/proc/self/stat", encoding: .utf8), let end = text.lastIndex(of: ")") {
      let fields = text[text.index(after: end)...].split(separator: " ")
      func field(_ number: Int) -> UInt64 { fields.count > number - 3 ? UInt64(fields[number - 3]) ?? 0 : 0 }
      cpuSeconds = Double(field(14) + field(15)) / ticks
      startSeconds = Self.bootSeconds + Double(field(22)) / ticks
      virtualByteCount = field(23)
      residentByteCount = field(24) * UInt64(sysconf(Int32(_SC_PAGESIZE)))
    }
    descriptorCount = Self.openDescriptors
    var limit = rlimit()
    if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 { descriptorLimit = UInt64(limit.rlim_cur) }
  }

  private static var openDescriptors: UInt64 {
    guard let folder = opendir("/proc/self/fd") else { return 0 }
    defer { closedir(folder) }
    var count: UInt64 = 0
    while readdir(folder) != nil { count += 1 }
    // Without ".", "..", and the folder itself.
    return count > 3 ? count - 3 : 0
  }

  private static var bootSeconds: Double {
    guard let text = try? String(contentsOfFile: "/proc/stat", encoding: .utf8) else { return 0 }
    return text.split(separator: "\n").first { $0.hasPrefix("btime ") }.flatMap { Double($0.dropFirst(6)) } ?? 0
  }
}
