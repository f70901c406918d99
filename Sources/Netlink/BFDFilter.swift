// BFDFilter: passes BFD in VXLAN, and nothing else, to a packet socket of its own: so it does not wait behind data, and is not lost with it when the
// workers' sockets are full. RFC 5881, RFC 8971.

import CMNL
import Encap
import Glibc

/// Accepts VXLAN packets for this host with the usual headers whose inner frame goes to one of BFD's addresses.
public enum BFDFilter {
  /// - Parameter udpPort: of VXLAN.
  public static func program(udpPort: UInt16) -> BPFProgram {
    var code = BPFAssembler()
    let ipv6 = code.label()
    let accept = code.label()
    let reject = code.label()
    code.emit(BPF_LD | BPF_W | BPF_ABS, BPFAssembler.ancillary(SKF_AD_PKTTYPE))
    code.jump(BPF_JEQ, UInt32(PACKET_HOST), ifFalse: reject)
    code.emit(BPF_LD | BPF_H | BPF_ABS, 12)
    code.jump(BPF_JEQ, UInt32(ETH_P_IPV6), ifTrue: ipv6)
    code.jump(BPF_JEQ, UInt32(ETH_P_IP), ifFalse: reject)
    code.emit(BPF_LD | BPF_B | BPF_ABS, 14)
    code.jump(BPF_JEQ, 0x45, ifFalse: reject)
    append(&code, protocolOffset: 14 + 9, inner: OuterHeader.ipv4ByteCount, udpPort, accept: accept, reject: reject)
    code.place(ipv6)
    append(&code, protocolOffset: 14 + 6, inner: OuterHeader.ipv6ByteCount, udpPort, accept: accept, reject: reject)
    code.place(accept)
    code.emit(BPF_RET | BPF_K, BPFAssembler.acceptAll)
    code.place(reject)
    code.emit(BPF_RET | BPF_K, 0)
    return code.program()
  }

  /// The rest, for one version of IP.
  ///
  /// - Parameter inner: offset of the inner frame, 14 octets behind that of the UDP port.
  private static func append(
    _ code: inout BPFAssembler, protocolOffset: Int, inner: Int, _ udpPort: UInt16, accept: BPFAssembler.Label, reject: BPFAssembler.Label
  ) {
    code.emit(BPF_LD | BPF_B | BPF_ABS, UInt32(protocolOffset))
    code.jump(BPF_JEQ, UInt32(IPPROTO_UDP), ifFalse: reject)
    code.emit(BPF_LD | BPF_H | BPF_ABS, UInt32(inner - 14))
    code.jump(BPF_JEQ, UInt32(udpPort), ifFalse: reject)
    for address in [MACAddress.bfdOfOpenVSwitch, .bfdOfRFC8971] {
      let other = code.label()
      code.emit(BPF_LD | BPF_W | BPF_ABS, UInt32(inner))
      code.jump(BPF_JEQ, UInt32(address.bits >> 16), ifFalse: other)
      code.emit(BPF_LD | BPF_H | BPF_ABS, UInt32(inner + 4))
      code.jump(BPF_JEQ, UInt32(address.bits & 0xffff), ifTrue: accept)
      code.place(other)
    }
    code.jump(to: reject)
  }
}
