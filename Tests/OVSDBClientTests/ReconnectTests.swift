// ReconnectTests: connections that come and go, with a clock that only the test advances.

import Testing

@testable import OVSDBClient

@Suite struct ReconnectTests {
  private static let one = Remote(.unix(path: "/a"))
  private static let two = Remote(.unix(path: "/b"))
  private static let three = Remote(.unix(path: "/c"))

  @Test func pausesDoubleFromOneToEight() {
    var machine = Reconnect([Self.one], now: 100)
    var now = 100.0
    var pauses: [Double] = []
    #expect(machine.status(now: now)[0].state == .void)
    for _ in 0..<6 {
      #expect(machine.next(now: now) == .connect(Self.one))
      #expect(machine.status(now: now)[0].state == .connecting)
      machine.ended(.failed("refused"), now: now)
      guard case .wait(let until) = machine.next(now: now) else { return #expect(Bool(false), "no pause") }
      #expect(machine.status(now: now)[0].state == .backoff)
      #expect(machine.status(now: now)[0].lastError == "refused")
      // Not a moment earlier.
      #expect(machine.next(now: until - 0.001) == .wait(until: until))
      pauses.append(until - now)
      now = until
    }
    #expect(pauses == [1, 2, 4, 8, 8, 8])
  }

  @Test func theLongestPauseIsConfigurable() {
    var machine = Reconnect([Self.one], longestPause: 3, now: 0)
    var now = 0.0
    var pauses: [Double] = []
    for _ in 0..<4 {
      _ = machine.next(now: now)
      machine.ended(.failed("refused"), now: now)
      guard case .wait(let until) = machine.next(now: now) else { return #expect(Bool(false), "no pause") }
      pauses.append(until - now)
      now = until
    }
    #expect(pauses == [1, 2, 3, 3])
  }

  @Test func aWorkingConnectionResetsThePause() {
    var machine = Reconnect([Self.one], now: 0)
    var now = 0.0
    for _ in 0..<4 {
      _ = machine.next(now: now)
      machine.ended(.failed("refused"), now: now)
      now += 8
    }
    // Connected, but the database was not replicated: the pause stays long.
    _ = machine.next(now: now)
    machine.connected(now: now)
    #expect(machine.status(now: now)[0].state == .active)
    machine.ended(.failed("closed"), now: now + 100)
    #expect(machine.next(now: now + 100) == .wait(until: now + 108))
    now += 108
    _ = machine.next(now: now)
    machine.connected(now: now)
    machine.becameUseful(now: now)
    #expect(machine.status(now: now)[0].lastError == nil)
    machine.ended(.failed("closed"), now: now + 3)
    #expect(machine.next(now: now + 3) == .wait(until: now + 11), "it did not live as long as the pause before it")
    now += 11
    _ = machine.next(now: now)
    machine.connected(now: now)
    machine.becameUseful(now: now)
    machine.ended(.failed("closed"), now: now + 9)
    #expect(machine.next(now: now + 9) == .wait(until: now + 10))
  }

  @Test func othersOfTheClusterAreTriedAtOnce() {
    var machine = Reconnect([Self.one, Self.two, Self.three], now: 0)
    for remote in [Self.one, Self.two, Self.three] {
      #expect(machine.next(now: 0) == .connect(remote))
      #expect(machine.status(now: 0).map(\.state).filter { $0 == .void }.count == 2)
      machine.ended(.failed("refused"), now: 0)
    }
    #expect(machine.next(now: 0) == .wait(until: 1))
    #expect(machine.status(now: 0).map(\.state) == [.backoff, .backoff, .backoff])
    for _ in 0..<3 {
      guard case .connect = machine.next(now: 1) else { return #expect(Bool(false), "the second round") }
      machine.ended(.failed("refused"), now: 1)
    }
    #expect(machine.next(now: 1) == .wait(until: 3))
  }

  @Test func electionsAreRetriedSoon() {
    var machine = Reconnect([Self.one, Self.two], now: 0)
    var now = 0.0
    for _ in 0..<5 {
      for _ in 0..<2 {
        _ = machine.next(now: now)
        machine.connected(now: now)
        machine.ended(.unsuitable("does not lead"), now: now)
      }
      #expect(machine.next(now: now) == .wait(until: now + 1))
      now += 1
    }
    // The leader is found and lost again: the other one is tried at once.
    guard case .connect(let leader) = machine.next(now: now) else { return #expect(Bool(false)) }
    machine.connected(now: now)
    machine.becameUseful(now: now)
    machine.ended(.unsuitable("does not lead"), now: now + 60)
    guard case .connect(let other) = machine.next(now: now + 60) else { return #expect(Bool(false), "a pause") }
    #expect(other != leader)
  }

  @Test func renewingKeepsTheRemoteWithoutPause() {
    var machine = Reconnect([Self.one, Self.two], now: 0)
    _ = machine.next(now: 0)
    machine.connected(now: 0)
    machine.becameUseful(now: 0)
    machine.ended(.renewed("certificates"), now: 0.5)
    #expect(machine.next(now: 0.5) == .connect(Self.one))
  }

  @Test func aPauseCanBeEnded() {
    var machine = Reconnect([Self.one], now: 0)
    _ = machine.next(now: 0)
    machine.ended(.failed("refused"), now: 0)
    machine.endPause()
    #expect(machine.next(now: 0) == .connect(Self.one))
    machine.ended(.failed("refused"), now: 0)
    #expect(machine.next(now: 0) == .wait(until: 2))
  }

  @Test func aPassiveRemoteIsListenedOnAgainAtOnce() throws {
    let passive = try Remote(parsing: "ptcp:6640")
    var machine = Reconnect([passive], now: 0)
    for _ in 0..<3 {
      #expect(machine.next(now: 0) == .connect(passive))
      machine.ended(.failed("closed"), now: 0)
    }
    #expect(machine.status(now: 0)[0].state == .backoff)
  }

  @Test func probingIsIdle() {
    var machine = Reconnect([Self.one], now: 0)
    _ = machine.next(now: 0)
    machine.probes(true, now: 1)
    #expect(machine.status(now: 1)[0].state == .connecting)
    machine.connected(now: 2)
    machine.probes(true, now: 7)
    #expect(machine.status(now: 9)[0].state == .idle && machine.status(now: 9)[0].sinceSeconds == 2)
    machine.probes(false, now: 10)
    machine.probes(false, now: 11)
    #expect(machine.status(now: 12)[0].state == .active && machine.status(now: 12)[0].sinceSeconds == 2)
  }
}
