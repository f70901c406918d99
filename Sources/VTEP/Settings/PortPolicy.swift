// PortPolicy: the limits in force on what a port may send and receive.

/// Limits of a port.
public struct PortPolicy: Equatable, Sendable {
  /// A limit in each unit; 0: none.
  public struct Rate: Equatable, Sendable {
    /// Bits per second, of Ethernet frames without preamble and FCS.
    public var bits: UInt64 = 0
    /// Packets per second.
    public var packets: UInt64 = 0

    public var isLimited: Bool { bits > 0 || packets > 0 }
  }

  /// Accept the port's static addresses as sources, and no others.
  public var antiSpoofing = false
  /// Learned addresses behind the port; 0: no limit.
  public var macLimit: UInt32 = 0
  /// From the guest.
  public var ingress = Rate()
  /// To the guest.
  public var egress = Rate()
  public var storm = StormLimits()

  /// Nothing is limited.
  public init() {}

  init(_ port: PortSettings) {
    antiSpoofing = port.antiSpoofing
    macLimit = port.macLimit
    ingress = Rate(bits: port.ingressBits, packets: port.ingressPackets)
    egress = Rate(bits: port.egressBits, packets: port.egressPackets)
    storm = StormLimits(
      broadcast: port.stormBroadcast, unknownUnicast: port.stormUnknownUnicast, unknownMulticast: port.stormUnknownMulticast)
  }

  /// Largest rates that the configuration accepts.
  public static let maximumBits = 1_000_000_000_000
  public static let maximumPackets = 1_000_000_000
  public static let maximumMACLimit = 1 << 24
}
