// The headers in front of a TCP or UDP header that lies inside tunnels which the sender itself has built: a container with a VXLAN, Geneve,
// GRE, IPIP or SIT device of its own. When a segment in there is cut up, each of them gets another length, IPv4 another identification
// and checksum, and UDP and GRE another checksum if they have one. RFC 2003, RFC 2784, RFC 4213, RFC 7348, RFC 8926.

/// Where the headers are that differ between the segments of a tunnelled large segment, outermost first.
struct TunnelHeaders {
  private enum Kind: UInt8 {
    case ipv4, ipv6, udp
    /// With a checksum.
    case checkedUDP, checkedGRE
  }

  /// Most headers that are noted, and most steps from one IP or Ethernet header to the next: far more than anyone stacks.
  private static let limit = 16

  private var kinds = SIMD16<UInt8>()
  private var offsets = SIMD16<UInt16>()
  private var count = 0
  /// Octets of the outermost Ethernet header and its tags.
  private(set) var linkByteCount = 0
  /// Where all the packets end.
  private(set) var end = 0
  /// Offset of the innermost IP header.
  private(set) var network = 0
  private(set) var isIPv6 = false
  /// UDP is in the innermost packet, not TCP.
  private(set) var isUDP = false

  /// Walks from the Ethernet header at 0 to the TCP or UDP header at `transport`. Nil when that is not where the headers lead, or when
  /// they contradict each other: all packets must end at the same octet.
  ///
  /// - Parameter frame: of any length; only what lies in front of `transport` is read.
  init?(_ frame: RawSpan, transport: Int) {
    guard transport > 0, transport <= frame.byteCount else { return nil }
    let headers = frame.extracting(unchecked: 0..<transport)
    var etherType = EtherType.bridged
    var offset = 0
    for _ in 0..<TunnelHeaders.limit {
      guard offset < transport else { return nil }
      switch etherType {
      case EtherType.bridged:
        guard transport &- offset >= 14 else { return nil }
        let ethernet = NetworkLayer(of: headers.extracting(unchecked: offset..<transport))
        if offset == 0 { linkByteCount = ethernet.offset }
        etherType = ethernet.etherType
        offset = offset &+ ethernet.offset
      case EtherType.mpls:
        // One entry of the label stack; behind the bottom one the IP version tells what follows (RFC 4928 section 3).
        guard transport &- offset >= 5 else { return nil }
        let isBottom = headers.byte(offset &+ 2) & 1 != 0
        offset = offset &+ 4
        if isBottom { etherType = TunnelHeaders.etherType(ofVersion: headers.byte(offset) &>> 4) }
      default:
        guard let ip = NetworkHeader(headers, at: offset, etherType: etherType), !ip.hasRouting else { return nil }
        let packetEnd = offset &+ ip.packetByteCount
        if end == 0 { end = packetEnd }
        isIPv6 = etherType == EtherType.ipv6
        guard packetEnd == end, add(isIPv6 ? .ipv6 : .ipv4, at: offset) else { return nil }
        network = offset
        offset = offset &+ ip.byteCount
        if offset == transport {
          isUDP = ip.transport == IPProtocol.udp
          guard isUDP || ip.transport == IPProtocol.tcp else { return nil }
          return
        }
        guard let next = enter(ip.transport, headers, at: &offset) else { return nil }
        etherType = next
      }
    }
    return nil
  }

  /// Steps over the header of a tunnel, whose IP protocol number this is.
  ///
  /// - Parameter offset: of the header; afterwards of what it carries.
  /// - Returns: the EtherType of what it carries, or nil.
  private mutating func enter(_ protocolNumber: UInt8, _ headers: RawSpan, at offset: inout Int) -> UInt16? {
    let room = headers.byteCount &- offset
    switch protocolNumber {
    case IPProtocol.ipv4: return EtherType.ipv4
    case IPProtocol.ipv6: return EtherType.ipv6
    case IPProtocol.mpls: return EtherType.mpls
    case IPProtocol.gre:
      guard room >= 4 else { return nil }
      // Checksum and key at most (RFC 2890). Sequence numbers would have to count on, and routing (RFC 1701) is obsolete.
      let flags = headers.big16(offset)
      guard flags & 0x5fff == 0 else { return nil }
      let isChecked = flags & 0x8000 != 0
      if isChecked {
        guard room >= 8, add(.checkedGRE, at: offset) else { return nil }
      }
      let etherType = headers.big16(offset &+ 2)
      offset = offset &+ 4 &+ (isChecked ? 4 : 0) &+ (flags & 0x2000 != 0 ? 4 : 0)
      return etherType
    case IPProtocol.udp:
      guard room >= 16, Int(headers.big16(offset &+ 4)) == end &- offset,
        add(headers.big16(offset &+ 6) == 0 ? .udp : .checkedUDP, at: offset)
      else { return nil }
      return enterUDP(headers, at: &offset)
    default: return nil
    }
  }

