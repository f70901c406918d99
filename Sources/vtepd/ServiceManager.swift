// ServiceManager: reports the daemon's state to systemd (or to whoever set NOTIFY_SOCKET), and has it keep the descriptors of taps while no
// daemon runs. sd_notify(3), sd_pid_notify_with_fds(3), sd_listen_fds(3).

import Glibc
import VTEP

enum ServiceManager {
  /// Sends a state such as "READY=1". Does nothing if no service manager asked for it.
  ///
  /// - Parameter descriptors: copies for the service manager; 253 at most.
  /// - Returns: whether it was sent.
  @discardableResult
  static func notify(_ state: String, descriptors: [Int32] = []) -> Bool {
    guard let path = getenv("NOTIFY_SOCKET").map({ String(cString: $0) }), !path.isEmpty else { return false }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    // A leading @ means the abstract namespace.
    let bytes = path.utf8.enumerated().map { $0.offset == 0 && $0.element == UInt8(ascii: "@") ? 0 : $0.element }
    guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return false }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var text = Array(state.utf8)
    return withUnsafeMutablePointer(to: &address) { address in
      text.withUnsafeMutableBytes { text in
        var place = iovec(iov_base: text.baseAddress, iov_len: text.count)
        return withUnsafeMutablePointer(to: &place) { place in
          let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
          var message = msghdr(
            msg_name: address, msg_namelen: length, msg_iov: place, msg_iovlen: 1, msg_control: nil, msg_controllen: 0, msg_flags: 0)
          return send(&message, descriptors, through: descriptor)
        }
      }
    }
  }

  private static func send(_ message: inout msghdr, _ descriptors: [Int32], through socket: Int32) -> Bool {
    guard !descriptors.isEmpty else { return sendmsg(socket, &message, Int32(MSG_NOSIGNAL)) >= 0 }
    // CMSG_LEN and CMSG_SPACE.
    let header = MemoryLayout<cmsghdr>.stride
    let octets = descriptors.count * MemoryLayout<Int32>.stride
    let space = header + (octets + 7) / 8 * 8
    return withUnsafeTemporaryAllocation(byteCount: space, alignment: MemoryLayout<cmsghdr>.alignment) { memory in
      memory.initializeMemory(as: UInt8.self, repeating: 0)
      var first = cmsghdr()
      (first.cmsg_len, first.cmsg_level, first.cmsg_type) = (header + octets, SOL_SOCKET, Int32(SCM_RIGHTS))
      memory.storeBytes(of: first, as: cmsghdr.self)
      for (index, descriptor) in descriptors.enumerated() {
        memory.storeBytes(of: descriptor, toByteOffset: header + index * MemoryLayout<Int32>.stride, as: Int32.self)
      }
      (message.msg_control, message.msg_controllen) = (memory.baseAddress, space)
      return sendmsg(socket, &message, Int32(MSG_NOSIGNAL)) >= 0
    }
  }

  // -- taps --------------------------------------------------------------------------------------------------------------

  /// Of names of descriptors: what follows is the tap's.
  private static let prefix = "tap-"

  /// Taps outlive the daemon under systemd, which closes them when the service is stopped and not restarted.
  static let tapStore: TapStore = {
    let left = takeDescriptors()
    guard getenv("NOTIFY_SOCKET") != nil else { return TapStore(left: left) }
    return TapStore(
      left: left,
      keep: { device, descriptors in
        guard isName(device), descriptors.count <= 253 else { return false }
        return notify("FDSTORE=1\nFDNAME=\(prefix)\(device)", descriptors: descriptors)
      },
      drop: { device in notify("FDSTOREREMOVE=1\nFDNAME=\(prefix)\(device)") })
  }()

  /// What systemd takes for the name of a descriptor.
  private static func isName(_ device: String) -> Bool {
    !device.isEmpty && device.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: ":") }
  }

  /// Descriptors that an earlier run has left, by the names of taps.
  private static func takeDescriptors() -> [String: [Int32]] {
    func number(_ name: String) -> Int32? { getenv(name).flatMap { Int32(String(cString: $0)) } }
    guard number("LISTEN_PID") == getpid(), let count = number("LISTEN_FDS"), (1...65_536).contains(count) else { return [:] }
    let names = getenv("LISTEN_FDNAMES").map { String(cString: $0).split(separator: ":", omittingEmptySubsequences: false) } ?? []
    // Not for our children.
    for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { unsetenv(name) }
    var left: [String: [Int32]] = [:]
    for index in 0..<count {
      let descriptor = 3 + index
      _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
      let name = Int(index) < names.count ? names[Int(index)] : ""
      guard name.hasPrefix(prefix) else {
        close(descriptor)
        continue
      }
      left[String(name.dropFirst(prefix.count)), default: []].append(descriptor)
    }
    return left
  }
}
