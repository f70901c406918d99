// BFDFrame: the Ethernet frame around a BFD control packet inside VXLAN: Open vSwitch's and the hardware_vtep schema's form, and that of
// RFC 8971 section 5. Over IPv4 or IPv6, UDP port 3784, TTL 255 (RFC 5881 sections 4 and 5).

extension MACAddress {
  /// `00:23:20:00:00:01`, what Open vSwitch and vtep(5) send BFD to.
  @inlinable public static var bfdOfOpenVSwitch: MACAddress { MACAddress(bits: 0x0023_2000_0001) }
  /// `00:00:5e:00:52:02`, "BFD over VXLAN" (RFC 8971 section 8).
  @inlinable public static var bfdOfRFC8971: MACAddress { MACAddress(bits: 0x0000_5e00_5202) }

  /// Frames to it are from one VTEP to the other, and never a station's.
  @inlinable @inline(__always)
  public var isBFD: Bool { self == .bfdOfOpenVSwitch || self == .bfdOfRFC8971 }
}

/// The frame around a BFD control packet.
public struct BFDFrame: Equatable, Sendable {
  public var destinationMAC: MACAddress
  /// Both are of one family.
  public var source: IPAddress
  public var destination: IPAddress
  /// 49152...65535, one per session (RFC 5881 section 4).
  public var sourcePort: UInt16
  public var packet: BFDPacket

  public static let udpPort: UInt16 = 3784
  static let hopLimit: UInt8 = 255
  /// DSCP CS6.
  static let trafficClass: UInt8 = 0xc0
  private static let protocolUDP: UInt8 = 17
  private static let udpByteCount = 8 + BFDPacket.byteCount

  public init(destinationMAC: MACAddress, source: IPAddress, destination: IPAddress, sourcePort: UInt16, packet: BFDPacket) {
    self.destinationMAC = destinationMAC
    self.source = source
    self.destination = destination
    self.sourcePort = sourcePort
    self.packet = packet
  }

  private static func ipByteCount(isIPv4: Bool) -> Int { isIPv4 ? 20 : 40 }

  /// Octets of the whole frame.
  public var byteCount: Int { 14 + Self.ipByteCount(isIPv4: source.isIPv4) + Self.udpByteCount }

  /// Writes the frame into the first `byteCount` octets. The source address is the underlay device's, which the sender puts in: zero.
  public func write(into bytes: inout MutableRawSpan) {
    for offset in 0..<byteCount { bytes.storeByte(0, at: offset) }
    destinationMAC.store(into: &bytes, at: 0)
    bytes.storeBig16(source.isIPv4 ? EtherType.ipv4 : EtherType.ipv6, at: 12)
    let udp = 14 + Self.ipByteCount(isIPv4: source.isIPv4)
    if source.isIPv4 {
      bytes.storeBig16(0x4500 | UInt16(Self.trafficClass), at: 14)
      bytes.storeBig16(UInt16(20 + Self.udpByteCount), at: 16)
      bytes.storeBig16(UInt16(Self.hopLimit) << 8 | UInt16(Self.protocolUDP), at: 22)
      bytes.storeBig32(source.ipv4, at: 26)
      bytes.storeBig32(destination.ipv4, at: 30)
      bytes.storeBig16(InternetChecksum.complement(InternetChecksum.partialSum(bytes.bytes.extracting(14..<34))), at: 24)
    } else {
      bytes.storeBig32(0x6000_0000 | UInt32(Self.trafficClass) << 20, at: 14)
      bytes.storeBig16(UInt16(Self.udpByteCount), at: 18)
      bytes.storeBig16(UInt16(Self.protocolUDP) << 8 | UInt16(Self.hopLimit), at: 20)
      bytes.storeBig64(source.high, at: 22)
      bytes.storeBig64(source.low, at: 30)
      bytes.storeBig64(destination.high, at: 38)
      bytes.storeBig64(destination.low, at: 46)
    }
    bytes.storeBig16(sourcePort, at: udp)
    bytes.storeBig16(Self.udpPort, at: udp + 2)
    bytes.storeBig16(UInt16(Self.udpByteCount), at: udp + 4)
    packet.write(into: &bytes, at: udp + 8)
    let sum =
      InternetChecksum.partialSum(bytes.bytes.extracting(udp..<(udp + Self.udpByteCount)))
      &+ UInt32(Self.pseudoHeaderSum(source, destination, udpByteCount: Self.udpByteCount))
    bytes.storeBig16(InternetChecksum.complementUDP(sum), at: udp + 6)
  }

