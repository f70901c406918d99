// The back end of a virtio-user port, until the driver gets the connection: one that is late, silent, odd or gone keeps nobody waiting.

import Encap
import Glibc
import Testing

@testable import VTEP

@Suite("Back ends")
struct BackEndTests {
  private static func socketPath(_ name: String) -> String {
    let path = "/tmp/vtep-back-end-\(getpid())-\(name).sock"
    unlink(path)
    return path
  }

  /// A stream socket of the other side, which does not block.
  private static func connected(to path: String) throws -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
    try #require(UnixSocketPath.withAddress(path) { connect(descriptor, $0, $1) } == 0)
    return descriptor
  }

  private static func listening(at path: String, type: __socket_type = SOCK_STREAM) throws -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(type.rawValue | SOCK_NONBLOCK.rawValue), 0)
    try #require(UnixSocketPath.withAddress(path) { bind(descriptor, $0, $1) } == 0)
    try #require(listen(descriptor, 0) == 0)
    return descriptor
  }

  private static func make(_ path: String, isServer: Bool) throws -> BackEnd? {
    try BackEnd(path, isServer: isServer, arguments: "", queues: 1, subject: "port v")
  }

  private static func words(_ descriptor: Int32) -> [UInt32] {
    var words = [UInt32](repeating: 0, count: 8)
    let count = recv(descriptor, &words, 32, 0)
    return Array(words.prefix(max(count, 0) / 4))
  }

  private static func say(_ words: [UInt32], _ descriptor: Int32) {
    words.withUnsafeBytes { _ = send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
  }

  @Test func aServerWaitsForABackEndThatAnswers() throws {
    let path = Self.socketPath("server")
    let backEnd = try #require(try Self.make(path, isServer: true))
    #expect(backEnd.look() == .silent && backEnd.remark == nil, "nobody is there")
    // One that comes and goes, one that is silent, and the one that counts.
    close(try Self.connected(to: path))
    #expect(backEnd.look() == .silent)
    let silent = try Self.connected(to: path)
    for _ in 0..<6 { #expect(backEnd.look() == .silent) }
    #expect(backEnd.remark == "the back end at \(path) is connected and does not answer")
    let good = try Self.connected(to: path)
    #expect(backEnd.look() == .silent && backEnd.remark == nil)
    var octet: UInt8 = 0
    #expect(Self.words(silent) == [1, 1, 0] && recv(silent, &octet, 1, 0) == 0, "the silent one is let go")
    #expect(Self.words(good) == [1, 1, 0], "VHOST_USER_GET_FEATURES")
    Self.say([1, 5, 8], good)
    #expect(backEnd.look() == .silent, "half an answer")
    Self.say([0x4000_0000, 1], good)
    #expect(backEnd.look() == .answered)
    backEnd.close()
    #expect(UnixSocketPath.isMissing(path))
    close(silent)
    close(good)
  }

  @Test func aClientConnectsToWhoIsThere() throws {
    let path = Self.socketPath("client")
    #expect(try Self.make(path, isServer: false) == nil, "nobody is there")
    let listener = try Self.listening(at: path)
    let first = try #require(try Self.make(path, isServer: false))
    #expect(first.look() == .silent)
    #expect(try Self.make(path, isServer: false) == nil, "there is no room for a second connection")
    let peer = accept(listener, nil, nil)
    #expect(Self.words(peer) == [1, 1, 0])
    Self.say([1, 5, 8, 1, 1], peer)
    #expect(first.look() == .answered)
    close(peer)
    #expect(first.look() == .gone(nil))
    first.close()
    let second = try #require(try Self.make(path, isServer: false))
    let other = accept(listener, nil, nil)
    Self.say([0x5353_4820, 0x302e_3220, 1, 2, 3], other)
    guard case .gone(let reason?) = second.look() else {
      Issue.record("another protocol is refused")
      return
    }
    #expect(reason.contains("does not speak vhost-user"))
    second.close()
    for descriptor in [other, listener] { close(descriptor) }
    unlink(path)
  }

  @Test func whatIsNoBackEndsSocketIsRefused() throws {
    let path = Self.socketPath("packets")
    let listener = try Self.listening(at: path, type: SOCK_SEQPACKET)
    let error = #expect(throws: VTEPError.self) { try Self.make(path, isServer: false) }
    #expect(error?.remedy == "name the socket of a vhost-user back end")
    close(listener)
    unlink(path)
  }

  /// Drivers connect with blocking sockets, for which the kernel waits until there is room.
  @Test func connectingNeverWaits() throws {
    let path = Self.socketPath("full")
    let listener = try Self.listening(at: path)
    let first = try Self.connected(to: path)
    let second = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    #expect(UnixSocketPath.withAddress(path) { connect(second, $0, $1) } == -1 && errno == EAGAIN)
    #expect(fcntl(second, F_GETFL) & O_NONBLOCK == 0)
    for descriptor in [first, second, listener] { close(descriptor) }
    unlink(path)
  }
}
