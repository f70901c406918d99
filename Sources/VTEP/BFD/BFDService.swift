// BFDService: the thread that runs all BFD sessions. Workers pass it BFD frames by a ring each, it passes its own to the first worker by
// another, and tells the reconciler when a VTEP is lost or back. Nothing else waits for it, and it waits for nothing but time and frames.

import CDPDK
import Encap
import Glibc
import MACTable
import Synchronization

/// What BFD says of a VTEP.
struct BFDHealth: Equatable, Sendable {
  var isForwarding = false
  /// It was reachable and is not any more: nothing is flooded to it.
  var hasFailed = false
}

/// A session that the reconciler wants.
struct BFDTarget: Equatable, Sendable {
  var settings: BFDSettings
  var vtep: VTEPIndex
  /// Our VTEP address towards it.
  var source: IPAddress
}

final class BFDService: Sendable {
  private struct Session {
    var address: IPAddress
    var target: BFDTarget
    var protocolState: BFDSession
    var health = BFDHealth()
    /// As events have told it.
    var told = BFDState.down
    /// The time of its earliest entry in the heap.
    var armed = UInt64.max
    /// It is gone, and says so until then.
    var end: UInt64?
    /// Packets that workers have counted as received from the VTEP, and which are no data.
    var arrivals: UInt64 = 0
    /// Frames with the wrong tunnel key.
    var wrongKeys: UInt64 = 0
    /// VNI in which the other end sends: Open vSwitch's is that of its port, and it hears no other.
    var heardVNI: VNI?

    var sentVNI: VNI { target.settings.vni ?? heardVNI ?? target.settings.form.defaultVNI }
  }

  private struct State {
    /// By slot; free ones are nil.
    var sessions: [Session?] = []
    var freeSlots: [Int] = []
    var slotOfAddress: [IPAddress: Int] = [:]
    var slotOfDiscriminator: [UInt32: Int] = [:]
    /// What an earlier run of the daemon has counted, until the session ends.
    var earlier: [IPAddress: BFDCounts] = [:]
    var timers = BFDTimers()
    /// On uplinks that have one; what workers get there has been heard before.
    var sockets: [BFDUplink: BFDSocket] = [:]
    var policy = DecapPolicy(udpPort: 4789, acceptsZeroUDP6Checksum: true)
    /// Slots of sessions that look at data.
    var watchers: Set<Int> = []
    var nextLook: UInt64 = 0
    var random = SystemRandomNumberGenerator()
  }

  /// A change that the reconciler has to know.
  struct Change: Sendable {
    var address: IPAddress
    var health: BFDHealth
    var old: BFDState
    var new: BFDState
    var diagnostic: BFDDiagnostic
  }

  /// Of frames that are dropped here.
  private let drops: ThreadDrops
  var counters: WorkerCounters { drops.counters }
  private let state = Mutex(State())
  private nonisolated(unsafe) let shared: UnsafeMutablePointer<SharedState>
  private nonisolated(unsafe) let pool: OpaquePointer
  private let arrivals: [SlowPathRing]
  private let departures: SlowPathRing
  private let workerCounters: [WorkerCounters]
  private let mailbox: Mailbox
  private let wakeWorker: @Sendable () -> Void

  /// Between two looks at the data that has come, in microseconds.
  private static let lookInterval: UInt64 = 200_000

  /// - Parameter reader: a number for RCU that no other thread has.
  init(
    shared: UnsafeMutablePointer<SharedState>, reader: UInt32, pool: OpaquePointer, arrivals: [SlowPathRing], departures: SlowPathRing,
    workerCounters: [WorkerCounters], mailbox: Mailbox, wakeWorker: @escaping @Sendable () -> Void
  ) throws(VTEPError) {
    drops = try ThreadDrops(shared: shared, reader: reader)
    self.shared = shared
    self.pool = pool
    self.arrivals = arrivals
    self.departures = departures
    self.workerCounters = workerCounters
    self.mailbox = mailbox
    self.wakeWorker = wakeWorker
  }

  // -- what the reconciler says ------------------------------------------------------------------------------------------

  /// Starts, changes and ends sessions, so that these are all.
  ///
  /// - Parameter uplinks: those that have a socket for BFD.
  /// - Returns: why some have none.
  @discardableResult
  func follow(_ targets: [IPAddress: BFDTarget], on uplinks: Set<BFDUplink> = []) -> [VTEPError] {
    let now = MonotonicClock.microseconds()
    let errors = state.withLock { state in
      let errors = Self.listen(on: uplinks, &state)
      for (address, slot) in state.slotOfAddress where targets[address] == nil { Self.end(slot, &state, now: now) }
      for (address, target) in targets {
        if let slot = state.slotOfAddress[address], let old = state.sessions[slot]?.target, old.vtep == target.vtep,
          state.sessions[slot]?.end == nil
        {
          state.sessions[slot]?.target = target
          state.sessions[slot]?.protocolState.follow(target.settings, now: now)
          Self.arm(slot, &state)
        } else {
          if let slot = state.slotOfAddress[address] { Self.remove(slot, &state) }
          Self.begin(address, target, &state, now: now)
        }
      }
      state.watchers = Set(state.sessions.indices.filter { state.sessions[$0]?.protocolState.followsData == true })
      return errors
    }
    wake()
    return errors
  }

