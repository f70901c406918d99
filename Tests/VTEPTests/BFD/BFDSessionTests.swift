// The state machine and timers of BFD against RFC 5880 section 6.8. Time is an argument; nothing waits.

import Encap
import Testing

@testable import VTEP

/// Two sessions with a wire between them that delivers, or does not.
private struct Pair {
  var left: BFDSession
  var right: BFDSession
  var now: UInt64 = 0
  var delivers = true
  /// Packets of each end, with their times.
  var sent: [(isLeft: Bool, time: UInt64, packet: BFDPacket)] = []

  init(_ left: BFDSettings = BFDSettings(), _ right: BFDSettings = BFDSettings()) {
    self.left = BFDSession(left, discriminator: 11, now: 0)
    self.right = BFDSession(right, discriminator: 22, now: 0)
  }

  /// Runs for some time, in microseconds, in steps of a millisecond.
  mutating func run(_ duration: UInt64, random: UInt8 = 255) {
    let end = now + duration
    while now < end {
      now += 1000
      left.expire(now: now)
      right.expire(now: now)
      if let packet = left.packet(now: now, random: random) {
        sent.append((true, now, packet))
        if delivers { right.receive(packet, now: now) }
      }
      if let packet = right.packet(now: now, random: random) {
        sent.append((false, now, packet))
        if delivers { left.receive(packet, now: now) }
      }
    }
  }
}

private func settings(tx: UInt32 = 300, rx: UInt32 = 300, _ multiplier: UInt8 = 3) -> BFDSettings {
  var settings = BFDSettings()
  (settings.minTx, settings.minRx, settings.multiplier) = (tx, rx, multiplier)
  return settings
}

private func packet(
  _ state: BFDState, tx: UInt32 = 300_000, rx: UInt32 = 300_000, _ edit: (inout BFDPacket) -> Void = { _ in }
) -> BFDPacket {
  var packet = BFDPacket()
  packet.state = state
  packet.ownDiscriminator = 22
  packet.yourDiscriminator = 11
  (packet.desiredMinTx, packet.requiredMinRx) = (tx, rx)
  edit(&packet)
  return packet
}

@Suite("BFD session")
struct BFDSessionTests {
  private func session(in state: BFDState, _ settings: BFDSettings = BFDSettings()) -> BFDSession {
    var session = BFDSession(settings, discriminator: 11, now: 0)
    switch state {
    case .adminDown: session.shutDown(now: 0)
    case .down: break
    case .initializing: session.receive(packet(.down), now: 0)
    case .up:
      session.receive(packet(.down), now: 0)
      session.receive(packet(.up), now: 0)
    }
    return session
  }

