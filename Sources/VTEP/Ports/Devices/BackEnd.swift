// BackEnd: the process behind the socket of a virtio-user port, until it answers. DPDK's driver waits for it without end: as a server
// until one connects, and in either role for each answer. So the socket is ours, and the back end gets a first question from us. When it
// has answered, the driver is told to connect, and what it gets is this connection, with a limit on how long it waits.

import CDPDK
import Glibc
import Synchronization

/// For the reconciler's thread only.
final class BackEnd: Sendable {
  enum Look: Equatable {
    /// Nobody is connected, or has not answered yet.
    case silent
    case answered
    /// It has to be connected to anew, for the reason given if it is worth a word.
    case gone(String?)
  }

  /// Looks after which a back end is called silent: a second.
  private static let patience = 5
  /// How long the driver waits for an answer, in seconds.
  private static let answerSeconds = 1
  /// VHOST_USER_GET_FEATURES of version 1, which changes nothing: request, flags and size of the payload, 32 bits each.
  private static let question: [UInt32] = [1, 1, 0]
  /// The same with the flag of an answer, and eight octets of payload.
  private static let answer: [UInt32] = [1, 1 | 4, 8]
  private static let answerByteCount = 20

  private let path: String
  private let arguments: String
  private let queues: Int
  private let subject: String
  /// -1: the port connects.
  private let listener: Int32
  /// -1: there is none.
  private let connection = Atomic<Int32>(-1)
  private let silentLooks = Atomic<Int>(0)

  /// Listens at the path, or connects to who does.
  ///
  /// - Parameter arguments: of DPDK's driver, without path and role.
  /// - Returns: nil if nobody listens, or has no room for connections.
  /// - Throws: `.refused`.
  init?(_ path: String, isServer: Bool, arguments: String, queues: Int, subject: String) throws(VTEPError) {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
    var code = descriptor < 0 ? errno : 0
    if code == 0, UnixSocketPath.withAddress(path, { isServer ? bind(descriptor, $0, $1) : connect(descriptor, $0, $1) }) != 0 {
      code = errno
    }
    if code == 0, isServer, listen(descriptor, 1) != 0 { code = errno }
    if code != 0, descriptor >= 0 { Glibc.close(descriptor) }
    if !isServer, [ENOENT, ECONNREFUSED, EAGAIN].contains(code) { return nil }
    guard code == 0 else {
      throw VTEPError(
        .refused, "\(subject): \(isServer ? "listen at" : "connect to") \(path)", VTEPError.errnoText(code),
        remedy: code == EPROTOTYPE ? "name the socket of a vhost-user back end" : "change the permissions of the path, or name another one")
    }
    self.path = path
    self.arguments = "\(arguments),path=\(path)"
    self.queues = queues
    self.subject = subject
    listener = isServer ? descriptor : -1
    if !isServer { ask(descriptor) }
  }

  /// What an operator should know.
  var remark: String? {
    silentLooks.load(ordering: .relaxed) >= Self.patience ? "the back end at \(path) is connected and does not answer" : nil
  }

  private func ask(_ descriptor: Int32) {
    replaceConnection(descriptor)
    // What cannot be sent is not answered either.
    Self.question.withUnsafeBytes { _ = send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
  }

  private func replaceConnection(_ descriptor: Int32) {
    let old = connection.exchange(descriptor, ordering: .relaxed)
    if old >= 0 { Glibc.close(old) }
    silentLooks.store(0, ordering: .relaxed)
  }

  /// Looks whether somebody has connected, or has answered.
  func look() -> Look {
    if listener >= 0 {
      // The latest counts: an earlier one that is silent keeps nobody off.
      let new = accept(listener, nil, nil)
      if new >= 0 {
        _ = fcntl(new, F_SETFD, FD_CLOEXEC)
        _ = fcntl(new, F_SETFL, O_NONBLOCK)
        ask(new)
      }
    }
    let descriptor = connection.load(ordering: .relaxed)
    guard descriptor >= 0 else { return .silent }
    var octets = [UInt8](repeating: 0, count: Self.answerByteCount)
    let count = recv(descriptor, &octets, octets.count, Int32(MSG_PEEK))
    if count == 0 || count < 0 && errno != EAGAIN {
      replaceConnection(-1)
      return listener >= 0 ? .silent : .gone(nil)
    }
    guard count == octets.count else {
      silentLooks.add(1, ordering: .relaxed)
      return .silent
    }
    guard Self.answer.withUnsafeBytes({ octets.starts(with: $0) }) else {
      return .gone("\(subject): \(path): the other side does not speak vhost-user; name the socket of a vhost-user back end")
    }
    _ = recv(descriptor, &octets, octets.count, 0)
    return .answered
  }

  /// Opens the device of a back end that has answered.
  func open(_ runtime: DPDKRuntime) throws(VTEPError) -> EthernetDevice {
    let descriptor = connection.exchange(-1, ordering: .relaxed)
    defer { Glibc.close(descriptor) }
    _ = fcntl(descriptor, F_SETFL, 0)
    var limit = timeval(tv_sec: Self.answerSeconds, tv_usec: 0)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      _ = setsockopt(descriptor, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
    }
    var device = try DriverConnections.handing(descriptor) { () throws(VTEPError) in
      try EthernetDevice.open(
        driver: "net_virtio_user", arguments: arguments, queues: queues, runtime: runtime, subject: subject,
        remedy: "see the preceding log lines")
    }
    device.backEnd = self
    return device
  }

  /// Ends all but what the driver has.
  func close() {
    replaceConnection(-1)
    guard listener >= 0 else { return }
    Glibc.close(listener)
    UnixSocketPath.removeIfAbandoned(path)
  }
}

/// How drivers connect to unix sockets: never so that they wait.
enum DriverConnections {
  fileprivate typealias Connect = @convention(c) (Int32, UnsafePointer<sockaddr>?, socklen_t) -> Int32

  /// A connection that the thread gets with its next call, in place of one of its own.
  private static let handed = Mutex<(thread: pthread_t, descriptor: Int32)?>(nil)

  /// The C library's function.
  fileprivate static let connect = nextFunction("connect", as: Connect.self)

  /// Hands a connection to the driver that `open` has connect.
  static func handing<Opened>(_ descriptor: Int32, _ open: () throws(VTEPError) -> Opened) throws(VTEPError) -> Opened {
    handed.withLock { $0 = (pthread_self(), descriptor) }
    defer { handed.withLock { $0 = nil } }
    return try open()
  }

  fileprivate static func take() -> Int32? {
    handed.withLock { handed in
      guard handed?.thread == pthread_self() else { return nil }
      defer { handed = nil }
      return handed?.descriptor
    }
  }
}

/// The C library's function of that name, for every caller in this process.
@_cdecl("connect")
public func connectWithoutWaiting(_ descriptor: Int32, _ address: UnsafePointer<sockaddr>?, _ length: socklen_t) -> Int32 {
  guard address?.pointee.sa_family == sa_family_t(AF_UNIX) else { return DriverConnections.connect(descriptor, address, length) }
  if let handed = DriverConnections.take() {
    guard dup2(handed, descriptor) >= 0 else { return -1 }
    return fcntl(descriptor, F_SETFD, FD_CLOEXEC)
  }
  // Where nobody takes connections any more, the kernel waits for room.
  let flags = fcntl(descriptor, F_GETFL)
  guard flags >= 0, flags & O_NONBLOCK == 0 else { return DriverConnections.connect(descriptor, address, length) }
  _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
  let result = DriverConnections.connect(descriptor, address, length)
  let code = errno
  _ = fcntl(descriptor, F_SETFL, flags)
  errno = code
  return result
}
