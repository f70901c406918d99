// OpenDescriptors: this process's open descriptors. Drivers of DPDK have no call that returns theirs.

import Glibc

public enum OpenDescriptors {
  /// Number of open descriptors; nil if /proc is not mounted or no descriptor is left to read it.
  public static var count: Int? {
    // Linux 6.2 and later: at once, however many there are.
    var info = stat()
    if stat("/proc/self/fd", &info) == 0, info.st_size > 0 { return info.st_size }
    let count = all().count
    return count > 0 ? count : nil
  }

  /// Descriptor numbers, ascending. Empty if they cannot be read.
  public static func all() -> [Int32] {
    guard let directory = opendir("/proc/self/fd") else { return [] }
    defer { closedir(directory) }
    let own = dirfd(directory)
    var descriptors: [Int32] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if let fd = Int32(name), fd != own { descriptors.append(fd) }
    }
    return descriptors.sorted()
  }
}
