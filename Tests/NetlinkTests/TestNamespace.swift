// TestNamespace: a network namespace that lives as long as the value, and commands such as `ip` in it. Works without Foundation,
// whose helper threads would stay in the namespace of the thread that happens to start them.

import Glibc
import Testing

@_silgen_name("setns") private func setns(_ fd: Int32, _ type: Int32) -> Int32

/// True when tests may create network namespaces.
let isRoot = geteuid() == 0
let needsRoot: Comment = "SKIPPED: needs root, to create network namespaces"

struct CommandFailure: Error, CustomStringConvertible {
  var description: String
}

final class TestNamespace {
  private static nonisolated(unsafe) var count = 0
  private static nonisolated(unsafe) var lock = pthread_mutex_t()

  let name: String

  init() throws {
    pthread_mutex_lock(&Self.lock)
    Self.count += 1
    name = "vtnl\(getpid())-\(Self.count)"
    pthread_mutex_unlock(&Self.lock)
    try shell("ip netns add \(name)")
    try ip("link set lo up")
  }

  deinit { _ = try? shell("ip netns del \(name)") }

  /// Runs `ip -n NAME ARGUMENTS`; arguments are separated by spaces.
  @discardableResult
  func ip(_ arguments: String) throws -> String { try shell("ip -n \(name) \(arguments)") }

  /// Runs a program in the namespace.
  @discardableResult
  func exec(_ command: String) throws -> String { try shell("ip netns exec \(name) \(command)") }

  /// Runs `body` with the calling thread in the namespace: sockets it opens stay there. `body` must not suspend.
  func run<Value>(_ body: () throws -> Value) throws -> Value {
    let home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
    let there = open("/run/netns/\(name)", O_RDONLY | O_CLOEXEC)
    defer {
      close(there)
      if setns(home, 0) != 0 { fatalError("cannot return to the home namespace") }
      close(home)
    }
    guard setns(there, 0) == 0 else { throw CommandFailure(description: "setns \(name): errno \(errno)") }
    return try body()
  }

  /// Connects `end` here with `otherEnd` in another namespace by a veth pair; both ends up.
  func connect(_ end: String, to other: TestNamespace, _ otherEnd: String) throws {
    try ip("link add \(end) type veth peer name \(otherEnd) netns \(other.name)")
    try ip("link set \(end) up")
    try other.ip("link set \(otherEnd) up")
  }

  /// Adds addresses in CIDR notation; IPv6 ones are usable at once.
  func address(_ addresses: String..., on interface: String) throws {
    for address in addresses {
      try ip("addr add \(address) dev \(interface)" + (address.contains(":") ? " nodad" : ""))
    }
  }
}

/// Runs a command whose words are separated by spaces, and waits for it.
/// - Returns: its standard output and standard error.
@discardableResult
func shell(_ command: String) throws -> String {
  var ends: [Int32] = [0, 0]
  guard pipe(&ends) == 0 else { throw CommandFailure(description: "pipe: errno \(errno)") }
  for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  defer { posix_spawn_file_actions_destroy(&actions) }
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
  posix_spawn_file_actions_adddup2(&actions, ends[1], 2)
  var arguments = command.split(separator: " ").map { strdup(String($0)) }
  arguments.append(nil)
  var environment = [strdup("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), nil]
  defer { for string in arguments + environment { free(string) } }
  var child: pid_t = 0
  let code = posix_spawnp(&child, arguments[0]!, &actions, nil, &arguments, &environment)
  close(ends[1])
  defer { close(ends[0]) }
  guard code == 0 else { throw CommandFailure(description: "\(command): errno \(code)") }

  var output: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 4096)
  while true {
    let count = read(ends[0], &chunk, chunk.count)
    if count > 0 { output += chunk[..<count] } else if count == 0 || errno != EINTR { break }
  }
  var status: Int32 = 0
  while waitpid(child, &status, 0) < 0 && errno == EINTR {}
  let text = String(decoding: output, as: UTF8.self)
  guard status == 0 else { throw CommandFailure(description: "\(command): status \(status): \(text)") }
  return text
}

/// Waits until `condition` holds.
/// - Returns: false if it does not within a generous time.
func eventually(seconds: Int = 30, _ condition: () throws -> Bool) rethrows -> Bool {
  for _ in 0..<(seconds * 50) {
    if try condition() { return true }
    usleep(20_000)
  }
  return false
}

/// Calls `body` with the path of a file with this content.
func withTemporaryFile(_ content: String, _ body: (String) throws -> Void) throws {
  var path = Array("/tmp/vtnlXXXXXX".utf8CString)
  let fd = mkstemp(&path)
  guard fd >= 0 else { throw CommandFailure(description: "mkstemp: errno \(errno)") }
  let name = String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  defer {
    close(fd)
    unlink(name)
  }
  let bytes = Array(content.utf8)
  guard write(fd, bytes, bytes.count) == bytes.count else { throw CommandFailure(description: "write: errno \(errno)") }
  try body(name)
}
