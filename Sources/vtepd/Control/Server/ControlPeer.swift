// ControlPeer: the client of a control connection, as the kernel recorded it at connection time (unix(7)).

import Glibc
import NIOCore

/// A client's user and groups.
struct ControlPeer: Equatable, Sendable {
  /// Effective.
  var user: uid_t
  /// The effective one and the supplementary ones.
  var groups: [gid_t]
  /// 0: it is not visible from the daemon's process namespace.
  var process: pid_t

  init(user: uid_t, groups: [gid_t], process: pid_t = 0) {
    self.user = user
    self.groups = groups
    self.process = process
  }

  /// - Throws: when the kernel does not report it.
  init(of channel: any Channel) async throws {
    guard let options = channel as? any SocketOptionProvider else { throw ChannelError.operationUnsupported }
    let credentials: Credentials = try await options.unsafeGetSocketOption(level: .socket, name: .peerCredentials).get()
    self.init(
      user: credentials.user, groups: [credentials.group] + (try await Self.groups(options)), process: credentials.process)
  }

  /// Few groups are the rule, and a client costs what is read into, several times.
  private static func groups(_ options: any SocketOptionProvider) async throws -> [gid_t] {
    do {
      return try await options.unsafeGetSocketOption(level: .socket, name: .peerGroups).map { (groups: Groups<64>) in groups.list }.get()
    } catch let error as IOError where error.errnoCode == ERANGE {
      // As many as the kernel allows (NGROUPS_MAX).
      return try await options.unsafeGetSocketOption(level: .socket, name: .peerGroups).map { (groups: Groups<65536>) in groups.list }
        .get()
    }
  }

  /// A user's name; nil when the system has none.
  static func name(of user: uid_t) -> String? {
    var entry = passwd()
    var found: UnsafeMutablePointer<passwd>?
    var buffer = [CChar](repeating: 0, count: 1 << 14)
    guard getpwuid_r(user, &entry, &buffer, buffer.count, &found) == 0, found != nil else { return nil }
    return String(cString: entry.pw_name)
  }

  /// Who is answerable for what the client asks for. Its command line is what it says of itself.
  var origin: ChangeOrigin { .process(process, user: user) }

  /// `struct ucred`, which <sys/socket.h> declares only with _GNU_SOURCE.
  private struct Credentials {
    var process: pid_t
    var user: uid_t
    var group: gid_t
  }

  /// What the kernel leaves is zero, which is the group of a user who needs no group.
  private struct Groups<let capacity: Int> {
    var identifiers: InlineArray<capacity, gid_t>

    var list: [gid_t] {
      identifiers.indices.lazy.map { identifiers[$0] }.filter { $0 != 0 }
    }
  }
}

extension NIOBSDSocket.Option {
  fileprivate static let peerCredentials = Self(rawValue: SO_PEERCRED)
  fileprivate static let peerGroups = Self(rawValue: SO_PEERGROUPS)
}

extension ChangeOrigin {
  private static let commandByteCount = 200

  /// A process, by its number and user.
  static func process(_ process: pid_t, user: uid_t) -> ChangeOrigin {
    ChangeOrigin(
      uid: user, user: ControlPeer.name(of: user), process: process > 0 ? process : nil, command: process > 0 ? command(of: process) : nil)
  }

  /// The beginning of the command line of a process; nil: it cannot be read, e.g. because of `ProtectProc=` in our unit.
  private static func command(of process: pid_t) -> String? {
    let descriptor = open("/proc/\(process)/cmdline", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: commandByteCount)
    let count = read(descriptor, &bytes, bytes.count)
    guard count > 0 else { return nil }
    let words = bytes[..<count].split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    return words.joined(separator: " ") + (count == commandByteCount ? " …" : "")
  }
}
