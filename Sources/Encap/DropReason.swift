// Why a frame or packet was not forwarded. One list feeds the workers' counters, `vtepctl show drops`, metrics and docs;
// the cases stand in the order in which a frame (access side) and a packet (underlay side) meet the checks.

/// The reason for dropping a frame or packet. Raw values are dense from 0 and index counter arrays; they may change between
/// versions, `name` does not.
@frozen
public enum DropReason: UInt8, CaseIterable, Sendable {
  // A frame from a port.
  case runtFrame
  case frameTooLong
  case sourceMulticast
  case sourceZero
  case linkLocalControl
  case bpduGuard
  case loopProbe
  case puntRateLimit
  case puntQueueFull
  case puntTapDown
  case puntNotControl
  case bfdFromPort
  case vlanReserved
  case vlanNotBound
  case tpidNotBound
  case untaggedNotBound
  case offloadHeaders
  case offloadSegmentSize
  case portDisabled
  case sourceSpoofed
  case aclDeniedIngress
  case portMACLimit
  case ingressRateLimit
  case stormBroadcast
  case stormUnknownUnicast
  case stormUnknownMulticast
  case sourceFrozen
  case tooBigForUnderlay
  case tooBigForPort
  case samePort
  case portIsolated
  case carriedVLANBound
  case routerProtocol
  case routerHeader
  case routerMartian
  case routerTTLExceeded
  case routerNoRoute
  case routerNeighborUnresolved
  case routerTooBig
  case routerAddress
  case aclDeniedEgress
  case floodDisabled
  case floodNoReceiver
  case vniStormBroadcast
  case vniStormUnknownUnicast
  case vniStormUnknownMulticast
  case noRoute
  case uplinkDown
  case ownAddressMissing
  case routeNotUnderlay
  case ipsecPolicy
  case neighborUnresolved
  case holdQueueFull
  case heldTargetGone
  case egressRateLimit
  case transmitFull
  case guestRingFull
  case noBuffers
  case noHeadroom
  case portDown

  // A packet from the underlay: outer headers first.
  case outerMACOtherHost
  case outerMACGroup
  case outerIPv4Header
  case outerIPv4Checksum
  case outerIPv6Header
  case outerLength
  case outerFragment
  case outerExtensionHeader
  case outerSourceInvalid
  case outerSourceOwn
  case notOurDestination
  case uplinkDuplicate
  case udpLength
  case udpChecksum
  case udp6ZeroChecksum
  case vxlanTruncated
  case vxlanFlags
  case unknownVNI
  case innerRunt
  case innerSourceMulticast
  case innerSourceZero
  case innerSourceOwn
  case innerSourceFrozen
  case innerVLAN
  case ecnForbidden
  case peerNotAllowed
  case splitHorizon
  case innerLinkLocalControl
  case bfdOff
  case bfdInvalid
  case bfdTunnelKey
  case bfdQueueFull

  // A frame between a NIC that DPDK drives and its tap.
  case controlRateLimit
  case hostRateLimit

  // A frame or packet on its way out.
  case refusedByKernel
  // A frame that no worker has seen.
  case receiveFull

  /// Reasons caused by a port's limits.
  public static let ofPortPolicy: [DropReason] = [
    .portDisabled, .sourceSpoofed, .aclDeniedIngress, .portMACLimit, .ingressRateLimit, .stormBroadcast, .stormUnknownUnicast,
    .stormUnknownMulticast, .aclDeniedEgress, .egressRateLimit,
  ]

  /// How many reasons there are: the size of a counter array.
  @inlinable public static var count: Int { Int(DropReason.receiveFull.rawValue) + 1 }
}
