// Worker+Access: frames from a local port. Steps 2 to 4 of the walk from a VM to the wire: parse and bind, learn, look
// up. One pass over the burst each, so that table lines are on their way while the rest of the burst is looked at.

import CDPDK
import Encap
import MACTable

extension Worker {
  mutating func receiveFromAccess(_ count: Int, portIndex: UInt16) {
    let port = snapshot.pointee.ports + Int(portIndex)

    // Pass 1: parse, bind to a domain.
    beginBurst()
    var live = 0
    var byteCount: UInt64 = 0
    for index in 0..<count {
      let mbuf = Mbuf(frames[index].unsafelyUnwrapped)
      byteCount &+= UInt64(truncatingIfNeeded: mbuf.byteCount)
      guard bind(mbuf, port: port, portIndex: portIndex, to: live) else { continue }
      frames[live] = mbuf.raw
      live &+= 1
    }
    counters.ports[Int(portIndex)].addReceived(packets: UInt64(count), bytes: byteCount)
    if port.pointee.features.contains(.isPoliced) { live = police(live, portIndex: portIndex) }

    learn()
    forwardFromAccess(live, portIndex: portIndex)
  }

  /// Pass 1 for one frame: checks it, finds its domain, takes a bound VLAN tag off, and starts the table look-ups.
  ///
  /// - Returns: false when the frame was dropped.
  @inline(always)
  private mutating func bind(
    _ mbuf: Mbuf, port: UnsafePointer<PortEntry>, portIndex: UInt16, to position: Int
  ) -> Bool {
    guard mbuf.isContiguous || gather(mbuf, port: port) else {
      drop(mbuf, port: portIndex, .noBuffers)
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
    guard !destination.isLinkLocalControl else {
      drop(mbuf, port: portIndex, .linkLocalControl)
      return false
    }

    var domain = port.pointee.untaggedDomain
    var vlan: UInt16 = 0
    if ethernet.isTagged {
      switch bindTagged(mbuf, port: port) {
      case .bound(let toDomain, let byVLAN): (domain, vlan) = (toDomain, byVLAN)
      case .refused(let reason):
        drop(mbuf, port: portIndex, reason)
        return false
      }
    }
    guard domain != Limits.none else {
      drop(mbuf, port: portIndex, .untaggedNotBound)
      return false
    }
    if !port.pointee.features.isDisjoint(with: .inspectsReceived), let reason = inspect(mbuf, port: port) {
      drop(mbuf, port: portIndex, reason)
      return false
    }

    let staged = stage + position
    staged.pointee.sourceKey = MACKey(domain: domain, mac: source)
    staged.pointee.destinationKey = MACKey(domain: domain, mac: destination)
    staged.pointee.seenAt = .port(portIndex, vlan: vlan)
    startLookups(position)
    return true
  }

  private enum TaggedBinding {
    case bound(domain: UInt16, vlan: UInt16)
    case refused(DropReason)
  }

  /// A tagged frame belongs to its VLAN's binding, which consumes the tag; without one, to the untagged binding if that
  /// VNI carries tags (RFC 7348 §6.1). A priority tag (VLAN 0) is no VLAN: it is taken off.
  @inline(never)
  private func bindTagged(_ mbuf: Mbuf, port: UnsafePointer<PortEntry>) -> TaggedBinding {
    // The tag may be cut off.
    guard let vlanID = EthernetView(mbuf.bytes)?.vlanID else { return .refused(.runtFrame) }
    var domain = Limits.none
    if vlanID == 0 {
      domain = port.pointee.untaggedDomain
      if domain == Limits.none { return .refused(.untaggedNotBound) }
    } else if let map = port.pointee.vlanDomains {
      domain = map[Int(vlanID)]
    }
    if domain == Limits.none {
      domain = port.pointee.untaggedDomain
      guard domain != Limits.none else { return .refused(.vlanNotBound) }
      let carries = snapshot.pointee.domains[Int(domain)].carriesInnerVLAN
      return carries ? .bound(domain: domain, vlan: 0) : .refused(.vlanNotBound)
    }
    guard removeTag(mbuf) else { return .refused(.runtFrame) }
    // A second tag may be cut off.
    guard let inner = EthernetView(mbuf.bytes) else { return .refused(.runtFrame) }
    if inner.isTagged && !snapshot.pointee.domains[Int(domain)].carriesInnerVLAN { return .refused(.innerVLAN) }
    return .bound(domain: domain, vlan: vlanID)
  }

  /// Takes the outermost tag off: the addresses move four bytes up. False when nothing would be left of the frame.
  private func removeTag(_ mbuf: Mbuf) -> Bool {
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

  /// Pass 2: a source address that is known at this place is marked as seen; anything else is told to the learner.
  private mutating func learn() {
    for index in 0..<unsightedCount {
      let staged = stage + Int(unsighted[index])
      let key = staged.pointee.sourceKey
      learn(staged, table.lookup(key, hash: table.hash(key)))
    }
  }

  @inline(always)
  mutating func learn(_ staged: UnsafeMutablePointer<StagedFrame>, _ known: MACLookup) {
    let key = staged.pointee.sourceKey
    let seenAt = staged.pointee.seenAt
    if known.isHit && known.location == seenAt {
      table.touch(known, nowSeconds: nowSeconds)
      sightings.insert(key, seenAt)
    } else if seenAt == StagedFrame.noLocation || (known.isHit && known.type != .learned) {
      // Nothing to learn, or an operator's entry stands.
      sightings.insert(key, seenAt)
    } else {
      reportSighting(staged)
    }
  }

  @inline(never)
  mutating func report(_ event: LearnEvent) {
    if learnRing.send(event) {
      sentLearnEvents = true
    } else {
      counters.activity.pointee.learnEventsLost.add(1)
    }
  }

  /// Pass 3: where each frame goes.
  @inline(always)
  private mutating func forwardFromAccess(_ live: Int, portIndex: UInt16) {
    let table = self.table
    for index in 0..<live {
      let staged = stage + index
      let mbuf = Mbuf(frames[index].unsafelyUnwrapped)
      let key = staged.pointee.destinationKey
      let found = table.lookup(key, hash: staged.pointee.destinationHash)
      if found.isHit && found.location.isVTEP {
        sendToVTEP(mbuf, vtep: found.location.index, domain: key.domain, ingress: portIndex)
      } else if found.isHit {
        forwardLocally(mbuf, to: found.location, from: staged.pointee.seenAt)
      } else {
        // Unknown; or broadcast and multicast, which the table never holds.
        floodFromAccess(mbuf, domain: key.domain, ingress: staged.pointee.seenAt)
      }
    }
  }

  @inline(always)
  private mutating func forwardLocally(_ mbuf: Mbuf, to location: MACLocation, from ingress: MACLocation) {
    guard location != ingress else {
      drop(mbuf, port: ingress.index, .samePort)
      return
    }
    let target = LocalTarget(port: location.index, vlan: location.vlan)
    if mbuf.hasRequest {
      deliverUnfinished(mbuf, to: target, ingress: ingress.index)
    } else {
      deliver(mbuf, to: target, ingress: ingress.index)
    }
  }
}
