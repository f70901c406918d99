// PlainOuter: what the loop over a burst from the wire asks an everyday packet of either family (Worker+UnderlayBurst). Step D2.

import Encap
import MACTable

/// What packets to our VTEP address look like.
protocol OuterPattern {
  /// - Parameter isTrusted: its UDP checksum need not be verified.
  func matches(_ packet: RawSpan, isTrusted: Bool) -> Bool
}

extension PlainOuterIPv4.Pattern: OuterPattern {}
extension PlainOuterIPv6.Pattern: OuterPattern {}

/// A VXLAN packet with plain outer headers.
protocol PlainOuter {
  associatedtype Pattern: OuterPattern
  /// Where VTEPs are looked up. Got once for a burst.
  associatedtype Peers
  static func pattern(_ snapshot: UnsafePointer<ForwardingSnapshot>, mac: MACAddress?) -> Pattern
  /// Octets in front of the inner frame.
  static var byteCount: Int { get }
  /// The VXLAN header's last word, as it is in memory, of a packet that matches.
  static func wireSegment(_ packet: RawSpan) -> UInt32
  /// Of a packet that matches; nil if it is not of this kind.
  init?(matching packet: RawSpan, isTrusted: Bool)
  var trafficClass: UInt8 { get }
  /// Octets of the inner frame, with which the packet ends.
  var innerByteCount: Int { get }
  static func peers(_ snapshot: UnsafePointer<ForwardingSnapshot>) -> Peers
  /// The VTEP that has sent it; absent: none that is known.
  func peer(_ peers: Peers) -> VTEPIndex
}

extension PlainOuterIPv4: PlainOuter {
  @inline(always)
  static func pattern(_ snapshot: UnsafePointer<ForwardingSnapshot>, mac: MACAddress?) -> Pattern {
    Pattern(mac: mac, wireDestination: snapshot.pointee.ownIPv4, udpPort: snapshot.pointee.decapPolicy.udpPort)
  }

  @inline(always)
  static func peers(_ snapshot: UnsafePointer<ForwardingSnapshot>) -> IPv4Map { snapshot.pointee.ipv4 }

  @inline(always)
  func peer(_ peers: IPv4Map) -> VTEPIndex { peers.peer(at: wireSource) }
}

extension PlainOuterIPv6: PlainOuter {
  @inline(always)
  static func pattern(_ snapshot: UnsafePointer<ForwardingSnapshot>, mac: MACAddress?) -> Pattern {
    Pattern(mac: mac, destination: snapshot.pointee.ownIPv6, udpPort: snapshot.pointee.decapPolicy.udpPort)
  }

  @inline(always)
  static func peers(_ snapshot: UnsafePointer<ForwardingSnapshot>) -> UnsafePointer<ForwardingSnapshot> { snapshot }

  @inline(always)
  func peer(_ peers: UnsafePointer<ForwardingSnapshot>) -> VTEPIndex { peers.pointee.peer(atIPv6: source) }
}