  /// The sessions that there are, without those that end.
  var targets: [IPAddress: BFDTarget] {
    state.withLock { state in
      Dictionary(state.sessions.compactMap(\.self).filter { $0.end == nil }.map { ($0.address, $0.target) }) { $1 }
    }
  }

  /// Sessions go on counting from here.
  func continueCounts(_ earlier: [IPAddress: BFDCounts]) { state.withLock { $0.earlier = earlier } }

  /// What an earlier run has counted of sessions that have not begun yet: those of a controller begin when it answers.
  var awaitedCounts: [IPAddress: BFDCounts] {
    state.withLock { state in state.earlier.filter { state.slotOfAddress[$0.key] == nil } }
  }

  private static func listen(on uplinks: Set<BFDUplink>, _ state: inout State) -> [VTEPError] {
    for (uplink, socket) in state.sockets where !uplinks.contains(uplink) {
      socket.close()
      state.sockets[uplink] = nil
    }
    var errors: [VTEPError] = []
    for uplink in uplinks where state.sockets[uplink] == nil {
      switch BFDSocket.open(uplink) {
      case .success(let socket): state.sockets[uplink] = socket
      case .failure(let error): errors.append(error)
      }
      state.policy = DecapPolicy(udpPort: uplink.udpPort, acceptsZeroUDP6Checksum: true)
    }
    return errors
  }

  func wake() { cdpdk_event_signal(shared.pointee.bfdEvent) }

  private static func begin(_ address: IPAddress, _ target: BFDTarget, _ state: inout State, now: UInt64) {
    var discriminator: UInt32 = 0
    while discriminator == 0 || state.slotOfDiscriminator[discriminator] != nil { discriminator = .random(in: 1 ... .max) }
    // Sessions that begin together do not send together.
    let start = now + UInt64.random(in: 0..<100_000)
    let session = Session(
      address: address, target: target, protocolState: BFDSession(target.settings, discriminator: discriminator, now: start))
    let slot = state.freeSlots.popLast() ?? state.sessions.count
    if slot == state.sessions.count { state.sessions.append(session) } else { state.sessions[slot] = session }
    state.slotOfAddress[address] = slot
    state.slotOfDiscriminator[discriminator] = slot
    arm(slot, &state)
  }

  /// A session that is no longer wanted says so for as long as the other end may take to hear it (RFC 5880 section 6.8.16).
  private static func end(_ slot: Int, _ state: inout State, now: UInt64) {
    guard let session = state.sessions[slot], session.end == nil else { return }
    let interval = UInt64(session.protocolState.transmitInterval ?? 1_000_000)
    state.sessions[slot]?.end = now + min(interval * UInt64(session.target.settings.multiplier), 5_000_000)
    state.sessions[slot]?.protocolState.shutDown(now: now)
    arm(slot, &state)
  }

  private static func remove(_ slot: Int, _ state: inout State) {
    guard let session = state.sessions[slot] else { return }
    state.sessions[slot] = nil
    state.freeSlots.append(slot)
    state.watchers.remove(slot)
    state.slotOfAddress[session.address] = nil
    state.earlier[session.address] = nil
    state.slotOfDiscriminator[session.protocolState.discriminator] = nil
  }

  /// Has a session looked at when it has something to do next.
  private static func arm(_ slot: Int, _ state: inout State) {
    guard let session = state.sessions[slot] else { return }
    let next = min(session.protocolState.nextEvent, session.end ?? .max)
    guard next < session.armed else { return }
    state.sessions[slot]?.armed = next
    state.timers.insert(BFDTimers.Entry(time: next, slot: slot))
  }

  // -- the thread --------------------------------------------------------------------------------------------------------

  /// The thread's function: returns when the shared stop flag is set.
  func run() {
    while !shared.pointee.stops.load(ordering: .relaxed) {
      wait()
      turn(now: MonotonicClock.microseconds())
    }
  }

  /// Takes what has come, and does what is due.
  func turn(now: UInt64) {
    var changes: [Change] = []
    let hasSent = state.withLock { state in
      readSockets(&state, &changes, now: now)
      takeArrivals(&state, &changes, now: now)
      lookAtData(&state, &changes, now: now)
      return serveTimers(&state, &changes, now: now)
    }
    if hasSent { wakeWorker() }
    if !changes.isEmpty { mailbox.post(.bfd(changes)) }
  }

