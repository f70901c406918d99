// LocalServer: a real ovsdb-server on a Unix socket, and a session with it over blocking I/O.

import Glibc
import Testing

@testable import OVSDBClient

/// Runs a shell command; throws unless it succeeds.
@discardableResult
private func shell(_ command: String) throws -> String {
  guard let pipe = popen(command + " 2>&1", "r") else { throw LocalServer.Failure(text: "\(command): errno \(errno)") }
  var output: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 4096)
  while case let count = fread(&buffer, 1, buffer.count, pipe), count > 0 { output += buffer[..<count] }
  let text = String(decoding: output, as: UTF8.self)
  guard pclose(pipe) == 0 else { throw LocalServer.Failure(text: "\(command): \(text)") }
  return text
}

final class LocalServer {
  struct Failure: Error, CustomStringConvertible {
    var text: String
    var description: String { text }
  }

  static let schema = "/usr/share/openvswitch/vtep.ovsschema"
  static let isInstalled = access(schema, R_OK) == 0 && (try? shell("command -v ovsdb-server ovsdb-tool ovsdb-client vtep-ctl")) != nil
  static let isMissing: Comment = "SKIPPED: needs the packages openvswitch-common and openvswitch-vtep"

  let folder: String
  var remote: String { "unix:\(folder)/socket" }

  /// - Parameter isClustered: a cluster of one, which remembers its transactions.
  init(isClustered: Bool = false) throws {
    var template = Array("/tmp/vtovs.XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Failure(text: "mkdtemp: errno \(errno)") }
    folder = String(decoding: template.dropLast().map(UInt8.init), as: UTF8.self)
    let create = isClustered ? "create-cluster \(folder)/db \(Self.schema) unix:\(folder)/raft" : "create \(folder)/db \(Self.schema)"
    try shell("ovsdb-tool \(create)")
    try start()
  }

  deinit {
    stop()
    _ = try? shell("rm -rf \(folder)")
  }

  func start() throws {
    try shell(
      "ovsdb-server --detach --no-chdir -vconsole:off --log-file=\(folder)/log --pidfile=\(folder)/pid --unixctl=\(folder)/control --remote=p\(remote) \(folder)/db"
    )
    try shell("ovsdb-client -t 30 wait \(remote) hardware_vtep connected")
  }

  func stop() {
    // Until it is gone, it holds the database's lock.
    _ = try? shell(
      "pid=$(cat \(folder)/pid) && kill -9 $pid && while readlink -e /proc/$pid/exe >/dev/null; do sleep 0.02; done; rm -f \(folder)/pid \(folder)/socket"
    )
  }

  /// Changes the schema's text and converts the running database to it.
  func convert(replacing text: String, with other: String) throws {
    try shell("sed 's/\(text)/\(other)/' \(Self.schema) >\(folder)/schema && ovsdb-client -t 30 convert \(remote) \(folder)/schema")
  }

  /// Runs `vtep-ctl` on the database.
  @discardableResult
  func control(_ arguments: String) throws -> String { try shell("vtep-ctl -t 30 --db=\(remote) \(arguments)") }
}

/// A session with a server.
struct Conversation {
  var session: Session
  private(set) var events: [SessionEvent] = []
  private var descriptor: Int32 = -1

  init(_ configuration: SessionConfiguration = SessionConfiguration(database: HardwareVTEP.database)) {
    session = Session(configuration)
  }

  mutating func connect(to server: LocalServer) throws {
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: "\(server.folder)/socket".utf8) }
    let code = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
    guard code == 0 else { throw LocalServer.Failure(text: "connect: errno \(errno)") }
    session.opened(now: .now)
    try wait { $0.session.isReady }
  }

  mutating func close(_ reason: String) {
    Glibc.close(descriptor)
    events += session.closed(reason, now: .now)
  }

  /// Carries bytes until the condition holds.
  mutating func wait(_ condition: (Conversation) throws -> Bool) throws {
    let deadline = ContinuousClock.now.advanced(by: .seconds(60))
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let output = session.takeOutput()
      guard write(descriptor, output, output.count) == output.count else { throw LocalServer.Failure(text: "write: errno \(errno)") }
      if try condition(self) { return }
      var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard ContinuousClock.now < deadline else { throw LocalServer.Failure(text: "timed out") }
      guard poll(&entry, 1, 1000) > 0 else { continue }
      let count = read(descriptor, &buffer, buffer.count)
      guard count > 0 else { throw LocalServer.Failure(text: "the server has hung up") }
      events += session.receive(buffer[..<count], now: .now)
      if let failure = events.compactMap(\.failure).first { throw failure }
    }
  }

  /// Sends a transaction and waits for its answer.
  mutating func transact(_ operations: [OVSDBOperation]) throws -> Result<[OperationResult], OVSDBError> {
    let id = try session.transact(operations)
    return try outcome(of: id)
  }

  /// Waits for the answer to a transaction.
  mutating func outcome(of id: RequestID) throws -> Result<[OperationResult], OVSDBError> {
    func find(_ events: [SessionEvent]) -> Result<[OperationResult], OVSDBError>? {
      for case .transaction(id, let outcome) in events { return outcome }
      return nil
    }
    try wait { find($0.events) != nil }
    return try #require(find(events))
  }
}
