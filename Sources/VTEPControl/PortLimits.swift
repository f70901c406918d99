// PortLimits: part of `vtepctl show ports`: a port's limits, and the frames dropped by them.

/// Limits of a port; 0: none.
public struct PortLimits: Codable, Equatable, Sendable {
  /// Only the port's static addresses are accepted as sources.
  public var antiSpoofing: Bool
  public var macLimit: UInt32
  /// Learned addresses behind the port: what `macLimit` counts.
  public var macs: Int
  /// Bits and packets per second, from and to the guest.
  public var ingressBits: UInt64
  public var ingressPackets: UInt64
  public var egressBits: UInt64
  public var egressPackets: UInt64
  /// Packets per second.
  public var stormBroadcast: UInt64
  public var stormUnknownUnicast: UInt64
  public var stormUnknownMulticast: UInt64
  /// Frames dropped by these limits, by reason; reasons that never occurred are left out.
  public var drops: [String: UInt64]

  public init(
    antiSpoofing: Bool = false, macLimit: UInt32 = 0, macs: Int = 0, ingressBits: UInt64 = 0, ingressPackets: UInt64 = 0,
    egressBits: UInt64 = 0, egressPackets: UInt64 = 0, stormBroadcast: UInt64 = 0, stormUnknownUnicast: UInt64 = 0,
    stormUnknownMulticast: UInt64 = 0, drops: [String: UInt64] = [:]
  ) {
    self.antiSpoofing = antiSpoofing
    self.macLimit = macLimit
    self.macs = macs
    self.ingressBits = ingressBits
    self.ingressPackets = ingressPackets
    self.egressBits = egressBits
    self.egressPackets = egressPackets
    self.stormBroadcast = stormBroadcast
    self.stormUnknownUnicast = stormUnknownUnicast
    self.stormUnknownMulticast = stormUnknownMulticast
    self.drops = drops
  }

  enum CodingKeys: String, CodingKey {
    case antiSpoofing = "anti_spoofing"
    case macLimit = "mac_limit"
    case macs
    case ingressBits = "ingress_bits"
    case ingressPackets = "ingress_packets"
    case egressBits = "egress_bits"
    case egressPackets = "egress_packets"
    case stormBroadcast = "storm_broadcast"
    case stormUnknownUnicast = "storm_unknown_unicast"
    case stormUnknownMulticast = "storm_unknown_multicast"
    case drops
  }
}
