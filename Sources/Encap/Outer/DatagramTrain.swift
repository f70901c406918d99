// DatagramTrain: consecutive outer packets of one flow and one size that leave as one UDP segmentation request: the kernel or the
// network card cuts them apart again (VIRTIO_NET_HDR_GSO_UDP_L4, Linux 6.2). The cost of a system call, a socket buffer and a queueing
// discipline is then paid once instead of up to 64 times. RFC 768, RFC 791, RFC 8200.

/// Arithmetic of datagram trains.
public enum DatagramTrain {
  /// Octets of Ethernet, IPv4 and UDP header.
  @inlinable public static var ipv4HeaderByteCount: Int { 42 }
  /// Octets of Ethernet, IPv6 and UDP header.
  @inlinable public static var ipv6HeaderByteCount: Int { 62 }
  /// Most datagrams in a train: what kernels before 6.10 take; later ones take 128.
  @inlinable public static var limit: Int { 64 }
  /// Most octets of a train with its headers. Above the interface's gso_max_size, 65,536 by default, the kernel cuts at once.
  @inlinable public static var byteLimit: Int { 65_535 }

  /// Octets of the headers that the datagrams of a train share; 0 for a packet that cannot be in one.
  ///
  /// - Parameter packet: an untagged outer packet as `OuterHeader` writes it: IPv4 without options, IPv6 without extension headers.
  @inlinable @inline(__always)
  public static func headerByteCount(_ packet: RawSpan) -> Int {
    guard packet.byteCount >= OuterHeader.ipv4ByteCount else { return 0 }
    if packet.big16(12) == EtherType.ipv4 {
      return packet.byte(14) == 0x45 && packet.byte(23) == IPProtocol.udp ? ipv4HeaderByteCount : 0
    }
    guard packet.big16(12) == EtherType.ipv6, packet.byteCount >= OuterHeader.ipv6ByteCount,
      packet.byte(20) == IPProtocol.udp
    else { return 0 }
    return ipv6HeaderByteCount
  }

  /// Whether the packets' headers differ in nothing but lengths, IPv4 identification and checksums: MAC addresses, traffic class with
  /// ECN, TTL, addresses and ports are the same.
  ///
  /// - Parameter headerByteCount: of the first; both have at least that many octets.
  @inlinable @inline(__always)
  public static func isContinued(_ first: RawSpan, by next: RawSpan, headerByteCount: Int) -> Bool {
    guard first.big64(0) == next.big64(0), first.big64(8) == next.big64(8) else { return false }
    if headerByteCount == ipv4HeaderByteCount {
      return first.big32(20) == next.big32(20) && first.big64(26) == next.big64(26) && first.big32(34) == next.big32(34)
    }
    // Octets 18 and 19 hold the payload length.
    return first.big16(16) == next.big16(16) && first.big16(20) == next.big16(20) && first.big64(22) == next.big64(22)
      && first.big64(30) == next.big64(30) && first.big64(38) == next.big64(38) && first.big64(46) == next.big64(46)
      && first.big32(54) == next.big32(54)
  }

  /// Turns the first packet's headers into those of the train. The UDP checksum field is left holding the sum of the
  /// pseudo-header: whoever cuts the train computes a checksum for each datagram; zero is not possible.
  ///
  /// - Parameter payloadByteCount: octets behind the UDP headers of all datagrams together.
  @inlinable
  public static func write(into headers: inout MutableRawSpan, headerByteCount: Int, payloadByteCount: Int) {
    let udpByteCount = UInt16(truncatingIfNeeded: payloadByteCount &+ 8)
    let transport = headerByteCount &- 8
    var sum = UInt32(IPProtocol.udp) &+ UInt32(udpByteCount)
    if headerByteCount == ipv4HeaderByteCount {
      headers.storeBig16(udpByteCount &+ 20, at: 16)
      headers.storeBig16(0, at: 24)
      let header = InternetChecksum.partialSum(headers.bytes.extracting(unchecked: 14..<34))
      headers.storeBig16(InternetChecksum.complement(header), at: 24)
      sum = sum &+ UInt32(InternetChecksum.fold(headers.bytes.big64(26)))
    } else {
      headers.storeBig16(udpByteCount, at: 18)
      sum = sum &+ InternetChecksum.partialSum(headers.bytes.extracting(unchecked: 22..<54))
    }
    headers.storeBig16(udpByteCount, at: transport &+ 4)
    headers.storeBig16(InternetChecksum.fold(sum), at: transport &+ 6)
  }
}
