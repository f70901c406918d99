// PathMTUSockets: ICMP errors about packets that are too big for their path, as the kernel receives them. Packets that a packet socket
// sends belong to no socket of the kernel's, so that it makes nothing of such errors itself (no route exception).

import CMNL
import Encap
import Glibc

/// Raw ICMP and ICMPv6 sockets of the network namespace, with filters. Not for concurrent use.
public final class PathMTUSockets {
  /// Readable (POLLIN) when errors are pending. Owned by this object. One of each address family that the kernel has.
  public private(set) var descriptors: [Int32] = []
  private var buffer = [UInt8](repeating: 0, count: 2048)

  /// Errors that one `read` takes from a socket; anybody may send them.
  private static let batch = 64

  /// - Throws: EPERM without CAP_NET_RAW.
  public init() throws(NetlinkError) {
    descriptors.append(try Self.open(AF_INET, Int32(IPPROTO_ICMP), Self.filterIPv4))
    do {
      descriptors.append(try Self.open(AF_INET6, Int32(IPPROTO_ICMPV6), Self.filterIPv6))
    } catch  where error.code == EAFNOSUPPORT || error.code == EPROTONOSUPPORT {
      // A kernel without IPv6.
    }
  }

  deinit {
    for fd in descriptors { close(fd) }
  }

  private static func open(_ family: Int32, _ protocolNumber: Int32, _ filter: BPFProgram) throws(NetlinkError) -> Int32 {
    let fd = socket(family, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), protocolNumber)
    guard fd >= 0 else { throw NetlinkError("open raw socket", subject: family == AF_INET ? "ICMP" : "ICMPv6", code: errno) }
    do throws(NetlinkError) {
      try filter.attach(toSocket: fd)
    } catch {
      close(fd)
      throw error
    }
    return fd
  }

  /// Type 3 code 4, quoting UDP. The filter sees the message from its IP header on.
  private static let filterIPv4 = {
    var code = BPFAssembler()
    code.emit(BPF_LDX | BPF_B | BPF_MSH, 0)
    appendChecks(&code, load: BPF_IND, typeAndCode: 0x0304, quotedProtocol: 8 + 9)
    return code.program()
  }()

  /// Type 2 code 0, quoting UDP. The filter sees the message from its ICMPv6 header on.
  private static let filterIPv6 = {
    var code = BPFAssembler()
    appendChecks(&code, load: BPF_ABS, typeAndCode: 0x0200, quotedProtocol: 8 + 6)
    return code.program()
  }()

  private static func appendChecks(_ code: inout BPFAssembler, load mode: Int32, typeAndCode: UInt32, quotedProtocol: UInt32) {
    let reject = code.label()
    code.emit(BPF_LD | BPF_H | mode, 0)
    code.jump(BPF_JEQ, typeAndCode, ifFalse: reject)
    code.emit(BPF_LD | BPF_B | mode, quotedProtocol)
    code.jump(BPF_JEQ, UInt32(IPPROTO_UDP), ifFalse: reject)
    code.emit(BPF_RET | BPF_K, BPFAssembler.acceptAll)
    code.place(reject)
    code.emit(BPF_RET | BPF_K, 0)
  }

  /// The sound ones of the pending errors, at most some hundred. Never blocks.
  public func read() -> [PathMTUReport] {
    var reports: [PathMTUReport] = []
    for (position, fd) in descriptors.enumerated() {
      for _ in 0..<Self.batch {
        var sender = sockaddr_in6()
        var size = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let count = withUnsafeMutablePointer(to: &sender) { pointer in
          pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { recvfrom(fd, &buffer, buffer.count, Int32(MSG_TRUNC), $0, &size) }
        }
        guard count > 0 else { break }
        // A longer one quotes more than any router does.
        guard count <= buffer.count else { continue }
        let reporter = withUnsafeBytes(of: sender.sin6_addr) { IPAddress(bytes: Array($0)) }
        let report = buffer.withUnsafeBytes { bytes in
          let message = RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
          return position == 0
            ? PathMTUReport(ipv4: message) : PathMTUReport(icmpv6: message, from: reporter ?? IPAddress(high: 0, low: 0))
        }
        if let report { reports.append(report) }
      }
    }
    return reports
  }

  /// For how long the kernel believes a path MTU, in seconds: `net.ipv4.route.mtu_expires`, `net.ipv6.route.mtu_expires`.
  public static func expirySeconds(isIPv4: Bool) -> UInt32 {
    let fd = Glibc.open("/proc/sys/net/\(isIPv4 ? "ipv4" : "ipv6")/route/mtu_expires", O_RDONLY | O_CLOEXEC)
    guard fd >= 0 else { return defaultExpirySeconds }
    defer { close(fd) }
    var text = [UInt8](repeating: 0, count: 32)
    let count = Glibc.read(fd, &text, text.count)
    guard count > 0 else { return defaultExpirySeconds }
    return UInt32(String(decoding: text[..<count], as: UTF8.self).prefix { $0.isNumber }) ?? defaultExpirySeconds
  }

  private static let defaultExpirySeconds: UInt32 = 600
}
