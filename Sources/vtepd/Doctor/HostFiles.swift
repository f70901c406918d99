// HostFiles: the kernel's files under /proc and /sys, as text and numbers. What cannot be read is nil or empty.

import Glibc

enum HostFiles {
  /// Longest text that is read, in bytes: /proc/net/udp of a busy host is long.
  private static let byteLimit = 1 << 22

  static func text(_ path: String) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 16384)
    while bytes.count < byteLimit {
      let count = read(descriptor, &block, block.count)
      guard count >= 0 else { return nil }
      if count == 0 { break }
      bytes += block[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  static func lines(_ path: String) -> [Substring] { (text(path) ?? "").split(separator: "\n") }

  /// A file with one word.
  static func word(_ path: String) -> String? {
    text(path).flatMap { $0.split(whereSeparator: \.isWhitespace).first.map(String.init) }
  }

  static func number(_ path: String) -> Int? { word(path).flatMap { Int($0) } }

  /// The value of a line `Key: value`.
  static func value(_ key: String, in path: String) -> String? {
    lines(path).first { $0.hasPrefix(key + ":") }.map { line in
      String(line.dropFirst(key.utf8.count + 1)).split(whereSeparator: \.isWhitespace).first.map(String.init) ?? ""
    }
  }

  /// Names in a folder; nil: it cannot be read.
  static func names(_ path: String) -> [String]? {
    guard let folder = opendir(path) else { return nil }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names
  }

  static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// What a symbolic link points to.
  static func target(_ path: String) -> String? {
    var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink(path, &bytes, bytes.count)
    return count > 0 ? String(decoding: bytes.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
  }

  /// The last component of what a symbolic link points to.
  static func targetName(_ path: String) -> String? { target(path)?.split(separator: "/").last.map(String.init) }

  /// errno of opening a file; 0: it can be opened.
  static func openingError(_ path: String, _ flags: Int32) -> Int32 {
    let descriptor = open(path, flags | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return errno }
    close(descriptor)
    return 0
  }

  /// errno of access with the rights that this process has now; 0: it may read and write.
  static func accessError(_ path: String) -> Int32 { faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == 0 ? 0 : errno }

  /// Inodes of the sockets of a process; nil: they cannot be seen.
  static func socketInodes(process: String) -> Set<String>? {
    names("/proc/\(process)/fd").map { descriptors in
      Set(
        descriptors.compactMap { descriptor -> String? in
          guard let target = target("/proc/\(process)/fd/\(descriptor)"), target.hasPrefix("socket:[") else { return nil }
          return String(target.dropFirst(8).dropLast())
        })
    }
  }

  /// Inodes of the UDP sockets that are bound to a port, from the text of /proc/net/udp or udp6: columns sl, local_address, …, inode (the
  /// tenth).
  static func inodes(udpPort: UInt16, in text: String) -> [String] {
    text.split(separator: "\n").dropFirst().compactMap { line in
      let words = line.split(whereSeparator: \.isWhitespace)
      guard words.count >= 10, let port = words[1].split(separator: ":").last, UInt16(port, radix: 16) == udpPort else { return nil }
      return String(words[9])
    }
  }

  /// One of ethtool's values that are on or off, by its ETHTOOL_G… command; nil: the interface has none.
  static func ethtool(_ interface: String, _ command: UInt32) -> UInt32? {
    let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    // struct ethtool_value, and struct ifreq: the name and a pointer to it.
    var value = (command, UInt32(0))
    var request = [UInt8](repeating: 0, count: 40)
    for (index, byte) in interface.utf8.prefix(15).enumerated() { request[index] = byte }
    let code = withUnsafeMutablePointer(to: &value) { pointer in
      request.withUnsafeMutableBytes { bytes in
        bytes.storeBytes(of: UInt(bitPattern: pointer), toByteOffset: 16, as: UInt.self)
        return bytes.baseAddress.map { ioctl(descriptor, siocethtool, $0) } ?? -1
      }
    }
    return code == 0 ? value.1 : nil
  }

  private static let siocethtool: UInt = 0x8946
}
