// Outer headers built field by field with an independent packet library, for OuterHeaderTests.
import Encap
import Testing

struct GoldenHeader: Sendable, CustomTestStringConvertible {
  var name: String
  var source, destination: String
  var destinationMAC: String
  var ttl, dscp: UInt8
  var hasChecksum: Bool
  var vni: UInt32
  var hash: UInt32
  /// Of the inner header; zero if there is none.
  var innerTrafficClass, innerHopLimit: UInt8
  var headerByteCount: Int
  var udpPort: UInt16
  /// The whole packet.
  var packet: [UInt8]

  var testDescription: String { name }
}

let goldenHeaders: [GoldenHeader] = [
  GoldenHeader(
    name: "IPv4, fixed TTL and DSCP", source: "192.0.2.1", destination: "192.0.2.2",
    destinationMAC: "02:00:00:00:00:0b", ttl: 64, dscp: 0, hasChecksum: false, vni: 5001, hash: 0x1234_5678,
    innerTrafficClass: 0x00, innerHopLimit: 64, headerByteCount: 50, udpPort: 4789,
    packet: bytes(
      """
      02000000000b02000000000a080045000060000040004011b689c0000201c0000202f41212b5004c0000080000000013
      890002000000010202000000010108004500002e00070000401166b40a0100010a010002045708ae001a965f00010203
      0405060708090a0b0c0d0e0f1011
      """)),
  GoldenHeader(
    name: "IPv4, computed checksum", source: "192.0.2.1", destination: "192.0.2.2",
    destinationMAC: "02:00:00:00:00:0b", ttl: 64, dscp: 0, hasChecksum: true, vni: 5001, hash: 0x1234_5678,
    innerTrafficClass: 0x00, innerHopLimit: 64, headerByteCount: 50, udpPort: 4789,
    packet: bytes(
      """
      02000000000b02000000000a080045000060000040004011b689c0000201c0000202f41212b5004ce9a3080000000013
      890002000000010202000000010108004500002e00070000401166b40a0100010a010002045708ae001a965f00010203
      0405060708090a0b0c0d0e0f1011
      """)),
  GoldenHeader(
    name: "IPv4, computed checksum, odd inner length", source: "192.0.2.1", destination: "198.51.100.200",
    destinationMAC: "02:00:00:00:00:0b", ttl: 255, dscp: 46, hasChecksum: true, vni: 16_777_215, hash: 0xffff_ffff,
    innerTrafficClass: 0x00, innerHopLimit: 64, headerByteCount: 50, udpPort: 4789,
    packet: bytes(
      """
      02000000000b02000000000a080045b8006100004000ff118dd6c0000201c63364c8ffff12b5004dfece08000000ffff
      ff0002000000010202000000010108004500002f00070000401166b30a0100010a010002045708ae001b845d00010203
      0405060708090a0b0c0d0e0f101112
      """)),
  GoldenHeader(
    name: "IPv4, everything inherited", source: "192.0.2.1", destination: "192.0.2.2",
    destinationMAC: "02:00:00:00:00:0b", ttl: 0, dscp: 255, hasChecksum: false, vni: 1, hash: 0x0000_0000,
    innerTrafficClass: 0xb9, innerHopLimit: 17, headerByteCount: 50, udpPort: 4789,
    packet: bytes(
      """
      02000000000b02000000000a080045b90060000040001111e4d0c0000201c0000202c00012b5004c0000080000000000
      0100020000000102020000000101080045b9002e00070000111194fb0a0100010a010002045708ae001a965f00010203
      0405060708090a0b0c0d0e0f1011
      """)),
  GoldenHeader(
    name: "IPv4, fixed DSCP keeps the inner ECN field", source: "192.0.2.1", destination: "192.0.2.2",
    destinationMAC: "02:00:00:00:00:0b", ttl: 64, dscp: 10, hasChecksum: false, vni: 1, hash: 0x8000_0001,
    innerTrafficClass: 0xbb, innerHopLimit: 17, headerByteCount: 50, udpPort: 4789,
    packet: bytes(
      """
      02000000000b02000000000a0800452b0060000040004011b65ec0000201c0000202c08012b5004c0000080000000000
      0100020000000102020000000101080045bb002e00070000111194f90a0100010a010002045708ae001a965f00010203
      0405060708090a0b0c0d0e0f1011
      """)),
  GoldenHeader(
    name: "IPv4, inherited from IPv6", source: "203.0.113.9", destination: "192.0.2.2",
    destinationMAC: "02:00:00:00:00:0b", ttl: 0, dscp: 255, hasChecksum: true, vni: 4242, hash: 0xdead_beef,
    innerTrafficClass: 0xb8, innerHopLimit: 3, headerByteCount: 50, udpPort: 4789,
    packet: bytes(
      """
      02000000000b02000000000a080045b8008200004000031178a7cb007109c0000202edde12b5006e6803080000000010
      920002000000010202000000010186dd6b80000000280603fd000000000000000000000000000001fd00000000000000
      00000000000000020457005000000001000000005002200036be0000000102030405060708090a0b0c0d0e0f10111213
      """)),
  GoldenHeader(
    name: "IPv4, inherited where there is nothing to inherit", source: "192.0.2.1", destination: "192.0.2.2",
    destinationMAC: "02:00:00:00:00:0b", ttl: 0, dscp: 255, hasChecksum: false, vni: 100, hash: 0x5555_5555,
    innerTrafficClass: 0x00, innerHopLimit: 0, headerByteCount: 50, udpPort: 4789,
    packet: bytes(
      """
      02000000000b02000000000a08004500004e000040004011b69bc0000201c0000202d55512b5003a0000080000000000
      6400ffffffffffff020000000101080600010800060400010200000001010a0100010000000000000a010002
      """)),
  GoldenHeader(
    name: "IPv4 multicast", source: "192.0.2.1", destination: "239.1.129.1",
    destinationMAC: "01:00:5e:01:81:01", ttl: 1, dscp: 0, hasChecksum: false, vni: 100, hash: 0x0bad_cafe,
    innerTrafficClass: 0x00, innerHopLimit: 0, headerByteCount: 50, udpPort: 4789,
    packet: bytes(
      """
      01005e01810102000000000a08004500004e000040000111479bc0000201ef018101ed0b12b5003a0000080000000000
      6400ffffffffffff020000000101080600010800060400010200000001010a0100010000000000000a010002
      """)),
  GoldenHeader(
    name: "IPv4, other port, all bits of the VNI", source: "10.255.255.254", destination: "10.0.0.1",
    destinationMAC: "02:00:00:00:00:0b", ttl: 1, dscp: 63, hasChecksum: true, vni: 10_855_845, hash: 0x0003_ffff,
    innerTrafficClass: 0x00, innerHopLimit: 64, headerByteCount: 50, udpPort: 8472,
    packet: bytes(
      """
      02000000000b02000000000a080045fc006f00004000011163840afffffe0a000001c3002118005bc05f08000000a5a5
      a50002000000010202000000010186dd6000000000150640fd000000000000000000000000000001fd00000000000000
      0000000000000002045700500000000100000000500220009135000000
      """)),
  GoldenHeader(
    name: "IPv6, zero checksum", source: "2001:db8::1", destination: "2001:db8::2",
    destinationMAC: "02:00:00:00:00:0b", ttl: 64, dscp: 0, hasChecksum: false, vni: 5001, hash: 0x1234_5678,
    innerTrafficClass: 0x00, innerHopLimit: 64, headerByteCount: 70, udpPort: 4789,
    packet: bytes(
      """
      02000000000b02000000000a86dd60045678004c114020010db800000000000000000000000120010db8000000000000
      000000000002f41212b5004c0000080000000013890002000000010202000000010108004500002e00070000401166b4
      0a0100010a010002045708ae001a965f000102030405060708090a0b0c0d0e0f1011
      """)),
  GoldenHeader(
    name: "IPv6, computed checksum", source: "2001:db8::1", destination: "2001:db8:ffff:eeee:dddd:cccc:bbbb:2",
    destinationMAC: "02:00:00:00:00:0b", ttl: 64, dscp: 0, hasChecksum: true, vni: 5001, hash: 0x1234_5678,
    innerTrafficClass: 0x00, innerHopLimit: 64, headerByteCount: 70, udpPort: 4789,
    packet: bytes(
      """
      02000000000b02000000000a86dd60045678004c114020010db800000000000000000000000120010db8ffffeeeedddd
      ccccbbbb0002f41212b5004cbcdd080000000013890002000000010202000000010108004500002e00070000401166b4
      0a0100010a010002045708ae001a965f000102030405060708090a0b0c0d0e0f1011
      """)),
  GoldenHeader(
    name: "IPv6, everything inherited", source: "2001:db8::1", destination: "2001:db8::2",
    destinationMAC: "02:00:00:00:00:0b", ttl: 0, dscp: 255, hasChecksum: true, vni: 11_259_375, hash: 0xcafe_babe,
    innerTrafficClass: 0xba, innerHopLimit: 9, headerByteCount: 70, udpPort: 4789,
    packet: bytes(
      """
      02000000000b02000000000a86dd6baebabe006f110920010db800000000000000000000000120010db8000000000000
      000000000002feca12b5006ff0c808000000abcdef0002000000010202000000010186dd6ba0000000290609fd000000
      000000000000000000000001fd0000000000000000000000000000020457005000000001000000005002200022bd0000
      000102030405060708090a0b0c0d0e0f1011121314
      """)),
  GoldenHeader(
    name: "IPv6 multicast", source: "2001:db8::1", destination: "ff05::100",
    destinationMAC: "33:33:00:00:01:00", ttl: 1, dscp: 46, hasChecksum: true, vni: 7, hash: 0x7654_3210,
    innerTrafficClass: 0x00, innerHopLimit: 0, headerByteCount: 70, udpPort: 4789,
    packet: bytes(
      """
      33330000010002000000000a86dd6b843210003a110120010db8000000000000000000000001ff050000000000000000
      000000000100d47612b5003aab7b0800000000000700ffffffffffff0200000001010806000108000604000102000000
      01010a0100010000000000000a010002
      """)),
]
