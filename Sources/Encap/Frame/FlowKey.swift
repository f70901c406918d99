// What access control lists look at of a frame, read once: addresses, EtherType, protocol, ports, TCP flags, ICMP type and code, in 16-bit
// chunks at fixed places. Steps E2, E6 and D6. RFC 791, RFC 8200 section 4, RFC 9293 section 3.1, RFC 792, RFC 4443.

/// A frame's header fields. The memory belongs to whoever made it, and holds the frame that was read last.
///
/// Tags are skipped: the fields are those of the packet behind up to two of them. Lengths in IP headers are not trusted: what is in the
/// frame counts. Chunks of a field that the frame does not have hold what was there before; `Contents` says which it has.
public struct FlowKey: @unchecked Sendable {
  /// What a frame has besides addresses and EtherType.
  public struct Contents: OptionSet, Sendable {
    public let rawValue: UInt16

    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// A whole IPv4 or IPv6 header: protocol and addresses.
    public static let ip = Contents(rawValue: 1)
    public static let ipv4 = Contents(rawValue: 2)
    public static let ipv6 = Contents(rawValue: 4)
    /// Ports of TCP, UDP, SCTP, DCCP or UDP-Lite. A later fragment has none of these three.
    public static let ports = Contents(rawValue: 8)
    public static let tcpFlags = Contents(rawValue: 16)
    public static let icmp = Contents(rawValue: 32)
    public static let all: Contents = [.ip, .ipv4, .ipv6, .ports, .tcpFlags, .icmp]
  }

  /// The first chunk of each field. `network` is protocol number and `Contents`, `icmp` is type and code.
  public enum Field: Int, Sendable {
    case destinationMAC = 0
    case sourceMAC = 3
    case etherType = 6
    case network = 7
    /// An IPv4 address takes the first two chunks of eight.
    case sourceAddress = 8
    case destinationAddress = 16
    case sourcePort = 24
    case destinationPort = 25
    case tcpFlags = 26
    case icmp = 27
  }

  @inlinable public static var chunkCount: Int { 28 }
  /// In host byte order where the field has been put together, else in wire order.
  public let chunks: UnsafeMutablePointer<UInt16>

  public init() {
    chunks = .allocate(capacity: Self.chunkCount)
    chunks.initialize(repeating: 0, count: Self.chunkCount)
  }

  /// Whether the frame has a whole IPv6 header.
  @inlinable public var isIPv6: Bool { chunks[Field.network.rawValue] & Contents.ipv6.rawValue != 0 }

  public func deallocate() { chunks.deallocate() }

  /// Whether a chunk is in wire order.
  public static func isInWireOrder(_ position: Int) -> Bool {
    position != Field.etherType.rawValue && position != Field.network.rawValue && position != Field.tcpFlags.rawValue
  }

  /// Most IPv6 extension headers in a row: a bound on the cost of a hostile chain. Of a packet with more, nothing behind them is known.
  public static let extensionLimit = 8

  /// - Precondition: the frame has at least 14 octets. It may be cut anywhere behind that; nothing is read beyond its end.
  public func read(_ frame: RawSpan) {
    let memory = UnsafeMutableRawPointer(chunks)
    memory.storeBytes(of: frame.raw64(0), as: UInt64.self)
    memory.storeBytes(of: frame.raw32(8), toByteOffset: 8, as: UInt32.self)
    let network = NetworkLayer(of: frame)
    chunks[Field.etherType.rawValue] = network.etherType
    let room = frame.byteCount &- network.offset
    if network.etherType == EtherType.ipv4, room >= 20, frame.byte(network.offset) &>> 4 == 4 {
      readIPv4(frame, network.offset, memory)
    } else if network.etherType == EtherType.ipv6, room >= 40, frame.byte(network.offset) &>> 4 == 6 {
      readIPv6(frame, network.offset, memory)
    } else {
      chunks[Field.network.rawValue] = 0
    }
  }

  private func readIPv4(_ frame: RawSpan, _ header: Int, _ memory: UnsafeMutableRawPointer) {
    let headerByteCount = Int(frame.byte(header) & 0xf) &* 4
    guard headerByteCount >= 20, header &+ headerByteCount <= frame.byteCount else {
      chunks[Field.network.rawValue] = 0
      return
    }
    memory.storeBytes(of: frame.raw32(header &+ 12), toByteOffset: Field.sourceAddress.rawValue &* 2, as: UInt32.self)
    memory.storeBytes(of: frame.raw32(header &+ 16), toByteOffset: Field.destinationAddress.rawValue &* 2, as: UInt32.self)
    let protocolNumber = frame.byte(header &+ 9)
    var contents: Contents = [.ip, .ipv4]
    if frame.big16(header &+ 6) & 0x1fff == 0 {
      readTransport(frame, header &+ headerByteCount, protocolNumber, icmp: IPProtocol.icmp, memory, &contents)
    }
    chunks[Field.network.rawValue] = UInt16(protocolNumber) &<< 8 | contents.rawValue
  }

  private func readIPv6(_ frame: RawSpan, _ header: Int, _ memory: UnsafeMutableRawPointer) {
    for word in 0..<4 {
      // Source and destination are as far apart here as there.
      memory.storeBytes(
        of: frame.raw64(header &+ 8 &+ word &* 8), toByteOffset: Field.sourceAddress.rawValue &* 2 &+ word &* 8, as: UInt64.self)
    }
    var contents: Contents = [.ip, .ipv6]
    var protocolNumber = frame.byte(header &+ 6)
    var offset = header &+ 40
    var isReadable = true
    var left = Self.extensionLimit
    while IPProtocol.isExtension(protocolNumber) {
      guard left > 0, frame.byteCount &- offset >= 8 else {
        isReadable = false
        break
      }
      left &-= 1
      let length = Int(frame.byte(offset &+ 1))
      let isFragment = protocolNumber == IPProtocol.fragment
      // RFC 4302 section 2.2: in words of four octets, less two.
      let byteCount = isFragment ? 8 : protocolNumber == IPProtocol.authentication ? 8 &+ 4 &* length : 8 &+ 8 &* length
      let isLaterFragment = isFragment && frame.big16(offset &+ 2) & 0xfff8 != 0
      protocolNumber = frame.byte(offset)
      offset = offset &+ byteCount
      if isLaterFragment || offset > frame.byteCount {
        isReadable = false
        break
      }
    }
    if isReadable { readTransport(frame, offset, protocolNumber, icmp: IPProtocol.icmpv6, memory, &contents) }
    chunks[Field.network.rawValue] = UInt16(protocolNumber) &<< 8 | contents.rawValue
  }

  private func readTransport(
    _ frame: RawSpan, _ offset: Int, _ protocolNumber: UInt8, icmp: UInt8, _ memory: UnsafeMutableRawPointer, _ contents: inout Contents
  ) {
    let room = frame.byteCount &- offset
    if IPProtocol.hasACLPorts(protocolNumber) {
      guard room >= 4 else { return }
      memory.storeBytes(of: frame.raw32(offset), toByteOffset: Field.sourcePort.rawValue &* 2, as: UInt32.self)
      contents.insert(.ports)
      guard protocolNumber == IPProtocol.tcp, room >= 14 else { return }
      chunks[Field.tcpFlags.rawValue] = frame.big16(offset &+ 12) & 0xfff
      contents.insert(.tcpFlags)
    } else if protocolNumber == icmp, room >= 2 {
      chunks[Field.icmp.rawValue] = frame.raw16(offset)
      contents.insert(.icmp)
    }
  }
}
