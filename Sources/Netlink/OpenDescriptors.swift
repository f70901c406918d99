// OpenDescriptors: the descriptors this process has open. DPDK's af_packet and tap drivers keep theirs to themselves, and
// have no call to hand them out.

import Glibc

enum OpenDescriptors {
  /// Descriptor numbers, ascending. Empty when /proc is not mounted.
  static func all() -> [Int32] {
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