  @Test("every state and received state (section 6.8.6)")
  func transitions() {
    // Received: adminDown, down, init, up.
    let expected: [BFDState: [BFDState]] = [
      .adminDown: [.adminDown, .adminDown, .adminDown, .adminDown],
      .down: [.down, .initializing, .up, .down],
      .initializing: [.down, .initializing, .up, .up],
      .up: [.down, .down, .up, .up],
    ]
    for (state, results) in expected {
      for (received, result) in zip(BFDState.allCases, results) {
        var session = session(in: state)
        #expect(session.state == state)
        session.receive(packet(received), now: 1000)
        #expect(session.state == result, "\(state) receives \(received)")
        if state == .up && result == .down { #expect(session.diagnostic == .neighborSignaledDown) }
      }
    }
  }

  @Test("a three-way handshake, and packets once a second until then")
  func handshake() {
    var pair = Pair()
    pair.delivers = false
    pair.run(5_000_000)
    #expect(pair.left.state == .down)
    #expect(pair.sent.filter(\.isLeft).count == 5 || pair.sent.filter(\.isLeft).count == 6)
    #expect(pair.sent.allSatisfy { $0.packet.desiredMinTx == 1_000_000 && $0.packet.yourDiscriminator == 0 })
    pair.delivers = true
    pair.run(1_100_000)
    #expect(pair.left.state == .up && pair.right.state == .up)
    #expect(pair.left.remoteDiscriminator == 22 && pair.right.remoteDiscriminator == 11)
    #expect(pair.left.isForwarding(now: pair.now) && !pair.left.hasFailed(now: pair.now))
  }

  @Test("intervals: the slower of both ends, in each direction; a Poll Sequence ends the slow start")
  func negotiation() {
    var pair = Pair(settings(tx: 100, rx: 400), settings(tx: 250, rx: 200))
    pair.run(3_000_000)
    #expect(pair.left.state == .up)
    #expect(pair.left.transmitInterval == 200_000 && pair.right.transmitInterval == 400_000)
    // Section 6.8.4: their multiplier, our required and their desired interval.
    #expect(pair.left.detectionTime == 3 * 400_000 && pair.right.detectionTime == 3 * 200_000)
    #expect(!pair.left.isPolling && !pair.right.isPolling)
    #expect(pair.sent.contains { $0.packet.polls } && pair.sent.contains { $0.packet.isFinal })
    #expect(!pair.sent.contains { $0.packet.polls && $0.packet.isFinal })
  }

  @Test("jitter: 75 to 100 % of the interval, with multiplier 1 at most 90 %")
  func jitter() {
    for (multiplier, random, expected) in [(3, 0, 225_000), (3, 255, 300_000), (1, 0, 225_000), (1, 255, 270_000)]
      as [(UInt8, UInt8, UInt64)]
    {
      var session = session(in: .up, settings(multiplier))
      session.receive(packet(.up) { $0.isFinal = true }, now: 0)
      _ = session.packet(now: 1_000_000, random: random)
      #expect(session.nextSend == 1_000_000 + expected)
    }
  }

  @Test("the detection time: not a moment too soon, and nothing between")
  func detection() {
    var pair = Pair()
    pair.run(3_000_000)
    let last = pair.left.lastReceived
    #expect(pair.left.detectionEnd == last + 900_000)
    pair.delivers = false
    pair.left.expire(now: last + 899_999)
    #expect(pair.left.state == .up)
    pair.left.expire(now: last + 900_000)
    #expect(pair.left.state == .down && pair.left.diagnostic == .detectionTimeExpired)
    #expect(pair.left.remoteDiscriminator == 0 && pair.left.flaps == 1)
    #expect(pair.left.hasFailed(now: pair.now) && !pair.left.isForwarding(now: pair.now))
    // Told at once, and slowly from then on.
    #expect(pair.left.nextSend == 0)
    let packet = pair.left.packet(now: last + 900_000, random: 255)
    #expect(packet?.state == .down && packet?.diagnostic == .detectionTimeExpired && packet?.desiredMinTx == 1_000_000)
    pair.delivers = true
    pair.run(3_000_000)
    #expect(pair.left.state == .up && !pair.left.hasFailed(now: pair.now) && pair.left.diagnostic == .none)
  }

  @Test("one lost packet, or two, are no failure")
  func losses() {
    var pair = Pair()
    pair.run(3_000_000, random: 128)
    for _ in 0..<5 {
      pair.delivers = false
      pair.run(550_000, random: 128)
      pair.delivers = true
      pair.run(400_000, random: 128)
    }
    #expect(pair.left.flaps == 0 && pair.right.flaps == 0)
  }

  @Test("that the other end is shut down is no failure, also after it has fallen silent (RFC 5882 section 4.2)")
  func remoteAdminDown() {
    var pair = Pair()
    pair.run(3_000_000)
    pair.right.shutDown(now: pair.now)
    pair.run(500_000)
    #expect(pair.left.state == .down && pair.left.diagnostic == .neighborSignaledDown && pair.left.remoteState == .adminDown)
    #expect(!pair.left.isForwarding(now: pair.now) && !pair.left.hasFailed(now: pair.now))
    pair.delivers = false
    pair.run(10_000_000)
    #expect(!pair.left.hasFailed(now: pair.now))
  }

  @Test("a VTEP that has never been up has not failed")
  func neverUp() {
    var pair = Pair()
    pair.delivers = false
    pair.run(10_000_000)
    #expect(!pair.left.hasFailed(now: pair.now) && !pair.left.isForwarding(now: pair.now))
  }

  @Test("slower while up: in force only when the other end has agreed; faster at once (section 6.8.3)")
  func changes() {
    var session = session(in: .up)
    session.receive(packet(.up) { $0.isFinal = true }, now: 0)
    session.follow(settings(tx: 2000, rx: 300), now: 0)
    #expect(session.isPolling && session.transmitInterval == 300_000 && session.desiredMinTx == 2_000_000)
    #expect(session.packet(now: 0, random: 0)?.polls == true)
    session.receive(packet(.up) { $0.isFinal = true }, now: 0)
    #expect(!session.isPolling && session.transmitInterval == 2_000_000)
    session.follow(settings(tx: 300, rx: 100), now: 0)
    // The detection time stays until the other end sends faster.
    #expect(session.transmitInterval == 300_000 && session.detectionTime == 900_000 && session.requiredMinRx == 100_000)
    session.receive(packet(.up, tx: 100_000) { $0.isFinal = true }, now: 0)
    #expect(session.detectionTime == 300_000)
  }

  @Test("a Poll is answered at once, beside the periodic packets")
  func poll() {
    var session = session(in: .up)
    session.receive(packet(.up) { $0.isFinal = true }, now: 0)
    _ = session.packet(now: 0, random: 255)
    let periodic = session.nextSend
    session.receive(packet(.up) { $0.polls = true }, now: 10_000)
    #expect(session.packet(now: 10_000, random: 255)?.isFinal == true)
    #expect(session.packet(now: 10_000, random: 255) == nil)
    #expect(session.nextSend == periodic)
  }

  @Test("an end that wants no packets gets none, and neither does one in Demand mode (section 6.8.7)")
  func silence() {
    var session = session(in: .up)
    session.receive(packet(.up) { $0.isFinal = true }, now: 0)
    session.receive(packet(.up, rx: 0), now: 0)
    #expect(session.transmitInterval == nil)
    session.receive(packet(.up) { $0.demands = true }, now: 0)
    #expect(session.transmitInterval == nil)
    session.receive(packet(.up), now: 0)
    #expect(session.transmitInterval == 300_000)
  }

  @Test("forwarding_if_rx: data keeps a tunnel alive for a while, as long as control packets come now and then")
  func forwardingIfRx() {
    var settings = settings()
    settings.forwardingIfRx = true
    var session = session(in: .up, settings)
    session.receive(packet(.up), now: 1000)
    session.note(dataPackets: 10, now: 100_000)
    session.expire(now: 2_000_000)
    #expect(session.state == .down && session.isForwarding(now: 2_000_000) && !session.hasFailed(now: 2_000_000))
    #expect(session.hasFailed(now: 2_100_001))
    session.note(dataPackets: 11, now: 40_000_000)
    // Nothing of BFD for a hundred intervals.
    #expect(!session.isForwarding(now: 40_000_001))
  }

  @Test("decay_min_rx: slower without data, and back with the first packet of it")
  func decay() {
    var settings = settings()
    settings.decayMinRx = 3000
    var session = session(in: .up, settings)
    session.receive(packet(.up) { $0.isFinal = true }, now: 0)
    for time in stride(from: UInt64(0), through: 6_000_000, by: 200_000) { session.note(dataPackets: 5, now: time) }
    #expect(session.requiredMinRx == 3_000_000)
    session.note(dataPackets: 6, now: 6_200_000)
    #expect(session.requiredMinRx == 300_000)
  }

  @Test("cpath_down is told, and heeded")
  func pathDown() {
    var down = settings()
    down.pathIsDown = true
    var pair = Pair(down)
    pair.run(3_000_000)
    #expect(pair.left.state == .up && pair.left.isForwarding(now: pair.now))
    #expect(pair.right.state == .up && pair.right.remoteDiagnostic == .concatenatedPathDown)
    #expect(!pair.right.isForwarding(now: pair.now) && pair.right.hasFailed(now: pair.now))
    pair.left.follow(settings(), now: pair.now)
    pair.run(100_000)
    #expect(pair.right.isForwarding(now: pair.now))
  }

  @Test("timers come in order, whatever the order they were set in")
  func timers() {
    var timers = BFDTimers()
    var random = SystemRandomNumberGenerator()
    let times = (0..<1000).map { _ in UInt64.random(in: 0..<500, using: &random) }
    for (slot, time) in times.enumerated() { timers.insert(BFDTimers.Entry(time: time, slot: slot)) }
    var found: [UInt64] = []
    while let first = timers.first {
      found.append(first.time)
      timers.removeFirst()
    }
    #expect(found == times.sorted())
  }
}
