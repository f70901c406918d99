// RuntimeFolders: the folder that DPDK creates for each process under its runtime directory, `dpdk/vtepd-PID`. The daemon shares
// nothing with other processes (--in-memory, --no-shconf), so the folder stays empty, but DPDK has no call to remove it.

import CDPDK
import Glibc

enum RuntimeFolders {
  /// Removes this process's folder and those left behind by other runs.
  ///
  /// rmdir(2) removes only empty folders. A process that keeps something in its folder is not affected, whatever its PID namespace;
  /// a process that keeps nothing there does not need it.
  static func remove() {
    guard let own = rte_eal_get_runtime_dir().map({ String(cString: $0) }), let slash = own.lastIndex(of: "/") else { return }
    let parent = String(own[..<slash])
    guard let directory = opendir(parent) else { return }
    defer { closedir(directory) }
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if isOurs(name) { rmdir("\(parent)/\(name)") }
    }
  }

  static let prefix = "vtepd-"

  private static func isOurs(_ name: String) -> Bool {
    name.hasPrefix(prefix) && name != prefix && name.dropFirst(prefix.count).allSatisfy { ("0"..."9").contains($0) }
  }
}
