// Worker+Tagged: bursts of tagged frames from a local port. Step E2, as in Worker+Access, for ports whose VLANs are bound to VNIs: the tag
// is taken off in place, and every frame has the domain of its VLAN.

import CDPDK
import Encap
import MACTable

extension Worker {
  /// What makes a burst one of tagged frames: the port has tagged bindings and checks nothing else, and the first frame has a tag that
  /// the port takes.
  ///
  /// - Returns: the TPID; nil: it is none.
  @inline(never)
  mutating func tpidOfBurst(_ port: UnsafePointer<PortEntry>) -> UInt16? {
    // With a DSCP for priority 0, every tag must be noted.
    guard port.pointee.features.isDisjoint(with: .checksReceived), snapshot.pointee.dscpOfPCP[0] == 0 else { return nil }
    let bytes = Mbuf(frames[0].unsafelyUnwrapped).bytes
    guard bytes.byteCount >= EthernetView.headerByteCount else { return nil }
    let header = EthernetHeader(unchecked: bytes, at: 0)
    return header.isTagged && port.pointee.takesTag(header.etherType) ? header.etherType : nil
  }

  @inline(never)
  mutating func receiveTagged(
    _ count: Int, tpid: UInt16, _ domains: UnsafePointer<DomainIndex>, _ port: UnsafePointer<PortEntry>, portIndex: PortIndex
  ) {
    let first = cdpdk_mbuf_shape(frames[0].unsafelyUnwrapped)
    // Without the tag.
    let offset = Int(cdpdk_shape_offset(first)) &+ EthernetView.tagByteCount
    isBurstPlain = cdpdk_shape_is_single(first) != 0 && offset >= OuterHeader.ipv4ByteCount
    // No received buffer is without references.
    let shape = isBurstPlain ? first : 0
    let bound = shape &+ UInt64(EthernetView.tagByteCount)
    let table = self.table
    let sightings = self.sightings
    let bindings = counters.binding(port: portIndex, vlan: 0)
    var flags: UInt64 = 0
    receivedBytes = 0
    var tagged = BatchSize()
    var refused = BatchSize()
    for index in 0..<count {
      let mbuf = Mbuf(frames[index].unsafelyUnwrapped)
      let frameByteCount = UInt64(truncatingIfNeeded: mbuf.byteCount)
      receivedBytes &+= frameByteCount
      flags |= cdpdk_mbuf_flags(mbuf.raw)
      everyday: do {
        guard cdpdk_mbuf_shape(mbuf.raw) == shape else { break everyday }
        let bytes = mbuf.bytes
        guard bytes.byteCount >= InnerFlow.everydayByteCount &+ EthernetView.tagByteCount else { break everyday }
        let header = WireTaggedHeader(unchecked: bytes)
        guard header.isEveryday(tpid: tpid) else { break everyday }
        // VLAN 0, which names none, and the reserved one are not bound.
        let vlan = header.vlan
        let domain = domains[Int(vlan)]
        guard domain != .absent else { break everyday }
        mbuf.removeTagInPlace()
        bindings[Int(vlan)].addReceived(packets: 1, bytes: frameByteCount)
        tagged.frames &+= 1
        tagged.bytes &+= frameByteCount
        let place = MACLocation.port(portIndex, vlan: vlan)
        stageFrame(
          at: index, source: MACKey(domain: domain, octets: header.ethernet.source),
          destination: MACKey(domain: domain, octets: header.ethernet.destination), seenAt: place, sightings.at(place), table)
        continue
      }
      if bindUncommon(mbuf, port: port, portIndex: portIndex, to: index, shape: bound, isTagged: true) { continue }
      frames[index] = nil
      refused.frames &+= 1
      refused.bytes &+= frameByteCount
    }
    receivedTagged.frames &+= tagged.frames
    receivedTagged.bytes &+= tagged.bytes
    countReceived(count, refused: refused, portIndex: portIndex)
    if isBurstPlain && cdpdk_flags_are_plain(flags) != 0 && !table.hasGhosts {
      forwardTaggedFromPort(count, portIndex: portIndex, offset: offset)
    } else {
      forwardFromPort(count, portIndex: portIndex)
    }
  }

  /// Counts a burst from a port.
  ///
  /// - Parameter refused: what was dropped or taken before it belonged to a binding.
  @inline(always)
  mutating func countReceived(_ count: Int, refused: BatchSize, portIndex: PortIndex) {
    counters.ports[Int(portIndex)].addReceived(packets: UInt64(count), bytes: receivedBytes)
    // Frames of tagged bindings were counted one by one; the rest belong to the untagged binding.
    counters.binding(port: portIndex, vlan: 0).pointee.addReceived(
      packets: UInt64(count &- refused.frames &- receivedTagged.frames), bytes: receivedBytes &- refused.bytes &- receivedTagged.bytes)
    receivedTagged = BatchSize()
  }
}
