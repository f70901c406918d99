// Worker+Access: frames from a local port. Step E2: parse, bind to a domain, and check; what follows is the same for both walks
// (Worker+Dispatch).

import CDPDK
import Encap
import MACTable

extension Worker {
  mutating func receiveFromAccess(_ count: Int, portIndex: PortIndex) {
    let port = snapshot.pointee.ports + Int(portIndex)
    let features = port.pointee.features
    let domain = port.pointee.untaggedDomain

    beginBurst()
    uncommonFrames = 0
    if let domains = port.pointee.vlanDomains, let tpid = tpidOfBurst(port) {
      receiveTagged(count, tpid: tpid, domains, port, portIndex: portIndex)
      return
    }
    // Everyday frames: of the untagged binding, from a station to a station, alone in a buffer of the same shape as the first one's.
    // What all have in common is asked once.
    let first = cdpdk_mbuf_shape(frames[0].unsafelyUnwrapped)
    let offset = Int(cdpdk_shape_offset(first))
    isBurstPlain =
      cdpdk_shape_is_single(first) != 0 && offset >= OuterHeader.ipv4ByteCount && domain != .absent && !features.contains(.isPoliced)
    // No received buffer is without references.
    let shape = isBurstPlain ? first : 0
    let place = MACLocation.port(portIndex, vlan: 0)
    let sightings = self.sightings.at(place)
    let table = self.table
    var flags: UInt64 = 0
    receivedBytes = 0
    var refused = BatchSize()
    var done = 0
    var left = count
    if isBurstPlain && table.isSmall && !table.hasGhosts && !features.contains(.offersOffloads) {
      done = forwardAtOnce(&left, portIndex: portIndex, domain: domain, shape: shape)
      if done == left {
        countReceived(count, refused: refused, portIndex: portIndex)
        return
      }
    }
    for index in done..<left {
      let mbuf = Mbuf(frames[index].unsafelyUnwrapped)
      let frameByteCount = mbuf.byteCount
      receivedBytes &+= UInt64(truncatingIfNeeded: frameByteCount)
      flags |= cdpdk_mbuf_flags(mbuf.raw)
      if cdpdk_mbuf_shape(mbuf.raw) == shape {
        // The length from the segment: a condition on what is at hand already would be merged with the one before, at a greater cost.
        let bytes = mbuf.bytes
        if bytes.byteCount >= InnerFlow.everydayByteCount {
          let ethernet = WireEthernetHeader(unchecked: bytes, at: 0)
          if ethernet.isEveryday {
            stageEveryday(
              in: stage + index, source: MACKey(domain: domain, octets: ethernet.source),
              destination: MACKey(domain: domain, octets: ethernet.destination), seenAt: place, sightings, table)
            continue
          }
        }
      }
      if bindUncommon(mbuf, port: port, portIndex: portIndex, to: index, shape: shape, isTagged: false) { continue }
      frames[index] = nil
      refused.frames &+= 1
      refused.bytes &+= UInt64(truncatingIfNeeded: frameByteCount)
    }
    if features.contains(.offersOffloads) {
      takeRequests(left, portIndex: portIndex, hasReports: cdpdk_flags_have_report(flags) != 0, refused: &refused)
    }
    if features.contains(.isPoliced) { policeBurst(left, portIndex: portIndex) }
    countReceived(count, refused: refused, portIndex: portIndex)
    if isBurstPlain && cdpdk_flags_are_plain(flags) != 0 && !table.hasGhosts {
      forwardPlainFromPort(left, portIndex: portIndex, domain: domain, offset: offset)
    } else {
      for index in 0..<left where uncommonFrames & 1 &<< UInt32(truncatingIfNeeded: index) == 0 { stage[index].seenAt = place }
      forwardFromPort(left, portIndex: portIndex)
    }
  }

