// What the operator decides about packets from the underlay, as far as parsing needs it.

/// The settings of decapsulation.
@frozen
public struct DecapPolicy: Sendable {
  /// The UDP destination port that is VXLAN, host order; 4789 by IANA.
  public var udpPort: UInt16
  /// Whether a zero UDP checksum is accepted over IPv6 (RFC 6935, RFC 6936); over IPv4 it always is.
  public var acceptsZeroUDP6Checksum: Bool

  /// - Parameters:
  ///   - udpPort: the VXLAN port.
  ///   - acceptsZeroUDP6Checksum: `udp6-zero-checksum-rx` of the configuration.
  @inlinable
  public init(udpPort: UInt16 = 4789, acceptsZeroUDP6Checksum: Bool = false) {
    self.udpPort = udpPort
    self.acceptsZeroUDP6Checksum = acceptsZeroUDP6Checksum
  }
}
