// RuntimeFolders: the folder that DPDK makes for each process under its runtime directory, `dpdk/vtepd-PID`. We share nothing with
// other processes (--in-memory, --no-shconf), so DPDK puts nothing into it, and has no call that removes it.

import CDPDK
import Glibc

enum RuntimeFolders {
  /// Removes our own folder and those that other runs left behind.
  ///
  /// rmdir(2) takes empty folders only: a process that does keep something in its folder, and its lock on it, is left alone, in
  /// whatever PID namespace it lives; one that keeps nothing there will not miss it.
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
