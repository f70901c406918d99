// Worker+Policy: enforces a port's limits, at the end of step E2 (so that dropped frames are neither looked up nor learned), and before
// a batch leaves to a port. Out of line: ports without a policy pay for one flag test per frame and per batch.

import CDPDK
import Encap
import MACTable

extension Worker {
  @inline(never)
  mutating func stageForPolicing(at position: Int, source: MACKey, destination: MACKey, seenAt: MACLocation) {
    stage[position] = StagedFrame(destinationKey: destination, sourceKey: source, seenAt: seenAt)
  }

  /// The last check of step E2, for a burst from a port with limits, whose workers share what is counted: the port's ingress policy. Frames
  /// that pass are staged.
  @inline(never)
  mutating func policeBurst(_ count: Int, portIndex: PortIndex) {
    let policy = snapshot.pointee.policies + Int(portIndex)
    let state = shared.pointee.policyStates + Int(portIndex)
    // What a list denies takes nothing from the limits.
    if policy.pointee.filtersIngress, !policy.pointee.isDisabled { filterBurst(count, policy, portIndex: portIndex) }
    lock(state)
    for index in 0..<count {
      guard let raw = frames[index] else { continue }
      let staged = stage[index]
      if let reason = refusal(Mbuf(raw), staged, policy, state) {
        drop(Mbuf(raw), port: portIndex, reason, DropContext(domain: staged.sourceKey.domain))
        frames[index] = nil
      } else {
        stageFrame(at: index, source: staged.sourceKey, destination: staged.destinationKey, seenAt: staged.seenAt)
      }
    }
    cdpdk_spin_unlock(&state.pointee.lock)
  }

  /// Drops the frames of a batch that exceed the port's egress limit.
  ///
  /// - Returns: the number of remaining frames.
  @inline(never)
  mutating func limitEgress(_ batch: UnsafeMutablePointer<OpaquePointer?>, _ count: Int, portIndex: PortIndex) -> BatchSize {
    let rate = snapshot.pointee.policies + Int(portIndex)
    let state = shared.pointee.policyStates + Int(portIndex)
    var left = BatchSize()
    lock(state)
    for index in 0..<count {
      let mbuf = Mbuf(batch[index].unsafelyUnwrapped)
      if Self.conforms(
        &state.pointee.egressBytes, &state.pointee.egressPackets, rate.pointee.egress, now: state.pointee.latestCycles, mbuf)
      {
        batch[left.frames] = mbuf.raw
        left.frames &+= 1
        left.bytes &+= UInt64(truncatingIfNeeded: mbuf.byteCount)
      } else {
        drop(mbuf, port: portIndex, .egressRateLimit)
      }
    }
    cdpdk_spin_unlock(&state.pointee.lock)
    return left
  }

  mutating func lock(_ state: UnsafeMutablePointer<PolicyState>) {
    cdpdk_spin_lock(&state.pointee.lock)
    state.pointee.latestCycles = max(state.pointee.latestCycles, nowCycles)
  }

  private mutating func refusal(
    _ mbuf: Mbuf, _ staged: StagedFrame, _ policy: UnsafePointer<PolicyEntry>,
    _ state: UnsafeMutablePointer<PolicyState>
  ) -> DropReason? {
    if policy.pointee.isDisabled { return .portDisabled }
    if policy.pointee.antiSpoofing && !mayUse(staged, policy) { return .sourceSpoofed }
    if policy.pointee.macLimit > 0 && !mayBringSource(staged, limit: policy.pointee.macLimit, state) { return .portMACLimit }
    guard
      Self.conforms(
        &state.pointee.ingressBytes, &state.pointee.ingressPackets, policy.pointee.ingress, now: state.pointee.latestCycles, mbuf)
    else { return .ingressRateLimit }
    return stormReason(staged, policy, state)
  }

  /// Whether a frame is within a rate in both units. If not, it takes nothing from either bucket.
  private static func conforms(
    _ bytes: inout rte_meter_srtcm, _ packets: inout rte_meter_srtcm, _ rate: RateEntry, now: UInt64, _ mbuf: Mbuf
  ) -> Bool {
    let packetCount = packetCount(mbuf)
    if rate.packets.isSet && !rate.packets.admits(packetCount, &packets, now: now) { return false }
    if rate.bytes.isSet && !rate.bytes.admits(UInt32(truncatingIfNeeded: mbuf.byteCount), &bytes, now: now) {
      if rate.packets.isSet { packets.tc &+= UInt64(packetCount) }
      return false
    }
    return true
  }