  /// Step E2 for any frame, and whether the burst may still take the short cut: in one of untagged frames (Worker+Plain), all are of the
  /// untagged binding.
  ///
  /// - Parameters:
  ///   - shape: of the buffers of everyday frames, once bound.
  ///   - isTagged: the burst is one of tagged frames (Worker+Tagged), which may be of any binding.
  /// - Returns: false when the frame was dropped or taken before it belonged to a binding.
  @inline(never)
  mutating func bindUncommon(
    _ mbuf: Mbuf, port: UnsafePointer<PortEntry>, portIndex: PortIndex, to position: Int, shape: UInt64, isTagged: Bool
  ) -> Bool {
    guard bind(mbuf, port: port, portIndex: portIndex, to: position) else { return false }
    uncommonFrames |= 1 &<< UInt32(truncatingIfNeeded: position)
    if cdpdk_mbuf_shape(mbuf.raw) != shape || mbuf.byteCount < InnerFlow.everydayByteCount || !mbuf.isPlain
      || (!isTagged && stage[position].seenAt != .port(portIndex, vlan: 0))
    {
      isBurstPlain = false
    }
    return true
  }

  /// The last check of step E2 for the everyday frames of a burst, if a driver has reported something about any: a checksum or a large
  /// segment, or that it has parsed headers.
  @inline(never)
  private mutating func takeRequests(_ count: Int, portIndex: PortIndex, hasReports: Bool, refused: inout BatchSize) {
    var packetTypes: UInt32 = 0
    for index in 0..<count {
      if let raw = frames[index] { packetTypes |= cdpdk_mbuf_packet_type(raw) }
    }
    guard hasReports || packetTypes != 0 else { return }
    for index in 0..<count where uncommonFrames & 1 &<< UInt32(truncatingIfNeeded: index) == 0 {
      guard let raw = frames[index] else { continue }
      let byteCount = Mbuf(raw).byteCount
      guard let reason = acceptRequest(Mbuf(raw)) else {
        if !Mbuf(raw).isPlain || Mbuf(raw).byteCount < InnerFlow.everydayByteCount { isBurstPlain = false }
        continue
      }
      drop(Mbuf(raw), port: portIndex, reason, DropContext(domain: stage[index].destinationKey.domain))
      frames[index] = nil
      refused.frames &+= 1
      refused.bytes &+= UInt64(truncatingIfNeeded: byteCount)
    }
  }

  /// Step E2 for one frame: checks it, finds its domain, and starts the table look-ups.
  ///
  /// - Returns: false when the frame was dropped or taken before it belonged to a binding.
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
    let source = MACKey(domain: domain, mac: source)
    let destination = MACKey(domain: domain, mac: destination)
    let features = port.pointee.features
    if !features.isDisjoint(with: .checksReceived) {
      if features.contains(.offersOffloads), let reason = acceptRequest(mbuf) {
        drop(mbuf, port: place.port, reason, DropContext(domain: source.domain))
        return false
      }
      if features.contains(.isPoliced) {
        // `policeBurst` follows; the binding has received the frame in any case.
        stageForPolicing(at: position, source: source, destination: destination, seenAt: place)
        return true
      }
    }
    stageFrame(at: position, source: source, destination: destination, seenAt: place)
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
    case .refused(let reason, let domain):
      drop(mbuf, port: portIndex, reason, DropContext(domain: domain))
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
    /// With the domain of a frame whose tag was removed.
    case refused(DropReason, DomainIndex = .absent)
  }

  /// A tagged frame belongs to its VLAN's binding, which consumes the tag; without one, to the untagged binding if that VNI carries tags
  /// (RFC 7348 §6.1). A tag with a TPID that the port does not take belongs to no binding. A priority tag (VLAN 0) names no VLAN and is
  /// removed. Further tags stay where the VNI carries them; otherwise the frame is dropped, since they must not choose another VLAN
  /// anywhere.
  private mutating func consumeTag(_ mbuf: Mbuf, port: UnsafePointer<PortEntry>) -> TaggedBinding {
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
    guard let inner = EthernetView(mbuf.bytes) else { return .refused(.runtFrame, domain) }
    if inner.isTagged && !snapshot.pointee.domains[Int(domain)].carriesInnerVLAN { return .refused(.innerVLAN, domain) }
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
  mutating func removeTag(_ mbuf: Mbuf) -> Bool {
    guard mbuf.byteCount >= EthernetView.headerByteCount + EthernetView.tagByteCount else { return false }
    let start = mbuf.start
    (start + 4).copyMemory(from: start, byteCount: 12)
    return mbuf.removeFront(4)
  }
}