  private func wait() {
    let (next, sockets) = state.withLock { state in
      (min(state.timers.first?.time ?? .max, state.watchers.isEmpty ? .max : state.nextLook), state.sockets.values.map(\.descriptor))
    }
    let now = MonotonicClock.microseconds()
    // Rounded up: too soon would be in vain.
    let milliseconds = next <= now ? 0 : min((next - now + 999) / 1000, 1000)
    var descriptors = ([shared.pointee.bfdEvent] + sockets).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    guard poll(&descriptors, nfds_t(descriptors.count), Int32(milliseconds)) > 0, descriptors[0].revents != 0 else { return }
    cdpdk_event_clear(shared.pointee.bfdEvent)
  }

  /// Frames taken from one socket before everything else gets its turn.
  private static let socketBatch = 512

  private func readSockets(_ state: inout State, _ changes: inout [Change], now: UInt64) {
    for (uplink, socket) in state.sockets {
      for _ in 0..<Self.socketBatch {
        guard let mbuf = socket.receive(from: pool) else { break }
        defer { mbuf.free() }
        // The kernel may have left checksums to a network card that is not there; BFD's own is checked.
        let outer = OuterPacket(trusting: mbuf.bytes, byteCount: mbuf.byteCount, policy: state.policy)
        guard outer.outcome == .accepted, let slot = state.slotOfAddress[outer.source],
          state.sessions[slot]?.target.source == outer.destination, mbuf.removeFront(outer.innerOffset)
        else { continue }
        var item = SlowPathItem()
        (item.port, item.vni, item.vtep) = (uplink.port, outer.vni, outer.source)
        if let reason = take(mbuf, item, &state, &changes, now: now) { countDrop(mbuf, item, reason, state) }
      }
    }
  }

  private func takeArrivals(_ state: inout State, _ changes: inout [Change], now: UInt64) {
    var item = SlowPathItem()
    for ring in arrivals {
      for _ in 0..<SlowPathRing.capacity {
        guard ring.receive(&item) else { break }
        guard let raw = item.mbuf else { continue }
        let mbuf = Mbuf(raw)
        defer { mbuf.free() }
        if let slot = state.slotOfAddress[item.vtep] { state.sessions[slot]?.arrivals &+= 1 }
        if state.sockets.keys.contains(where: { $0.port == item.port }) { continue }
        if let reason = take(mbuf, item, &state, &changes, now: now) { countDrop(mbuf, item, reason, state) }
      }
    }
  }

  /// The frame has no outer headers any more.
  private func countDrop(_ mbuf: Mbuf, _ item: SlowPathItem, _ reason: DropReason, _ state: State) {
    let vtep = state.slotOfAddress[item.vtep].flatMap { state.sessions[$0]?.target.vtep }
    drops.count(mbuf, port: item.port, reason, DropContext(vtep: vtep ?? .absent, vni: item.vni.rawValue))
  }

  /// - Returns: why a frame is of no use.
  private func take(
    _ mbuf: Mbuf, _ item: SlowPathItem, _ state: inout State, _ changes: inout [Change], now: UInt64
  ) -> DropReason? {
    let own = state.slotOfAddress[item.vtep]
    guard let frame = try? BFDFrame(parsing: mbuf.bytes) else { return .bfdInvalid }
    // A session is found by our discriminator, or else by the VTEP; no other VTEP may speak for it (RFC 5880 section 6.8.6).
    let yours = frame.packet.yourDiscriminator
    guard let slot = yours == 0 ? own : state.slotOfDiscriminator[yours], slot == own, let session = state.sessions[slot] else {
      return .bfdInvalid
    }
    guard !session.target.settings.checksTunnelKey || item.vni.rawValue == 0 else {
      state.sessions[slot]?.wrongKeys &+= 1
      return .bfdTunnelKey
    }
    state.sessions[slot]?.heardVNI = item.vni
    state.sessions[slot]?.protocolState.receive(frame.packet, now: now)
    Self.note(slot, &state, &changes, now: now)
    Self.arm(slot, &state)
    return nil
  }

  private func lookAtData(_ state: inout State, _ changes: inout [Change], now: UInt64) {
    guard !state.watchers.isEmpty, now >= state.nextLook else { return }
    state.nextLook = now + Self.lookInterval
    for slot in state.watchers {
      guard let session = state.sessions[slot], session.end == nil else { continue }
      let all = workerCounters.reduce(UInt64(0)) { $0 &+ $1.vteps[Int(session.target.vtep)].rxPackets.value }
      state.sessions[slot]?.protocolState.note(dataPackets: all &- session.arrivals, now: now)
      Self.note(slot, &state, &changes, now: now)
      Self.arm(slot, &state)
    }
  }

