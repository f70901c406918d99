// ProcessFigures: what the kernel says about this process (proc(5)).

import Glibc
import Netlink

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
    if let text = HostFiles.text("/proc/self/stat"), let end = text.lastIndex(of: ")") {
      let fields = text[text.index(after: end)...].split(separator: " ")
      func field(_ number: Int) -> UInt64 { fields.count > number - 3 ? UInt64(fields[number - 3]) ?? 0 : 0 }
      cpuSeconds = Double(field(14) + field(15)) / ticks
      startSeconds = Self.bootSeconds + Double(field(22)) / ticks
      virtualByteCount = field(23)
      residentByteCount = field(24) * UInt64(sysconf(Int32(_SC_PAGESIZE)))
    }
    descriptorCount = UInt64(OpenDescriptors.count ?? 0)
    descriptorLimit = UInt64(DescriptorLimit.soft)
  }

  private static var bootSeconds: Double {
    HostFiles.lines("/proc/stat").first { $0.hasPrefix("btime ") }.flatMap { Double($0.dropFirst(6)) } ?? 0
  }
}
