// BFDSession: one BFD session in asynchronous mode, as a value without clock, sockets or threads (RFC 5880 section 6.8). The caller says what
// time it is and what has come, sends what `packet` returns when `nextSend` is due, and calls `expire` when `detectionEnd` has passed.
//
// Times are in microseconds of a clock that never goes back. `forwarding` follows vtep(5) and Open vSwitch.

import Encap

struct BFDSession: Sendable {
  private(set) var settings: BFDSettings
  let discriminator: UInt32

  // -- state variables of section 6.8.1 ----------------------------------------------------------------------------------

  private(set) var state = BFDState.down
  private(set) var remoteState = BFDState.down
  private(set) var remoteDiscriminator: UInt32 = 0
  private(set) var diagnostic = BFDDiagnostic.none
  private(set) var remoteDiagnostic = BFDDiagnostic.none
  private var remoteDemands = false
  /// Of the other end: its `bfd.RemoteMinRxInterval`, Desired Min TX Interval and Detect Mult.
  private(set) var remoteMinRx: UInt32 = 1
  private(set) var remoteMinTx: UInt32 = 0
  private(set) var remoteMultiplier: UInt8 = 0

  /// What our packets say, and what is in force: a change that would surprise the other end waits for the end of the Poll Sequence
  /// (section 6.8.3).
  private(set) var desiredMinTx: UInt32
  private(set) var requiredMinRx: UInt32
  private var activeMinTx: UInt32
  private var activeMinRx: UInt32
  private(set) var isPolling = false
  private var owesFinal = false
  /// The contents of packets have changed: one leaves without waiting for the interval (section 6.8.7).
  private var isNews = false

  // -- timers ------------------------------------------------------------------------------------------------------------

  /// When the next periodic packet is due.
  private var periodicSend: UInt64
  private(set) var lastSent: UInt64 = 0
  private(set) var lastReceived: UInt64 = 0
  /// The remote end is no longer heard; 0: nothing has come since the last time.
  private(set) var detectionEnd: UInt64 = 0

  // -- what operators want to know -----------------------------------------------------------------------------------------

  /// The session was Up and was lost, and not by an administrator.
  private var isLost = false
  /// Times that the session has left the state Up.
  private(set) var flaps: UInt64 = 0
  private(set) var stateSince: UInt64
  private(set) var packetsSent: UInt64 = 0
  private(set) var packetsReceived: UInt64 = 0

  // -- data traffic, for `forwardingIfRx` and `decayMinRx` -----------------------------------------------------------------

  private var dataPackets: UInt64 = 0
  private var dataCountedUntil: UInt64 = 0
  private var decayCheck: UInt64
  private var dataAtDecayCheck: UInt64 = 0
  private var isDecayed = false

  /// While the session is not Up, the interval is at least a second (section 6.8.3).
  private static let slowInterval: UInt32 = 1_000_000
  /// Least time over which data is looked for.
  private static let dataPatience: UInt64 = 2_000_000

  /// - Parameter discriminator: not 0, and no other session's.
  init(_ settings: BFDSettings, discriminator: UInt32, now: UInt64) {
    self.settings = settings
    self.discriminator = discriminator
    desiredMinTx = max(settings.minTx * 1000, Self.slowInterval)
    activeMinTx = desiredMinTx
    requiredMinRx = settings.minRx * 1000
    activeMinRx = requiredMinRx
    periodicSend = now
    stateSince = now
    decayCheck = now
    if settings.pathIsDown { diagnostic = .concatenatedPathDown }
  }

  // -- what follows from the state ---------------------------------------------------------------------------------------

  /// Between our packets, without jitter; nil: the other end wants none (section 6.8.7).
  var transmitInterval: UInt32? {
    if remoteMinRx == 0 { return nil }
    if remoteDemands && state == .up && remoteState == .up && !isPolling { return nil }
    return max(activeMinTx, remoteMinRx)
  }

  /// Detection time (section 6.8.4).
  var detectionTime: UInt64 { UInt64(remoteMultiplier) * UInt64(max(activeMinRx, remoteMinTx)) }

