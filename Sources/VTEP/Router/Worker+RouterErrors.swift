// Worker+RouterErrors: the end of packets that a router does not forward: counted by reason, and their senders told by ICMP, at a bounded
// rate (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 f).

import CDPDK
import Encap
import MACTable

/// How many ICMP errors one worker may still send within the current second.
struct RouterErrorBudget {
  static let perSecond = 200
  private var second: UInt32 = 0
  private var left = RouterErrorBudget.perSecond

  mutating func take(nowSeconds: UInt32) -> Bool {
    if second != nowSeconds { (second, left) = (nowSeconds, Self.perSecond) }
    guard left > 0 else { return false }
    left &-= 1
    return true
  }
}

extension Worker {
  /// Drops a packet and tells its sender. Consumes it.
  ///
  /// - Parameter error: nil: the sender is not told.
  @inline(never)
  mutating func refuse(_ packet: RoutedPacket, _ reason: DropReason, _ error: RouterError?) {
    if let error, !packet.isOwn { report(error, packet) }
    drop(packet.mbuf, port: packet.ingress, reason, DropContext(domain: packet.interface.domain))
  }

  private mutating func report(_ error: RouterError, _ packet: RoutedPacket) {
    // Of a large segment the first of those that it stands for is quoted.
    if packet.mbuf.hasRequest, packet.mbuf.wantsSegments {
      var segmenter = Segmenter(packet.mbuf, pool: pool)
      guard let first = segmenter.next() else { return }
      if let header = RoutedHeader(first.bytes, byteCount: first.byteCount) { report(error, packet, quoting: first.bytes, header) }
      first.free()
    } else {
      report(error, packet, quoting: packet.mbuf.bytes, packet.header)
    }
  }

  /// Where an error comes from: of a packet to the router, the address that it went to (RFC 1122 section 3.2.2, RFC 4443 section 2.2 a).
  private mutating func source(of error: RouterError, _ interface: RouterInterface, _ header: RoutedHeader) -> IPAddress? {
    switch error {
    case .portUnreachable, .protocolUnreachable: header.destination
    // A host that has no other address knows no other (RFC 6724 section 5).
    case .beyondScope: interface.mac.linkLocalAddress
    default: snapshot.pointee.routing.source(for: header.source, interface)
    }
  }

  private mutating func report(_ error: RouterError, _ packet: RoutedPacket, quoting frame: RawSpan, _ header: RoutedHeader) {
    guard let message = RouterMessage(about: frame, header), let source = source(of: error, packet.interface, header),
      routerErrors.take(nowSeconds: nowSeconds), let mbuf = buffer(message.frameByteCount)
    else { return }
    mbuf.withMutableBytes { message.write(error, into: &$0, quoting: frame, header, from: source) }
    guard let own = RoutedHeader(mbuf.bytes, byteCount: mbuf.byteCount) else {
      mbuf.free()
      return
    }
    originate(
      RoutedPacket(
        mbuf: mbuf, header: own, interface: packet.interface, seenAt: StagedFrame.noLocation, ingress: packet.ingress, isOwn: true))
  }
}
