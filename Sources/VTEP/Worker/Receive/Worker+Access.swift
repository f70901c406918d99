// Worker+Access: frames from a local port. Steps E2 to E4: parse and bind, learn, look up. One pass over the burst each, so that table lines are on their way while the rest of the burst is looked at.

import CDPDK
import Encap
import MACTable

extension Worker {
  mutating func receiveFromAccess(_ count: Int, portIndex: PortIndex) {
    let port = snapshot.pointee.ports + Int(portIndex)

    // Step E2: parse, bind to a domain.
    beginBurst()
    var live = 0
    var byteCount: UInt64 = 0
    var refusedByteCount: UInt64 = 0
    for index in 0..<count {
      let mbuf = Mbuf(frames[index].unsafelyUnwrapped)
      let frameByteCount = UInt64(truncatingIfNeeded: mbuf.byteCount)
      byteCount &+= frameByteCount
      guard bind(mbuf, port: port, portIndex: portIndex, to: live) else {
        refusedByteCount &+= frameByteCount
        continue
      }
      frames[live] = mbuf.raw
      live &+= 1
    }
    counters.ports[Int(portIndex)].addReceived(packets: UInt64(count), bytes: byteCount)
    // Frames of tagged bindings were counted one by one; the rest belong to the untagged binding.
    counters.binding(port: portIndex, vlan: 0).pointee.addReceived(
      packets: UInt64(live &- receivedTagged.frames), bytes: byteCount &- refusedByteCount &- receivedTagged.bytes)
    receivedTagged = BatchSize()
    if port.pointee.features.contains(.isPoliced) { live = police(live, portIndex: portIndex) }

    if learn(portIndex: portIndex) { live = closeGaps(live) }
    forwardFromAccess(live, portIndex: portIndex)
  }

  /// Step E2 for one frame: checks it, finds its domain, and starts the table look-ups.
  ///
  /// - Returns: false when the frame was dropped.
  @inline(always)
  private mutating func bind(
    _ mbuf: Mbuf, port: UnsafePointer<PortEntry>, portIndex: PortIndex, to position: Int
  ) -> Bool {
    guard mbuf.isContiguous || gather(mbuf, port: port) else {
      drop(mbuf, port: portIndex, .frameTooLong)
      return false
    }
    guard mbuf.byteCount >= EthernetView.headerByteCount else {
      drop(mbuf, port: portIndex, .runtFrame)
      return false
    }
    let ethernet = EthernetHeader(unchecked: mbuf.bytes, at: 0)
    let source = ethernet.source
    let destination = ethernet.destination
    guard !source.isMulticast else {
      drop(mbuf, port: portIndex, .sourceMulticast)
      return false
    }
    guard !source.isZero else {
      drop(mbuf, port: portIndex, .sourceZero)
      return false
    }
    if destination.mayBeControl && takeControl(mbuf, port: port, portIndex: portIndex) { return false }

    if ethernet.isTagged { return bindTagged(mbuf, port: port, portIndex: portIndex, to: position) }
    let domain = port.pointee.untaggedDomain
    guard domain != .absent else {
      drop(mbuf, port: portIndex, .untaggedNotBound)
      return false
    }
    return enter(
      mbuf, domain: domain, source: source, destination: destination, seenAt: .port(portIndex, vlan: 0), port: port, to: position)
  }

  /// The rest of step E2, once the frame's domain is known.
  @inline(always)
  private mutating func enter(
    _ mbuf: Mbuf, domain: DomainIndex, source: MACAddress, destination: MACAddress, seenAt place: MACLocation,
    port: UnsafePointer<PortEntry>, to position: Int
  ) -> Bool {
    if !port.pointee.features.isDisjoint(with: .inspectsReceived), let reason = inspect(mbuf, port: port, portIndex: place.port) {
      drop(mbuf, port: place.port, reason)
      return false
    }
    let staged = stage + position
    staged.pointee.sourceKey = MACKey(domain: domain, mac: source)
    staged.pointee.destinationKey = MACKey(domain: domain, mac: destination)
    staged.pointee.seenAt = place
    startLookups(position)
    return true
  }

  /// Step E2 for a tagged frame whose addresses have been checked: removes the tag of a bound VLAN.
  @inline(never)
  private mutating func bindTagged(
    _ mbuf: Mbuf, port: UnsafePointer<PortEntry>, portIndex: PortIndex, to position: Int
  ) -> Bool {
    let byteCount = UInt64(truncatingIfNeeded: mbuf.byteCount)
    let ethernet = EthernetHeader(unchecked: mbuf.bytes, at: 0)
    switch consumeTag(mbuf, port: port) {
    case .refused(let reason):
      drop(mbuf, port: portIndex, reason)
      return false
    case .bound(let domain, let vlan):
      guard
        enter(
          mbuf, domain: domain, source: ethernet.source, destination: ethernet.destination, seenAt: .port(portIndex, vlan: vlan),
          port: port, to: position)
      else { return false }
      if vlan != 0 {
        counters.binding(port: portIndex, vlan: vlan).pointee.addReceived(packets: 1, bytes: byteCount)
        receivedTagged.frames &+= 1
        receivedTagged.bytes &+= byteCount
      }
      return true
    }
  }

