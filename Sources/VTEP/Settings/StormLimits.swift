// StormLimits: limits on flooding, of a port or of a VNI, in packets per second.

/// Limits of the three classes of flooded frames; 0: no limit.
public struct StormLimits: Equatable, Sendable {
  public var broadcast: UInt64 = 0
  public var unknownUnicast: UInt64 = 0
  /// All multicast counts as unknown, since group members are not tracked.
  public var unknownMulticast: UInt64 = 0

  public init(broadcast: UInt64 = 0, unknownUnicast: UInt64 = 0, unknownMulticast: UInt64 = 0) {
    self.broadcast = broadcast
    self.unknownUnicast = unknownUnicast
    self.unknownMulticast = unknownMulticast
  }

  public var isLimited: Bool { broadcast > 0 || unknownUnicast > 0 || unknownMulticast > 0 }

  /// The limits by their configuration keys.
  public var named: [(key: String, limit: UInt64)] {
    [("broadcast", broadcast), ("unknown-unicast", unknownUnicast), ("unknown-multicast", unknownMulticast)]
  }

  /// Largest limit that the configuration accepts.
  public static let maximum = PortPolicy.maximumPackets
}