  /// Number of packets that a frame becomes on the wire: more than one for a large TCP segment.
  private static func packetCount(_ mbuf: Mbuf) -> UInt32 {
    guard mbuf.wantsSegments else { return 1 }
    let request = mbuf.request
    let payload = max(mbuf.byteCount - request.headerByteCount, 1)
    let segment = max(request.segmentByteCount, 1)
    return UInt32(truncatingIfNeeded: (payload + segment - 1) / segment)
  }

  // -- sources -----------------------------------------------------------------------------------------------------------

  private mutating func mayUse(_ staged: StagedFrame, _ policy: UnsafePointer<PolicyEntry>) -> Bool {
    let source = PolicyEntry.source(staged.sourceKey.mac, vlan: staged.seenAt.vlan)
    let sources = snapshot.pointee.allowedSources + Int(policy.pointee.firstSource)
    var low = 0
    var high = Int(policy.pointee.sourceCount)
    while low < high {
      let middle = (low + high) / 2
      if sources[middle] < source { low = middle + 1 } else { high = middle }
    }
    return low < Int(policy.pointee.sourceCount) && sources[low] == source
  }

  /// Whether the source is known at the port, or the limit allows one more.
  ///
  /// The learner enters a new address a moment later. Until then the address is in `pending`, so that neither a burst of new
  /// sources nor two workers at once can exceed the limit.
  private mutating func mayBringSource(
    _ staged: StagedFrame, limit: UInt32, _ state: UnsafeMutablePointer<PolicyState>
  ) -> Bool {
    let key = staged.sourceKey
    let place = staged.seenAt
    if sightings.contains(key, place) { return true }
    let known = table.lookup(key, hash: table.hash(key))
    // A static entry does not count as learned, and a frozen one is pinned.
    if known.isHit && (known.location.isAtPort(place.port) || known.isPinned) { return true }
    for index in 0..<state.pointee.pendingCount where state.pointee.pending[index] == key { return true }

    // The learner may be entering the pending addresses: each must be counted once.
    var learned = table.learnedCount(port: place.port)
    settlePending(place.port, state)
    while learned != table.learnedCount(port: place.port) {
      learned = table.learnedCount(port: place.port)
      settlePending(place.port, state)
    }
    let pending = state.pointee.pendingCount
    guard pending < PolicyState.pendingCapacity, Int(learned) &+ pending < Int(limit) else { return false }
    state.pointee.pending[state.pointee.pendingCount] = key
    state.pointee.pendingCount &+= 1
    state.pointee.pendingSince = state.pointee.latestCycles
    return true
  }

  /// Forgets the pending sources that are now in the table, and after a second all of them: those not entered by then were
  /// refused (by the VNI's limit) or lost.
  private mutating func settlePending(_ port: PortIndex, _ state: UnsafeMutablePointer<PolicyState>) {
    let isOld = state.pointee.latestCycles &- state.pointee.pendingSince > cdpdk_cycles_per_second()
    var left = 0
    for index in 0..<state.pointee.pendingCount where !isOld {
      let key = state.pointee.pending[index]
      let known = table.lookup(key, hash: table.hash(key))
      if known.isHit && known.location.isAtPort(port) { continue }
      state.pointee.pending[left] = key
      left &+= 1
    }
    state.pointee.pendingCount = left
  }

  // -- floods ------------------------------------------------------------------------------------------------------------

  private mutating func stormReason(
    _ staged: StagedFrame, _ policy: UnsafePointer<PolicyEntry>, _ state: UnsafeMutablePointer<PolicyState>
  ) -> DropReason? {
    let destination = staged.destinationKey
    let flood = FloodClass(unknown: destination.mac)
    // A controller may have set a multicast address.
    if policy.pointee.storm.isSet(flood), isKnown(destination) { return nil }
    let isAdmitted = policy.pointee.storm.admits(flood, &state.pointee.storm, now: state.pointee.latestCycles)
    return isAdmitted ? nil : flood.portReason
  }

  private mutating func isKnown(_ key: MACKey) -> Bool {
    let hash = table.hash(key)
    return table.lookup(key, hash: hash).isHit || pendingPlace(of: key, hash: hash) != StagedFrame.noLocation
  }
}

extension MACLocation {
  /// Behind the port, in any VLAN.
  @inline(always)
  fileprivate func isAtPort(_ port: PortIndex) -> Bool {
    !isVTEP && self.port == port
  }
}