  private enum TaggedBinding {
    case bound(domain: DomainIndex, vlan: UInt16)
    case refused(DropReason)
  }

  /// A tagged frame belongs to its VLAN's binding, which consumes the tag; without one, to the untagged binding if that
  /// VNI carries tags (RFC 7348 §6.1). A tag of the kind that the port does not take is of no binding. A priority tag (VLAN 0) is no VLAN: it is taken off. Further tags stay where the VNI
  /// carries them, and otherwise the frame goes: they must not choose another VLAN anywhere.
  private func consumeTag(_ mbuf: Mbuf, port: UnsafePointer<PortEntry>) -> TaggedBinding {
    // The tag may be truncated.
    guard let tag = EthernetView(mbuf.bytes)?.vlanTCI else { return .refused(.runtFrame) }
    let vlan = tag & 0xfff
    guard vlan != Self.reservedVLAN else { return .refused(.vlanReserved) }
    let untagged = port.pointee.untaggedDomain
    let isOfPort = port.pointee.takesTag(EthernetHeader(unchecked: mbuf.bytes, at: 0).etherType)
    var domain = DomainIndex.absent
    if vlan == 0 {
      guard untagged != .absent else { return .refused(.untaggedNotBound) }
      domain = untagged
    } else if isOfPort, let map = port.pointee.vlanDomains {
      domain = map[Int(vlan)]
    }
    guard domain != .absent else {
      let isCarried = untagged != .absent && snapshot.pointee.domains[Int(untagged)].carriesInnerVLAN
      if isCarried { return .bound(domain: untagged, vlan: 0) }
      return .refused(isOfPort ? .vlanNotBound : .tpidNotBound)
    }
    guard removeTag(mbuf) else { return .refused(.runtFrame) }
    // A second tag may be truncated.
    guard let inner = EthernetView(mbuf.bytes) else { return .refused(.runtFrame) }
    if inner.isTagged && !snapshot.pointee.domains[Int(domain)].carriesInnerVLAN { return .refused(.innerVLAN) }
    // Priority and DEI are kept. If both are zero, the tag matters only if the table has a DSCP for priority 0.
    let priority = tag & Self.priorityMask
    if priority != 0 || snapshot.pointee.dscpOfPCP[0] != 0 { mbuf.notedTag = priority }
    return .bound(domain: domain, vlan: vlan)
  }

  /// Reserved (IEEE 802.1Q-2018 table 9-2).
  private static var reservedVLAN: UInt16 { 0xfff }
  /// Priority code point and drop eligible indicator.
  static var priorityMask: UInt16 { 0xf000 }

  /// Removes the outermost tag: the addresses move four bytes up. False when nothing would be left of the frame.
  func removeTag(_ mbuf: Mbuf) -> Bool {
    guard mbuf.byteCount >= EthernetView.headerByteCount + EthernetView.tagByteCount else { return false }
    let start = mbuf.start
    (start + 4).copyMemory(from: start, byteCount: 12)
    return mbuf.removeFront(4)
  }

  /// Starts the table look-ups of the frame at `position`.
  @inline(always)
  mutating func startLookups(_ position: Int) {
    let staged = stage + position
    let destinationHash = table.hash(staged.pointee.destinationKey)
    staged.pointee.destinationHash = destinationHash
    cdpdk_prefetch(table.bucketAddresses(destinationHash).0)
    if !sightings.contains(staged.pointee.sourceKey, staged.pointee.seenAt) {
      unsighted[unsightedCount] = Int32(truncatingIfNeeded: position)
      unsightedCount &+= 1
      cdpdk_prefetch(table.bucketAddresses(table.hash(staged.pointee.sourceKey)).0)
    }
  }

  @inline(always)
  mutating func beginBurst() {
    unsightedCount = 0
    sightings.begin(changeCount: table.changeCount, nowSeconds: nowSeconds)
  }

