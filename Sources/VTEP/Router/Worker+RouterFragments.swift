// Worker+RouterFragments: packets that do not fit the way out are fragmented (RFC 791 section 3.2, RFC 1812 section 5.2.1.3): IPv4 without DF,
// and the router's own IPv6 packets; and fragments of pings to the router are put together before they are answered. Off the fast path.

import CDPDK
import Encap
import MACTable

extension Worker {
  /// Sends a packet in fragments. Consumes it.
  ///
  /// - Parameter room: octets of the largest frame that gets there.
  @inline(never)
  mutating func sendFragments(_ packet: RoutedPacket, to mac: MACAddress, at place: MACLocation, by egress: RouterInterface, room: Int) {
    let mbuf = packet.mbuf
    if mbuf.hasRequest, mbuf.wantsSegments {
      // Each segment is a packet of its own, which may or may not fit.
      var segmenter = Segmenter(mbuf, pool: pool)
      while !segmenter.isAtEnd {
        guard let segment = segmenter.next() else {
          countDrop(mbuf, port: packet.ingress, .noBuffers)
          break
        }
        var part = packet
        part.mbuf = segment
        if segment.byteCount <= room {
          hand(part, to: mac, at: place, by: egress)
        } else {
          split(part, to: mac, at: place, by: egress, room: room)
        }
      }
      mbuf.free()
    } else if mbuf.hasRequest {
      guard let finished = mbuf.finishingChecksum(pool: pool) else {
        drop(mbuf, port: packet.ingress, .noBuffers)
        return
      }
      var whole = packet
      whole.mbuf = finished
      split(whole, to: mac, at: place, by: egress, room: room)
    } else {
      split(packet, to: mac, at: place, by: egress, room: room)
    }
  }

  /// The same for a packet that is complete.
  private mutating func split(_ packet: RoutedPacket, to mac: MACAddress, at place: MACLocation, by egress: RouterInterface, room: Int) {
    let mbuf = packet.mbuf
    guard let header = RoutedHeader(mbuf.bytes, byteCount: mbuf.byteCount) else {
      drop(mbuf, port: packet.ingress, .routerHeader, DropContext(domain: egress.domain))
      return
    }
    guard removePadding(mbuf, header), mbuf.removeFront(RoutedHeader.offset) else {
      refuse(packet, .routerTooBig, nil)
      return
    }
    let count = fragments.split(mbuf, mtu: room &- RoutedHeader.offset, isIPv6: header.isIPv6, pool: pool)
    if count == 0 { countDrop(mbuf, port: packet.ingress, .routerTooBig, DropContext(domain: egress.domain)) }
    for position in 0..<count {
      guard let fragment = fragments.fragment(position) else { continue }
      guard cdpdk_mbuf_prepend(fragment.raw, UInt16(RoutedHeader.offset)) != nil else {
        drop(fragment, port: packet.ingress, .noBuffers)
        continue
      }
      fragment.withMutableBytes { RoutedHeader.finishFragment(&$0, isIPv6: header.isIPv6) }
      if mbuf.hasNotedTag { fragment.notedTag = mbuf.notedTag }
      var part = packet
      part.mbuf = fragment
      hand(part, to: mac, at: place, by: egress)
    }
    mbuf.free()
  }

  /// Takes off what is behind a packet in its frame.
  ///
  /// - Returns: false: it is more than the last buffer.
  private mutating func removePadding(_ mbuf: Mbuf, _ header: RoutedHeader) -> Bool {
    let padding = mbuf.byteCount &- RoutedHeader.offset &- header.packetByteCount
    return padding == 0 || padding <= Int(UInt16.max) && cdpdk_mbuf_trim(mbuf.raw, UInt16(truncatingIfNeeded: padding)) == 0
  }

  /// A fragment of a packet to an address of the router. The last one completes it. Consumes it.
  mutating func reassemble(_ packet: RoutedPacket) {
    note(.gathers, packet.interface)
    guard recorder == nil else {
      // It would wait.
      packet.mbuf.free()
      return
    }
    let header = packet.header
    guard !header.isBeyondLongest(packet.mbuf.bytes), removePadding(packet.mbuf, header) else {
      refuse(packet, .routerHeader, nil)
      return
    }
    guard fragments.prepare() else {
      refuse(packet, .noBuffers, nil)
      return
    }
    guard let mbuf = spared(packet.mbuf, port: packet.ingress) else { return }
    cdpdk_mbuf_note_port(mbuf.raw, packet.ingress.rawValue)
    let whole = fragments.add(
      mbuf, interface: packet.interface.index, headerByteCount: header.fragmentHeaderByteCount, isIPv6: header.isIPv6)
    dropRejected()
    guard let whole else { return }
    if !packet.header.isIPv6 { whole.withMutableBytes { RoutedHeader.writeChecksum(&$0) } }
    var complete = packet
    complete.mbuf = whole
    guard let header = RoutedHeader(whole.bytes, byteCount: whole.byteCount) else {
      refuse(complete, .routerHeader, nil)
      return
    }
    complete.header = header
    // ND is never in fragments (RFC 6980), nor are fragments.
    guard !header.isFragment, RouterInquiry(whole.bytes, header) != .neighborDiscovery else {
      refuse(complete, .routerAddress, nil)
      return
    }
    receive(complete)
  }

  /// From time to time while fragments wait.
  @inline(never)
  mutating func expireFragments(now: UInt64 = cdpdk_cycles()) {
    fragments.expire(now: now)
    dropRejected()
  }

  private mutating func dropRejected() {
    while let mbuf = fragments.takeRejected() { drop(mbuf, port: PortIndex(rawValue: cdpdk_mbuf_noted_port(mbuf.raw)), .routerAddress) }
  }
}