  /// Data came a moment ago, and a control packet within a hundred intervals.
  private func isAliveByData(now: UInt64) -> Bool {
    settings.forwardingIfRx && now < dataCountedUntil && lastReceived != 0
      && now &- lastReceived <= 100 * UInt64(settings.minRx) * 1000
  }

  /// The tunnel may be used for data.
  func isForwarding(now: UInt64) -> Bool {
    (state == .up || isAliveByData(now: now)) && !remoteDiagnostic.saysPathDown
  }

  /// The VTEP was reachable and is not any more, or says that it leads nowhere. That it or we have ended BFD is no failure (RFC 5882
  /// section 4.2), nor is it one that BFD has never run there.
  func hasFailed(now: UInt64) -> Bool {
    isLost && !isAliveByData(now: now) || state == .up && remoteDiagnostic.saysPathDown
  }

  /// When something has to be done next.
  var nextEvent: UInt64 {
    var next = nextSend
    if detectionEnd != 0 { next = min(next, detectionEnd) }
    return next
  }

  /// When a packet is due; `UInt64.max`: never.
  var nextSend: UInt64 {
    if owesFinal || isNews { return 0 }
    return transmitInterval == nil ? .max : periodicSend
  }

  // -- what happens ------------------------------------------------------------------------------------------------------

  /// A packet for this session, whose own checks it has passed (`BFDPacket`).
  mutating func receive(_ packet: BFDPacket, now: UInt64) {
    // Section 6.8.6, from "Set bfd.RemoteDiscr" on.
    packetsReceived &+= 1
    remoteDiscriminator = packet.ownDiscriminator
    remoteDiagnostic = packet.diagnostic
    remoteState = packet.state
    remoteDemands = packet.demands
    remoteMinTx = packet.desiredMinTx
    remoteMultiplier = packet.multiplier
    let interval = transmitInterval
    remoteMinRx = packet.requiredMinRx
    if packet.isFinal && isPolling { endPoll() }
    if transmitInterval != interval { periodicSend = soonestSend }
    guard state != .adminDown else { return }
    if packet.state == .adminDown {
      isLost = false
      if state != .down { enter(.down, .neighborSignaledDown, now: now) }
    } else {
      switch (state, packet.state) {
      case (.down, .down): enter(.initializing, now: now)
      case (.down, .initializing): enter(.up, now: now)
      case (.initializing, .initializing), (.initializing, .up): enter(.up, now: now)
      case (.up, .down): enter(.down, .neighborSignaledDown, now: now)
      default: break
      }
    }
    if packet.polls { owesFinal = true }
    lastReceived = now
    detectionEnd = now &+ detectionTime
  }

  /// The detection time may have passed (section 6.8.4).
  mutating func expire(now: UInt64) {
    guard detectionEnd != 0, now >= detectionEnd else { return }
    detectionEnd = 0
    // Section 6.8.1: it may be another session's when it is heard again.
    remoteDiscriminator = 0
    remoteState = .down
    remoteMinRx = 1
    remoteDemands = false
    remoteDiagnostic = .none
    isNews = true
    if state == .initializing || state == .up { enter(.down, .detectionTimeExpired, now: now) }
  }

  /// The packet that is due, if one is.
  ///
  /// - Parameter random: 0...255, for jitter.
  mutating func packet(now: UInt64, random: UInt8) -> BFDPacket? {
    guard nextSend <= now else { return nil }
    var packet = BFDPacket()
    packet.diagnostic = diagnostic
    packet.state = state
    packet.isFinal = owesFinal
    // A packet has only one of both (section 6.5).
    packet.polls = isPolling && !owesFinal
    packet.multiplier = settings.multiplier
    packet.ownDiscriminator = discriminator
    packet.yourDiscriminator = remoteDiscriminator
    packet.desiredMinTx = desiredMinTx
    packet.requiredMinRx = requiredMinRx
    // An answer to a Poll leaves beside the periodic packets.
    let isPeriodic = isNews || periodicSend <= now
    owesFinal = false
    isNews = false
    packetsSent &+= 1
    if isPeriodic {
      lastSent = now
      periodicSend = now &+ jittered(random)
    }
    return packet
  }

  private var lastJitter: UInt8 { UInt8(truncatingIfNeeded: discriminator &* 0x9e37_79b1 &>> 24) }