  /// Step E3: marks a source address that is known at this place as seen, and reports any other to the learner. A frame whose
  /// source is frozen elsewhere is dropped, which breaks a loop.
  ///
  /// - Returns: whether frames were dropped; they leave gaps in `frames`.
  private mutating func learn(portIndex: PortIndex) -> Bool {
    var hasGaps = false
    for index in 0..<unsightedCount {
      let position = Int(unsighted[index])
      let staged = stage + position
      let key = staged.pointee.sourceKey
      let known = table.lookup(key, hash: table.hash(key))
      if known.isFrozen(elsewhereThan: staged.pointee.seenAt) {
        drop(Mbuf(frames[position].unsafelyUnwrapped), port: portIndex, .sourceFrozen)
        frames[position] = nil
        hasGaps = true
      } else {
        learn(staged, known)
      }
    }
    return hasGaps
  }

  /// Closes the gaps in a burst.
  ///
  /// - Returns: the number of remaining frames.
  @inline(never)
  private func closeGaps(_ count: Int) -> Int {
    var live = 0
    for index in 0..<count {
      guard let raw = frames[index] else { continue }
      frames[live] = raw
      stage[live] = stage[index]
      live &+= 1
    }
    return live
  }

  @inline(always)
  mutating func learn(_ staged: UnsafeMutablePointer<StagedFrame>, _ known: MACLookup) {
    let key = staged.pointee.sourceKey
    let seenAt = staged.pointee.seenAt
    if known.isHit && known.location == seenAt {
      table.touch(known, nowSeconds: nowSeconds)
      sightings.insert(key, seenAt)
    } else if seenAt == StagedFrame.noLocation || (known.isHit && known.isPinned) {
      // Nothing to learn, or an operator's entry takes precedence. A controller's entry is reported, so that it can be updated.
      sightings.insert(key, seenAt)
      if known.isHit && known.type == .controller && !seenAt.isVTEP { reportSighting(staged) }
    } else {
      reportSighting(staged)
    }
  }

  @inline(never)
  mutating func report(_ event: LearnEvent) {
    if learnRings[index].send(event, hash: table.hash(event.key)) {
      sentLearnEvents = true
    } else {
      counters.activity.pointee.learnEventsLost.add(1)
    }
  }

  /// Step E4: looks up where each frame goes.
  @inline(always)
  private mutating func forwardFromAccess(_ live: Int, portIndex: PortIndex) {
    let table = self.table
    let isIsolated = snapshot.pointee.ports[Int(portIndex)].features.contains(.isIsolated)
    for index in 0..<live {
      let staged = stage + index
      let mbuf = Mbuf(frames[index].unsafelyUnwrapped)
      let key = staged.pointee.destinationKey
      let found = table.lookup(key, hash: staged.pointee.destinationHash)
      if found.isHit && found.location.isVTEP {
        sendToVTEP(mbuf, vtep: found.location.vtep, domain: key.domain, ingress: portIndex)
      } else if found.isHit {
        forwardLocally(mbuf, to: found.location, from: staged.pointee.seenAt, isIsolated: isIsolated)
      } else {
        forwardUnknown(mbuf, position: index)
      }
    }
  }

  /// Handles a destination that is not in the table: broadcast and multicast, which it never holds, a station seen a moment ago,
  /// or an unknown one.
  @inline(never)
  private mutating func forwardUnknown(_ mbuf: Mbuf, position: Int) {
    let staged = stage + position
    let key = staged.pointee.destinationKey
    let place = pendingPlace(of: key, hash: staged.pointee.destinationHash)
    if place == StagedFrame.noLocation {
      if isAwaited(key) {
        hold(mbuf, for: key, ingress: staged.pointee.seenAt)
      } else {
        floodFromAccess(mbuf, domain: key.domain, ingress: staged.pointee.seenAt)
      }
    } else if place.isVTEP {
      sendToVTEP(mbuf, vtep: place.vtep, domain: key.domain, ingress: staged.pointee.seenAt.port)
    } else {
      let isIsolated = snapshot.pointee.ports[Int(staged.pointee.seenAt.port)].features.contains(.isIsolated)
      forwardLocally(mbuf, to: place, from: staged.pointee.seenAt, isIsolated: isIsolated)
    }
  }

  @inline(always)
  mutating func forwardLocally(
    _ mbuf: Mbuf, to location: MACLocation, from ingress: MACLocation, isIsolated: Bool
  ) {
    guard location != ingress else {
      drop(mbuf, port: ingress.port, .samePort)
      return
    }
    if isIsolated && snapshot.pointee.ports[Int(location.port)].features.contains(.isIsolated) {
      drop(mbuf, port: ingress.port, .portIsolated)
      return
    }
    let target = LocalTarget(port: location.port, vlan: location.vlan)
    if mbuf.hasRequest {
      deliverUnfinished(mbuf, to: target, ingress: ingress.port)
    } else {
      deliver(mbuf, to: target, ingress: ingress.port)
    }
  }
}