  /// As `enter`. What a datagram carries follows from its first octets, since ports are free to choose (Linux has 8472 for VXLAN); if
  /// that is wrong, the walk does not end where it should.
  private func enterUDP(_ headers: RawSpan, at offset: inout Int) -> UInt16? {
    let port = headers.big16(offset &+ 2)
    let first = headers.byte(offset &+ 8)
    let type = headers.big16(offset &+ 10)
    let isKnown = type == EtherType.bridged || type == EtherType.ipv4 || type == EtherType.ipv6
    if port == 6081 || first & 0xc8 == 0 && isKnown {
      guard first &>> 6 == 0 else { return nil }
      offset = offset &+ 16 &+ Int(first & 0x3f) &* 4
      return type
    }
    let direct = TunnelHeaders.etherType(ofVersion: first &>> 4)
    if direct != 0 {
      // IP or MPLS directly in UDP (RFC 7510); only the former can be told.
      offset = offset &+ 8
      return direct
    }
    // VXLAN: the I flag is set. The P flag says that the Next Protocol field is used (VXLAN-GPE).
    guard first & 0x08 != 0 else { return nil }
    let nextProtocol = first & 0x04 != 0 ? headers.byte(offset &+ 11) : 3
    offset = offset &+ 16
    switch nextProtocol {
    case 1: return EtherType.ipv4
    case 2: return EtherType.ipv6
    case 3: return EtherType.bridged
    default: return nil
    }
  }

  /// 0 for what is no IP version.
  private static func etherType(ofVersion version: UInt8) -> UInt16 {
    version == 4 ? EtherType.ipv4 : version == 6 ? EtherType.ipv6 : 0
  }

  private mutating func add(_ kind: Kind, at offset: Int) -> Bool {
    guard count < TunnelHeaders.limit, let offset = UInt16(exactly: offset) else { return false }
    kinds[count] = kind.rawValue
    offsets[count] = offset
    count &+= 1
    return true
  }

  // -- one segment -----------------------------------------------------------------------------------------------------

  /// Writes the lengths of a segment that ends at `end`, IPv4 identifications and IPv4 checksums, into all headers but the innermost IP
  /// header.
  func writeLengths(into headers: inout MutableRawSpan, index: Int, end: Int) {
    for layer in 0..<count &- 1 {
      let offset = Int(offsets[layer])
      switch Kind(rawValue: kinds[layer]) {
      case .ipv4: OffloadRequest.writeNetwork(into: &headers, at: offset, isIPv6: false, index: index, end: end)
      case .ipv6: OffloadRequest.writeNetwork(into: &headers, at: offset, isIPv6: true, index: index, end: end)
      case .udp, .checkedUDP: headers.storeBig16(UInt16(truncatingIfNeeded: end &- offset), at: offset &+ 4)
      case .checkedGRE, nil: break
      }
    }
  }

  /// Writes the checksums of UDP and GRE, inner ones first. The payload need not be read: the checksum at the innermost header
  /// will make the sum of everything from there on the complement of its pseudo-header's sum.
  ///
  /// - Parameters:
  ///   - transport: offset of the innermost TCP or UDP header.
  ///   - pseudoSum: of its pseudo-header, folded.
  ///   - end: of the segment.
  func writeChecksums(into headers: inout MutableRawSpan, transport: Int, pseudoSum: UInt16, end: Int) {
    var layer = count &- 1
    while layer > 0 {
      layer &-= 1
      let offset = Int(offsets[layer])
      let kind = Kind(rawValue: kinds[layer])
      guard kind == .checkedUDP || kind == .checkedGRE else { continue }
      let field = offset &+ (kind == .checkedUDP ? 6 : 4)
      headers.storeBig16(0, at: field)
      var sum = UInt32(~pseudoSum) &+ InternetChecksum.partialSum(headers.bytes.extracting(unchecked: offset..<transport))
      guard kind == .checkedUDP else {
        headers.storeBig16(InternetChecksum.complement(sum), at: field)
        continue
      }
      // The header in front of UDP is its IP header.
      let isIPv6 = Kind(rawValue: kinds[layer &- 1]) == .ipv6
      sum = sum &+ OffloadRequest.addressSum(headers.bytes, at: Int(offsets[layer &- 1]), isIPv6: isIPv6)
      sum = sum &+ UInt32(IPProtocol.udp) &+ UInt32(truncatingIfNeeded: end &- offset)
      headers.storeBig16(InternetChecksum.complementUDP(sum), at: field)
    }
  }
}
