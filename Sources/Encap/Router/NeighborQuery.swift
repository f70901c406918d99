// NeighborQuery: the frames by which a router finds the MAC addresses of its neighbours and makes known its own: ARP (RFC 826) and
// neighbour discovery (RFC 4861 section 4.3 and 4.4).

/// An ARP request or neighbour solicitation that a frame carries.
public struct NeighborQuery: Equatable, Sendable {
  /// The address asked for.
  public var target: IPAddress
  /// The asker's; unspecified: it only wants to know whether the address is in use (RFC 5227, RFC 4862).
  public var sender: IPAddress
  /// The asker's MAC address.
  public var mac: MACAddress

  /// Nil when the frame is anything else, or malformed.
  ///
  /// - Parameter frame: the contiguous beginning of an untagged frame; at least 14 octets.
  public init?(_ frame: RawSpan) {
    guard frame.byteCount >= 42 else { return nil }
    switch frame.big16(12) {
    case EtherType.arp:
      guard frame.big32(14) == 0x0001_0800, frame.big32(18) == 0x0604_0001 else { return nil }
      mac = MACAddress(loading: frame, at: 22)
      sender = IPAddress(ipv4: frame.big32(28))
      target = IPAddress(ipv4: frame.big32(38))
    case EtherType.ipv6:
      // Next header ICMPv6; hop limit 255, or it came from beyond a router.
      guard frame.byteCount >= 78, frame.big16(20) == 0x3aff, frame.big16(54) == 0x8700,
        InternetChecksum.isSoundICMPv6(frame, byteCount: 14 &+ 40 &+ Int(frame.big16(18)))
      else { return nil }
      mac = MACAddress(loading: frame, at: 6)
      sender = IPAddress(loading16: frame, at: 22)
      target = IPAddress(loading16: frame, at: 62)
    default: return nil
    }
    guard !mac.isMulticast, !mac.isZero, !target.isMulticast else { return nil }
  }

  /// Octets of an answer or a request, for either family; ARP is padded to Ethernet's minimum.
  public static func byteCount(isIPv6: Bool) -> Int { isIPv6 ? 86 : 60 }

  /// Writes the answer: `mac` has the target. To an IPv6 host that has no address yet it goes to all nodes.
  ///
  /// - Parameter bytes: `byteCount` octets.
  public func writeAnswer(into bytes: inout MutableRawSpan, from router: MACAddress) {
    guard !target.isIPv4 else {
      Self.writeARP(
        into: &bytes, operation: 2, ethernetDestination: mac, source: router, sender: target, targetMAC: mac, target: sender)
      return
    }
    let isProbe = sender.isUnspecified
    let receiver = isProbe ? IPAddress(high: 0xff02_0000_0000_0000, low: 1) : sender
    // Router; solicited unless nobody could be told; override.
    Self.writeND(
      into: &bytes, type: 136, flags: isProbe ? 0xa000_0000 : 0xe000_0000, option: 2,
      ethernetDestination: isProbe ? receiver.multicastMAC : mac,
      source: router, sender: target, receiver: receiver, target: target)
  }

  /// Writes a request for an address. It must not change what hosts know of the router (docs/decisions/0044): in IPv4 it names no sender
  /// address, as a probe (RFC 5227), in IPv6 the link-local address of the asking MAC address.
  ///
  /// - Parameters:
  ///   - bytes: `byteCount` octets.
  ///   - source: the MAC address that the answer is to go to.
  ///   - known: of a neighbour that is asked again; nil: everybody is asked.
  public static func write(into bytes: inout MutableRawSpan, target: IPAddress, source: MACAddress, known: MACAddress?) {
    guard !target.isIPv4 else {
      writeARP(
        into: &bytes, operation: 1, ethernetDestination: known ?? .broadcast, source: source, sender: IPAddress(ipv4: 0),
        targetMAC: .zero, target: target)
      return
    }
    let receiver = known == nil ? target.solicitedNode : target
    writeND(
      into: &bytes, type: 135, flags: 0, option: 1, ethernetDestination: known ?? receiver.multicastMAC, source: source,
      sender: source.linkLocalAddress, receiver: receiver, target: target)
  }

  static func writeARP(
    into bytes: inout MutableRawSpan, operation: UInt16, ethernetDestination: MACAddress, source: MACAddress, sender: IPAddress,
    targetMAC: MACAddress, target: IPAddress
  ) {
    for offset in 42..<60 { bytes.storeByte(0, at: offset) }
    MACAddress.write(into: &bytes, destination: ethernetDestination, source: source)
    bytes.storeBig16(EtherType.arp, at: 12)
    bytes.storeBig32(0x0001_0800, at: 14)
    bytes.storeBig16(0x0604, at: 18)
    bytes.storeBig16(operation, at: 20)
    source.store(into: &bytes, at: 22)
    bytes.storeBig32(sender.ipv4, at: 28)
    targetMAC.store(into: &bytes, at: 32)
    bytes.storeBig32(target.ipv4, at: 38)
  }

  static func writeND(
    into bytes: inout MutableRawSpan, type: UInt8, flags: UInt32, option: UInt8, ethernetDestination: MACAddress, source: MACAddress,
    sender: IPAddress, receiver: IPAddress, target: IPAddress
  ) {
    MACAddress.write(into: &bytes, destination: ethernetDestination, source: source)
    bytes.storeBig16(EtherType.ipv6, at: 12)
    bytes.storeBig32(0x6000_0000, at: 14)
    bytes.storeBig32(32 &<< 16 | 0x3aff, at: 18)
    bytes.store(sender, at: 22)
    bytes.store(receiver, at: 38)
    bytes.storeBig32(UInt32(type) &<< 24, at: 54)
    bytes.storeBig32(flags, at: 58)
    bytes.store(target, at: 62)
    bytes.storeBig16(UInt16(option) &<< 8 | 1, at: 78)
    source.store(into: &bytes, at: 80)
    InternetChecksum.finishICMPv6(&bytes, at: 54, byteCount: 86)
  }
}
