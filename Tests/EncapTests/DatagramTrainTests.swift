// Datagram trains: which packets may follow each other in one, and what becomes of the first one's headers.
import Encap
import Testing

@Suite struct DatagramTrainTests {
  static let networks = [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")]

  private func packet(
    _ network: (String, String), innerByteCount: Int = 100, vni: UInt32 = 5001, hash: UInt32 = 0x1234_5678, ttl: UInt8 = 64,
    dscp: UInt8 = 0, trafficClass: UInt8 = 0, nextHop: String = "02:00:00:00:00:0b"
  ) -> [UInt8] {
    let header = OuterHeader(
      source: ip(network.0), destination: ip(network.1), sourceMAC: mac("02:00:00:00:00:0a"), destinationMAC: mac(nextHop),
      udpPort: 4789, ttl: ttl, dscp: dscp, computesUDPChecksum: false)
    let flow = InnerFlow(hash: hash, trafficClass: trafficClass, hopLimit: 9)
    return encapsulate([UInt8](repeating: 0x5a, count: innerByteCount), with: header, vni: vni, flow: flow)
  }

  private func isContinued(_ first: [UInt8], by next: [UInt8]) -> Bool {
    DatagramTrain.isContinued(first.span.bytes, by: next.span.bytes, headerByteCount: DatagramTrain.headerByteCount(first.span.bytes))
  }

  @Test(arguments: networks)
  func lengthAndVNIMayDiffer(_ network: (String, String)) {
    let first = packet(network)
    #expect(isContinued(first, by: first))
    #expect(isContinued(first, by: packet(network, innerByteCount: 60)))
    #expect(isContinued(first, by: packet(network, vni: 6000)))
  }

  @Test(arguments: networks)
  func everyOtherFieldEndsATrain(_ network: (String, String)) {
    let first = packet(network)
    #expect(!isContinued(first, by: packet(network, hash: 0xfedc_ba98)))
    #expect(!isContinued(first, by: packet(network, ttl: 63)))
    #expect(!isContinued(first, by: packet(network, dscp: 46)))
    #expect(!isContinued(first, by: packet(network, trafficClass: 3)))
    #expect(!isContinued(first, by: packet(network, nextHop: "02:00:00:00:00:0c")))
    #expect(!isContinued(first, by: packet(Self.networks[network == Self.networks[0] ? 1 : 0])))
    // Every octet of the headers but lengths, IPv4 identification and checksums.
    let size = DatagramTrain.headerByteCount(first.span.bytes)
    let free = size == DatagramTrain.ipv4HeaderByteCount ? [16, 17, 18, 19, 24, 25, 38, 39, 40, 41] : [18, 19, 58, 59, 60, 61]
    for offset in 0..<size {
      var next = first
      next[offset] ^= 1
      #expect(isContinued(first, by: next) == free.contains(offset), "octet \(offset)")
    }
  }

  @Test func onlyPlainUDPStartsATrain() {
    let ipv4 = packet(Self.networks[0])
    let ipv6 = packet(Self.networks[1])
    #expect(DatagramTrain.headerByteCount(ipv4.span.bytes) == 42)
    #expect(DatagramTrain.headerByteCount(ipv6.span.bytes) == 62)
    for (whole, offset) in [(ipv4, 12), (ipv4, 14), (ipv4, 23), (ipv6, 12), (ipv6, 20)] {
      var changed = whole
      changed[offset] ^= 2
      #expect(DatagramTrain.headerByteCount(changed.span.bytes) == 0, "octet \(offset)")
    }
    #expect(DatagramTrain.headerByteCount(Array(ipv4.prefix(49)).span.bytes) == 0)
    #expect(DatagramTrain.headerByteCount(Array(ipv6.prefix(69)).span.bytes) == 0)
  }

  @Test(arguments: networks)
  func headersAreThoseOfOneLargeDatagram(_ network: (String, String)) {
    var headers = packet(network)
    let size = DatagramTrain.headerByteCount(headers.span.bytes)
    let payload = 40 * 1458
    headers.withUnsafeMutableBytes {
      var span = MutableRawSpan(_unsafeBytes: $0)
      DatagramTrain.write(into: &span, headerByteCount: size, payloadByteCount: payload)
    }
    #expect(headers.big16(size - 4) == UInt16(payload + 8))
    var pseudo: [UInt8]
    if size == 42 {
      #expect(headers.big16(16) == UInt16(payload + 28))
      #expect(referenceSum(Array(headers[14..<34])) == 0xffff)
      pseudo = Array(headers[26..<34])
    } else {
      #expect(headers.big16(18) == UInt16(payload + 8))
      pseudo = Array(headers[22..<54])
    }
    pseudo += [0, 17, UInt8((payload + 8) >> 8), UInt8((payload + 8) & 0xff)]
    #expect(headers.big16(size - 2) == referenceSum(pseudo))
  }
}
