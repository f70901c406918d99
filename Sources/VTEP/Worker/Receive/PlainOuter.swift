// PlainOuter: what the loop over a burst from the wire asks an everyday packet of either family (Worker+Underlay). Step D2.

import Encap
import MACTable

/// A VXLAN packet with plain outer headers.
protocol PlainOuter {
  /// Octets in front of the inner frame.
  static var byteCount: Int { get }
  /// Nil for every packet that is not of this kind.
  init?(_ packet: RawSpan, udpPort: UInt16, isTrusted: Bool)
  var trafficClass: UInt8 { get }
  /// The number with its octets swapped.
  var wireVNI: UInt32 { get }
  /// Octets of the inner frame, with which the packet ends.
  var innerByteCount: Int { get }
  /// Addressed to our VTEP address.
  func isOurs(_ snapshot: UnsafePointer<ForwardingSnapshot>) -> Bool
  /// The VTEP that has sent it; absent: none that is known.
  func peer(_ snapshot: UnsafePointer<ForwardingSnapshot>) -> VTEPIndex
}

extension PlainOuterIPv4: PlainOuter {
  @inline(always)
  func isOurs(_ snapshot: UnsafePointer<ForwardingSnapshot>) -> Bool { UInt64(wireDestination) == snapshot.pointee.ownIPv4 }

  @inline(always)
  func peer(_ snapshot: UnsafePointer<ForwardingSnapshot>) -> VTEPIndex { snapshot.pointee.peer(atIPv4: source) }
}

extension PlainOuterIPv6: PlainOuter {
  @inline(always)
  func isOurs(_ snapshot: UnsafePointer<ForwardingSnapshot>) -> Bool { destination == snapshot.pointee.ownIPv6 }

  @inline(always)
  func peer(_ snapshot: UnsafePointer<ForwardingSnapshot>) -> VTEPIndex { snapshot.pointee.peer(atIPv6: source) }
}
