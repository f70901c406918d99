// NeighborMessage+Write: the frames by which neighbours are asked for and answered: ARP (RFC 826) and neighbour discovery (RFC 4861 section
// 4.3 and 4.4): a router's own, and answers in an owner's place. Off the fast path.

extension NeighborMessage {
  /// Octets of an answer or a question, for either family; ARP is padded to Ethernet's minimum.
  public static func byteCount(isIPv6: Bool) -> Int { isIPv6 ? 86 : 60 }

  /// Octets of its answer, without frame check sequence.
  public var answerByteCount: Int { Self.byteCount(isIPv6: !target.isIPv4) }

  /// Writes the answer of the owner's place: `mac` has the target. An advertisement is solicited, and does not override what the receiver
  /// has: it is not the owner's own (RFC 4861 section 7.2.8).
  ///
  /// - Parameters:
  ///   - bytes: `answerByteCount` octets.
  ///   - isRouter: the owner is one.
  public func writeAnswer(into bytes: inout MutableRawSpan, inPlaceOf mac: MACAddress, isRouter: Bool) {
    writeAnswer(into: &bytes, from: mac, flags: isRouter ? 0xc000_0000 : 0x4000_0000, to: sender)
  }

  /// Writes a router's answer: it has the target. To an IPv6 host that has no address yet it goes to all nodes.
  ///
  /// - Parameter bytes: `answerByteCount` octets.
  public func writeAnswer(into bytes: inout MutableRawSpan, fromRouter router: MACAddress) {
    // Router; solicited unless nobody could be told; override.
    let isProbe = sender.isUnspecified
    writeAnswer(
      into: &bytes, from: router, flags: isProbe ? 0xa000_0000 : 0xe000_0000,
      to: isProbe ? IPAddress(high: 0xff02_0000_0000_0000, low: 1) : sender)
  }

  private func writeAnswer(into bytes: inout MutableRawSpan, from mac: MACAddress, flags: UInt32, to receiver: IPAddress) {
    let asker = asker ?? source
    guard !target.isIPv4 else {
      Self.writeARP(
        into: &bytes, operation: 2, ethernetDestination: asker, source: mac, sender: target, targetMAC: asker, target: sender)
      return
    }
    Self.writeND(
      into: &bytes, type: 136, flags: flags, option: 2, ethernetDestination: receiver.isMulticast ? receiver.multicastMAC : asker,
      source: mac, sender: target, receiver: receiver, target: target)
  }

  /// Writes a router's question for an address. It must not change what hosts know of the router (docs/decisions/0044): in IPv4 it names no
  /// sender address, as a probe (RFC 5227), in IPv6 the link-local address of the asking MAC address.
  ///
  /// - Parameters:
  ///   - bytes: `byteCount` octets.
  ///   - source: the MAC address that the answer is to go to.
  ///   - known: of a neighbour that is asked again; nil: everybody is asked.
  public static func writeQuestion(into bytes: inout MutableRawSpan, target: IPAddress, source: MACAddress, known: MACAddress?) {
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

  private static func writeARP(
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

  private static func writeND(
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
