// Worker+Access: frames from a local port. Step E2: parse, bind to a domain, and check; what follows is the same for both walks
// (Worker+Dispatch).

import CDPDK
import Encap
import MACTable

extension Worker {
  mutating func receiveFromAccess(_ count: Int, portIndex: PortIndex) {
    let port = snapshot.pointee.ports + Int(portIndex)

    beginBurst()
    let isPoliced = port.pointee.features.contains(.isPoliced)
    var byteCount: UInt64 = 0
    var refused = BatchSize()
    for index in 0..<count {
      let mbuf = Mbuf(frames[index].unsafelyUnwrapped)
      let frameByteCount = UInt64(truncatingIfNeeded: mbuf.byteCount)
      byteCount &+= frameByteCount
      if bind(mbuf, port: port, portIndex: portIndex, to: index) { continue }
      frames[index] = nil
      refused.frames &+= 1
      refused.bytes &+= frameByteCount
    }
    if isPoliced { policeBurst(count, portIndex: portIndex) }
    counters.ports[Int(portIndex)].addReceived(packets: UInt64(count), bytes: byteCount)
    // Frames of tagged bindings were counted one by one; the rest belong to the untagged binding.
    counters.binding(port: portIndex, vlan: 0).pointee.addReceived(
      packets: UInt64(count &- refused.frames &- receivedTagged.frames), bytes: byteCount &- refused.bytes &- receivedTagged.bytes)
    receivedTagged = BatchSize()
    forwardFromPort(count, portIndex: portIndex)
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
        drop(mbuf, port: place.port, reason)
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
  mutating func removeTag(_ mbuf: Mbuf) -> Bool {
    guard mbuf.byteCount >= EthernetView.headerByteCount + EthernetView.tagByteCount else { return false }
    let start = mbuf.start
    (start + 4).copyMemory(from: start, byteCount: 12)
    return mbuf.removeFront(4)
  }
}
