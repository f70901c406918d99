// VXLAN packets from other implementations, from public captures of the tcpdump and Zeek projects' test suites.
import Encap
import Testing

struct CapturedPacket: Sendable, CustomTestStringConvertible {
  var name: String
  var udpPort: UInt16
  var outcome: OuterPacket.Outcome
  var vni: UInt32
  var source, destination: String
  var innerByteCount: Int
  var packet: [UInt8]

  var testDescription: String { name }
}

let capturedPackets: [CapturedPacket] = [
  CapturedPacket(
    name: "ICMP echo request", udpPort: 4789, outcome: .accepted, vni: 100, source: "192.168.203.1",
    destination: "192.168.202.1", innerByteCount: 98,
    packet: bytes(
      """
      00163e0871cf36dc851eb340080045000086d2c0400040115152c0a8cb01c0a8ca01b05d12b500720000080000000000
      640000308801000200163e37f604080045000054000040004001234fc0a8cb03c0a8cb050800f6f2050c0001fce29751
      00000000a6f8020000000000101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f30313233
      34353637
      """)),
  CapturedPacket(
    name: "ARP request", udpPort: 4789, outcome: .accepted, vni: 100, source: "192.168.202.1",
    destination: "192.168.203.1", innerByteCount: 42,
    packet: bytes(
      """
      36dc851eb34000163e0871cf08004500004eb80240003e116e48c0a8ca01c0a8cb01a6d612b5003a0000080000000000
      6400ffffffffffff00308801000208060001080006040001003088010002c0a8cb05000000000000c0a8cb03
      """)),
  CapturedPacket(
    name: "ARP reply", udpPort: 4789, outcome: .accepted, vni: 100, source: "192.168.203.1",
    destination: "192.168.202.1", innerByteCount: 42,
    packet: bytes(
      """
      00163e0871cf36dc851eb34008004500004ed2c1400040115189c0a8cb01c0a8ca01cb8612b5003a0000080000000000
      640000308801000200163e37f6040806000108000604000200163e37f604c0a8cb03003088010002c0a8cb05
      """)),
  CapturedPacket(
    name: "ICMP echo reply", udpPort: 4789, outcome: .accepted, vni: 100, source: "192.168.202.1",
    destination: "192.168.203.1", innerByteCount: 98,
    packet: bytes(
      """
      36dc851eb34000163e0871cf080045000086b80340003e116e0fc0a8ca01c0a8cb01807e12b500720000080000000000
      640000163e37f604003088010002080045000054b8b300004001aa9bc0a8cb05c0a8cb030000fef2050c0001fce29751
      00000000a6f8020000000000101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f30313233
      34353637
      """)),
  CapturedPacket(
    name: "IGMP report, checksum left to hardware", udpPort: 4789, outcome: .dropped, vni: 4242, source: "172.30.0.1",
    destination: "172.30.0.2", innerByteCount: 46,
    packet: bytes(
      """
      0242ac1e00020242c5681bd2080045000052bb45400040112716ac1e0001ac1e0002bba412b5003e588f080000000010
      920001005e0000fbd2ae9840c2b5080046000020f46600000102857dc0a80950e00000fb9404000016000904e00000fb
      """)),
  CapturedPacket(
    name: "the same of another host", udpPort: 4789, outcome: .dropped, vni: 4242, source: "172.30.0.1",
    destination: "172.30.0.2", innerByteCount: 46,
    packet: bytes(
      """
      0242ac1e00020242c5681bd2080045000052cdfc40004011145fac1e0001ac1e0002b0f712b5003e588f080000000010
      920001005e0000fb4ac25fd3833d080046000020ccf700000102acc1c0a8097be00000fb9404000016000904e00000fb
      """)),
  CapturedPacket(
    name: "TCP SYN, checksum", udpPort: 4789, outcome: .accepted, vni: 1, source: "10.1.200.131",
    destination: "10.1.1.172", innerByteCount: 74,
    packet: bytes(
      """
      1242cdc5e8221242cdc5e82208004500006e0000000040119c4e0a01c8830a0101acc35012b5005a961f080000000000
      010074acb93fd27d48f17fa3b6ff08004500003c1998400040064538ac100bc93656edbc9da200505aafe1a800000000
      a002faf008920000020405b40402080ab78dd6b80000000001030307
      """)),
  CapturedPacket(
    name: "inner TCP checksum wrong, which is none of our business",
    udpPort: 4789, outcome: .accepted, vni: 42, source: "192.168.1.1",
    destination: "192.168.1.2", innerByteCount: 54,
    packet: bytes(
      """
      deadbeef0002deadbeef000108004500005a000100004011f73ec0a80101c0a801025ba012b500468947080000000000
      2a00aabbccddee02aabbccddee0108004500002800010000400666cd0a0000010a000002303900500000000000000000
      50022000dead0000
      """)),
  CapturedPacket(
    name: "VXLAN-GPE on its own port", udpPort: 4789, outcome: .notVXLAN, vni: 16_777_215, source: "127.0.0.1",
    destination: "127.0.0.1", innerByteCount: 56,
    packet: bytes(
      """
      00000000000000000000000008004500005c402340004011fc6b7f0000017f00000112b612b6004849f70c000004ffff
      ff0030060201ffffffff0001020112345678000203011234567845000020d4310000ff116647c0a80001c0a800022710
      4e20000c217874657374
      """)),
]