  /// The sum of the pseudo-header (RFC 768, RFC 8200 section 8.1), folded.
  private static func pseudoHeaderSum(_ source: IPAddress, _ destination: IPAddress, udpByteCount: Int) -> UInt16 {
    InternetChecksum.fold(
      InternetChecksum.partialSum(source) &+ InternetChecksum.partialSum(destination) &+ UInt32(protocolUDP) &+ UInt32(udpByteCount))
  }

  /// Why a frame to one of BFD's addresses is none of BFD's.
  public enum Fault: Error, Equatable, Sendable {
    /// Neither IPv4 nor IPv6, or cut off.
    case notIP
    case notBFD
    /// From beyond the tunnel (RFC 5881 section 5).
    case hopLimit
    case checksum
    case packet(BFDPacket.Fault)
  }

  /// Reads a frame.
  public init(parsing bytes: RawSpan) throws(Fault) {
    guard bytes.byteCount >= 14 + 20 else { throw .notIP }
    destinationMAC = MACAddress(loading: bytes, at: 0)
    let udp: Int
    let hopLimit: UInt8
    let end: Int
    switch bytes.big16(12) {
    case EtherType.ipv4:
      let headerByteCount = Int(bytes.byte(14) & 15) * 4
      end = 14 + Int(bytes.big16(16))
      udp = 14 + headerByteCount
      guard bytes.byte(14) >> 4 == 4, headerByteCount >= 20, end <= bytes.byteCount, udp + 8 <= end else { throw .notIP }
      guard InternetChecksum.complement(InternetChecksum.partialSum(bytes.extracting(14..<udp))) == 0 else { throw .checksum }
      // A fragment is none.
      guard bytes.byte(23) == Self.protocolUDP, bytes.big16(20) & 0x3fff == 0 else { throw .notBFD }
      hopLimit = bytes.byte(22)
      source = IPAddress(ipv4: bytes.big32(26))
      destination = IPAddress(ipv4: bytes.big32(30))
    case EtherType.ipv6:
      guard bytes.byteCount >= 14 + 40, bytes.byte(14) >> 4 == 6 else { throw .notIP }
      end = 54 + Int(bytes.big16(18))
      udp = 54
      guard end <= bytes.byteCount, udp + 8 <= end else { throw .notIP }
      guard bytes.byte(20) == Self.protocolUDP else { throw .notBFD }
      hopLimit = bytes.byte(21)
      source = IPAddress(high: bytes.big64(22), low: bytes.big64(30))
      destination = IPAddress(high: bytes.big64(38), low: bytes.big64(46))
    default: throw .notIP
    }
    sourcePort = bytes.big16(udp)
    let udpByteCount = Int(bytes.big16(udp + 4))
    guard bytes.big16(udp + 2) == Self.udpPort, udpByteCount >= 8, udp + udpByteCount <= end else { throw .notBFD }
    guard hopLimit == Self.hopLimit else { throw .hopLimit }
    let field = bytes.big16(udp + 6)
    if field != 0 {
      let pseudo = Self.pseudoHeaderSum(source, destination, udpByteCount: udpByteCount)
      let sum = InternetChecksum.partialSum(bytes.extracting(udp..<(udp + udpByteCount))) &+ UInt32(pseudo)
      // A kernel beside us leaves it to the network card, with the pseudo-header's sum in its place: what has no wire to pass is not changed
      // there either.
      guard InternetChecksum.complement(sum) == 0 || field == pseudo else { throw .checksum }
    }
    do throws(BFDPacket.Fault) {
      packet = try BFDPacket(parsing: bytes, at: udp + 8, byteCount: udpByteCount - 8)
    } catch {
      throw .packet(error)
    }
  }
}
