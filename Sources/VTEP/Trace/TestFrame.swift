// TestFrame: a frame for `vtepctl trace`, built from what an operator says about it. Control side.

import Encap

/// A frame in the operator's words. Lengths are in octets.
public struct TestFrame: Equatable, Sendable {
  public enum Network: Equatable, Sendable {
    /// Of one family.
    case ip(source: IPAddress, destination: IPAddress)
    /// A request; IPv4.
    case arp(sender: IPAddress, target: IPAddress)
  }

  public enum Transport: Equatable, Sendable {
    case udp(source: UInt16, destination: UInt16)
    /// A segment without flags but ACK.
    case tcp(source: UInt16, destination: UInt16)
  }

  public var source: MACAddress
  public var destination: MACAddress
  /// 0 to 4095; nil: untagged.
  public var vlan: UInt16?
  /// Of the tag, 0 to 7.
  public var priority: UInt8 = 0
  /// TPID of the tag.
  public var tpid = EtherType.customerTag
  /// Nil: an experimental EtherType (IEEE 802, 0x88b5).
  public var network: Network?
  /// Nil: protocol 253, for experiments (RFC 3692).
  public var transport: Transport?
  /// 0 to 63.
  public var dscp: UInt8 = 0
  /// 0 to 3.
  public var ecn: UInt8 = 0
  public var ttl: UInt8 = 64
  /// Of the frame without check sequence; nil: as long as its headers, and at least 60.
  public var length: Int?

  /// A sender that is nobody.
  static let madeUpSource = MACAddress(bits: 0x0200_0000_00fe)

  public init(from source: MACAddress, to destination: MACAddress) {
    self.source = source
    self.destination = destination
  }

  /// Octets of the shortest frame with these headers.
  public var headerByteCount: Int { 14 + (vlan == nil ? 0 : 4) + networkByteCount }

  private var networkByteCount: Int {
    switch network {
    case nil: 0
    case .arp: 28
    case .ip(let source, _): (source.isIPv4 ? 20 : 40) + transportByteCount
    }
  }

  private var transportByteCount: Int {
    switch transport {
    case nil: 0
    case .udp: 8
    case .tcp: 20
    }
  }

  /// The frame.
  ///
  /// - Precondition: `length` is at least `headerByteCount`, and what is behind Ethernet fits 65,535.
  public var octets: [UInt8] {
    let total = max(length ?? 60, headerByteCount)
    var frame = destination.octets + source.octets
    if let vlan { frame += big(tpid) + big(UInt16(priority) << 13 | vlan & 0xfff) }
    switch network {
    case nil: frame += big(0x88b5)
    case .arp(let sender, let target):
      frame +=
        big(EtherType.arp) + [0, 1, 8, 0, 6, 4, 0, 1] + source.octets + sender.bytes + [UInt8](repeating: 0, count: 6) + target.bytes
    case .ip(let from, let to): frame += ip(from, to, byteCount: total - frame.count - 2)
    }
    return frame + [UInt8](repeating: 0, count: total - frame.count)
  }

  /// EtherType and packet.
  private func ip(_ from: IPAddress, _ to: IPAddress, byteCount: Int) -> [UInt8] {
    let trafficClass = dscp << 2 | ecn
    let number: UInt8
    switch transport {
    case nil: number = 253
    case .udp: number = 17
    case .tcp: number = 6
    }
    let headerByteCount = from.isIPv4 ? 20 : 40
    let body = self.body(from, to, number, byteCount: byteCount - headerByteCount)
    if from.isIPv4 {
      var header: [UInt8] = [0x45, trafficClass] + big(UInt16(byteCount)) + [0, 0, 0x40, 0, ttl, number, 0, 0] + from.bytes + to.bytes
      header.replaceSubrange(10..<12, with: big(InternetChecksum.complement(InternetChecksum.partialSum(header.span.bytes))))
      return big(EtherType.ipv4) + header + body
    }
    let first = 0x6000 | UInt16(trafficClass) << 4
    return big(EtherType.ipv6) + big(first) + [0, 0] + big(UInt16(body.count)) + [number, ttl] + from.bytes + to.bytes + body
  }

  /// Transport header and payload, of zeros.
  private func body(_ from: IPAddress, _ to: IPAddress, _ number: UInt8, byteCount: Int) -> [UInt8] {
    var body: [UInt8]
    let field: Int
    switch transport {
    case nil: return [UInt8](repeating: 0, count: byteCount)
    case .udp(let source, let destination):
      body = big(source) + big(destination) + big(UInt16(byteCount)) + [0, 0]
      field = 6
    case .tcp(let source, let destination):
      body = big(source) + big(destination) + [0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]
      field = 16
    }
    body += [UInt8](repeating: 0, count: byteCount - body.count)
    let sum =
      InternetChecksum.partialSum(from) + InternetChecksum.partialSum(to) + UInt32(byteCount) + UInt32(number)
      + InternetChecksum.partialSum(body.span.bytes)
    body.replaceSubrange(field..<field + 2, with: big(InternetChecksum.complement(sum, isUDP: number == 17)))
    return body
  }

  private func big(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 0xff)] }
}