  /// Whatever is due.
  ///
  /// - Returns: whether frames were sent.
  private func serveTimers(_ state: inout State, _ changes: inout [Change], now: UInt64) -> Bool {
    var hasSent = false
    while let entry = state.timers.first, entry.time <= now {
      state.timers.removeFirst()
      guard var session = state.sessions[entry.slot], session.armed == entry.time else { continue }
      session.armed = .max
      session.protocolState.expire(now: now)
      if let packet = session.protocolState.packet(now: now, random: .random(in: 0...255, using: &state.random)) {
        hasSent = send(packet, session) || hasSent
      }
      state.sessions[entry.slot] = session
      if let end = session.end, end <= now {
        Self.remove(entry.slot, &state)
      } else {
        Self.note(entry.slot, &state, &changes, now: now)
        Self.arm(entry.slot, &state)
      }
    }
    return hasSent
  }

  private func send(_ packet: BFDPacket, _ session: Session) -> Bool {
    let settings = session.target.settings
    let frame = BFDFrame(packet, to: settings, from: session.target.source)
    guard let raw = cdpdk_mbuf_alloc(pool) else { return false }
    guard cdpdk_mbuf_append(raw, UInt16(frame.byteCount)) != nil else {
      cdpdk_mbuf_free(raw)
      return false
    }
    Mbuf(raw).withMutableBytes { frame.write(into: &$0) }
    var item = SlowPathItem()
    item.kind = .bfd
    item.vtep = session.address
    item.vni = session.sentVNI
    item.mbuf = raw
    if departures.send(item) { return true }
    cdpdk_mbuf_free(raw)
    return false
  }

  /// Notes a change that others have to know.
  private static func note(_ slot: Int, _ state: inout State, _ changes: inout [Change], now: UInt64) {
    guard let session = state.sessions[slot], session.end == nil else { return }
    let health = BFDHealth(
      isForwarding: session.protocolState.isForwarding(now: now), hasFailed: session.protocolState.hasFailed(now: now))
    let new = session.protocolState.state
    guard health != session.health || new != session.told else { return }
    changes.append(
      Change(
        address: session.address, health: health, old: session.told, new: new, diagnostic: session.protocolState.diagnostic))
    state.sessions[slot]?.health = health
    state.sessions[slot]?.told = new
  }

  // -- reports -----------------------------------------------------------------------------------------------------------

  /// In ascending order of addresses.
  func reports() -> [BFDReport] {
    let now = MonotonicClock.microseconds()
    let (sessions, earlier) = state.withLock { ($0.sessions.compactMap(\.self).filter { $0.end == nil }, $0.earlier) }
    return sessions.sorted { $0.address < $1.address }.map { session in
      let state = session.protocolState
      let counts = BFDCounts(
        flaps: state.flaps, packetsSent: state.packetsSent, packetsReceived: state.packetsReceived, wrongKeys: session.wrongKeys)
      return BFDReport(
        address: session.address, settings: session.target.settings, vni: session.sentVNI, state: state.state,
        remoteState: state.remoteState,
        isForwarding: state.isForwarding(now: now), diagnostic: state.diagnostic, remoteDiagnostic: state.remoteDiagnostic,
        discriminator: state.discriminator, remoteDiscriminator: state.remoteDiscriminator,
        transmitMicroseconds: state.transmitInterval, detectionMicroseconds: state.detectionTime,
        sinceSeconds: (now - min(state.stateSince, now)) / 1_000_000, counts: counts + (earlier[session.address] ?? BFDCounts()))
    }
  }
}

extension BFDFrame {
  /// - Parameter own: our VTEP address towards the other end.
  init(_ packet: BFDPacket, to settings: BFDSettings, from own: IPAddress) {
    let sourcePort = 49_152 | UInt16(truncatingIfNeeded: packet.ownDiscriminator & 0x3fff)
    switch settings.form {
    case .openVSwitch:
      self.init(
        destinationMAC: settings.destinationMAC ?? .bfdOfOpenVSwitch, source: IPAddress(ipv4: 0xa9fe_0100),
        destination: settings.destinationIP ?? IPAddress(ipv4: 0xa9fe_0101), sourcePort: sourcePort, packet: packet)
    case .rfc8971:
      // 127.0.0.1, or ::ffff:127.0.0.1 in IPv6.
      self.init(
        destinationMAC: settings.destinationMAC ?? .bfdOfRFC8971, source: own,
        destination: own.isIPv4 ? IPAddress(ipv4: 0x7f00_0001) : IPAddress(high: 0, low: 0xffff_7f00_0001), sourcePort: sourcePort,
        packet: packet)
    }
  }
}