  /// Earliest time for the next packet after the interval has changed.
  private var soonestSend: UInt64 { lastSent == 0 ? 0 : lastSent &+ jittered(lastJitter) }

  /// 75 to 100 % of the interval, or to 90 % where one lost packet would be too many (section 6.8.7).
  private func jittered(_ random: UInt8) -> UInt64 {
    let interval = UInt64(transmitInterval ?? Self.slowInterval)
    let spread = interval * (settings.multiplier == 1 ? 15 : 25) / 100
    return interval * 75 / 100 &+ spread * UInt64(random) / 255
  }

  // -- control -----------------------------------------------------------------------------------------------------------

  /// Other parameters for a session that goes on.
  mutating func follow(_ new: BFDSettings, now: UInt64) {
    guard new != settings else { return }
    let old = settings
    settings = new
    isNews = true
    if old.minRx != new.minRx || old.decayMinRx != new.decayMinRx { isDecayed = false }
    if new.pathIsDown {
      diagnostic = .concatenatedPathDown
    } else if diagnostic == .concatenatedPathDown {
      diagnostic = .none
    }
    adoptIntervals()
  }

  /// Administratively down: says so to the other end, which then does not take it for a failure.
  mutating func shutDown(now: UInt64) { enter(.adminDown, .administrativelyDown, now: now) }

  /// Takes note of data received from the VTEP.
  ///
  /// - Parameter count: packets since any fixed time, BFD's own left out.
  mutating func note(dataPackets count: UInt64, now: UInt64) {
    if count != dataPackets {
      dataPackets = count
      dataCountedUntil = now &+ max(detectionTime, Self.dataPatience)
    }
    guard settings.decayMinRx > settings.minRx, state == .up else { return }
    if isDecayed, count != dataAtDecayCheck {
      isDecayed = false
      adoptIntervals()
    }
    guard now >= decayCheck else { return }
    decayCheck = now &+ max(UInt64(settings.decayMinRx) * 1000, Self.dataPatience)
    defer { dataAtDecayCheck = count }
    guard !isDecayed, count == dataAtDecayCheck else { return }
    isDecayed = true
    adoptIntervals()
  }

  /// It has to be told of data.
  var followsData: Bool { settings.forwardingIfRx || settings.decayMinRx > settings.minRx }

  // -- transitions -------------------------------------------------------------------------------------------------------

  private mutating func enter(_ new: BFDState, _ reason: BFDDiagnostic = .none, now: UInt64) {
    if state == .up, new != .up {
      flaps &+= 1
      isLost = new == .down && remoteState != .adminDown
    }
    if new == .up || new == .adminDown { isLost = false }
    state = new
    stateSince = now
    diagnostic = settings.pathIsDown && reason == .none ? .concatenatedPathDown : reason
    isNews = true
    if new != .up {
      isDecayed = false
      isPolling = false
    } else {
      decayCheck = now &+ max(UInt64(settings.decayMinRx) * 1000, Self.dataPatience)
      dataAtDecayCheck = dataPackets
    }
    adoptIntervals()
  }

  /// Puts the intervals of state and settings in place (section 6.8.3).
  private mutating func adoptIntervals() {
    let tx = settings.minTx * 1000
    let wantedTx = state == .up ? tx : max(tx, Self.slowInterval)
    let wantedRx = (isDecayed ? settings.decayMinRx : settings.minRx) * 1000
    guard wantedTx != desiredMinTx || wantedRx != requiredMinRx else { return }
    (desiredMinTx, requiredMinRx) = (wantedTx, wantedRx)
    isNews = true
    guard state == .up else {
      (activeMinTx, activeMinRx) = (wantedTx, wantedRx)
      return
    }
    // Faster at once, slower after the other end has agreed.
    activeMinTx = min(activeMinTx, wantedTx)
    activeMinRx = max(activeMinRx, wantedRx)
    if lastReceived != 0 { detectionEnd = lastReceived &+ detectionTime }
    periodicSend = min(periodicSend, soonestSend)
    isPolling = true
  }

  private mutating func endPoll() {
    isPolling = false
    (activeMinTx, activeMinRx) = (desiredMinTx, requiredMinRx)
  }
}
