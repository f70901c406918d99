// UnderlayFilter: passes only VXLAN's UDP port to the packet socket on a shared underlay device (step D1), so that the host's
// other traffic costs the workers nothing. RFC 791, RFC 8200.

import CMNL
import Encap
import Glibc

/// Accepts IPv4 and IPv6 UDP datagrams to one port, in Ethernet frames without a VLAN ID that this host did not send.
///
/// First fragments pass if their port matches, so that they are counted; later fragments do not. IPv6 hop-by-hop, routing,
/// destination-options and fragment headers are followed, `maximumExtensionHeaders` deep; beyond that the packet passes and the
/// worker decides. A frame for another host is truncated to a marker length (`CutFrame`), so that it is counted.
public struct UnderlayFilter: Equatable, Sendable {
  static let maximumExtensionHeaders = 4

  public let udpPort: UInt16
  public let program: BPFProgram

  public init(udpPort: UInt16) {
    self.udpPort = udpPort
    program = Self.build(udpPort: udpPort)
  }

  /// Makes this the filter of a packet socket of type SOCK_RAW.
  public func attach(toSocket fd: Int32) throws(NetlinkError) {
    try program.attach(toSocket: fd)
  }

  private static func build(udpPort: UInt16) -> BPFProgram {
    var code = BPFAssembler()
    let untagged = code.label()
    let ipv6 = code.label()
    let udp = code.label()
    let accept = code.label()
    let reject = code.label()

    code.rejectOutgoing(to: reject)
    // The kernel has removed the VLAN tag from the frame. A frame in a VLAN is not ours; VLAN ID 0 is only a priority tag.
    code.emit(BPF_LD | BPF_W | BPF_ABS, BPFAssembler.ancillary(SKF_AD_VLAN_TAG_PRESENT))
    code.jump(BPF_JEQ, 0, ifTrue: untagged)
    code.emit(BPF_LD | BPF_W | BPF_ABS, BPFAssembler.ancillary(SKF_AD_VLAN_TAG))
    code.jump(BPF_JSET, 0x0fff, ifTrue: reject)
    code.place(untagged)

    code.emit(BPF_LD | BPF_H | BPF_ABS, 12)
    code.jump(BPF_JEQ, UInt32(ETH_P_IPV6), ifTrue: ipv6)
    code.jump(BPF_JEQ, UInt32(ETH_P_IP), ifFalse: reject)

    // IPv4: protocol, fragment offset, then the port behind the options.
    code.emit(BPF_LD | BPF_B | BPF_ABS, 14 + 9)
    code.jump(BPF_JEQ, UInt32(IPPROTO_UDP), ifFalse: reject)
    code.emit(BPF_LD | BPF_H | BPF_ABS, 14 + 6)
    code.jump(BPF_JSET, 0x1fff, ifTrue: reject)
    code.emit(BPF_LDX | BPF_B | BPF_MSH, 14)
    code.emit(BPF_LD | BPF_H | BPF_IND, 14 + 2)
    code.jump(BPF_JEQ, UInt32(udpPort), ifTrue: accept, ifFalse: reject)

    // IPv6: A holds the next-header value, X the offset of that header.
    code.place(ipv6)
    code.emit(BPF_LD | BPF_B | BPF_ABS, 14 + 6)
    code.emit(BPF_LDX | BPF_W | BPF_IMM, 14 + 40)
    for _ in 0..<maximumExtensionHeaders {
      appendExtensionHeader(&code, udp: udp, reject: reject)
    }
    code.jump(BPF_JEQ, UInt32(IPPROTO_UDP), ifTrue: udp)
    for header in [IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS, IPPROTO_FRAGMENT] {
      code.jump(BPF_JEQ, UInt32(header), ifTrue: accept)
    }
    code.jump(to: reject)

    code.place(udp)
    code.emit(BPF_LD | BPF_H | BPF_IND, 2)
    code.jump(BPF_JEQ, UInt32(udpPort), ifTrue: accept, ifFalse: reject)
    code.place(accept)
    appendAddressCheck(&code)
    code.place(reject)
    code.emit(BPF_RET | BPF_K, 0)
    return code.program()
  }

  /// Accepts a packet to our port: whole, or truncated per `CutFrame` if its frame is not for this host. The kernel has compared
  /// the destination MAC address with the interface's, also below a bond, a bridge or a VLAN.
  private static func appendAddressCheck(_ code: inout BPFAssembler) {
    let group = code.label()
    let groupIPv6 = code.label()
    let whole = code.label()
    let otherHost = code.label()
    code.emit(BPF_LD | BPF_W | BPF_ABS, BPFAssembler.ancillary(SKF_AD_PKTTYPE))
    code.jump(BPF_JEQ, UInt32(PACKET_OTHERHOST), ifTrue: otherHost)
    code.jump(BPF_JEQ, UInt32(PACKET_BROADCAST), ifTrue: group)
    code.jump(BPF_JEQ, UInt32(PACKET_MULTICAST), ifTrue: group)
    code.jump(to: whole)

    // RFC 1122 section 3.3.6: the IP destination must be a group, too.
    code.place(group)
    code.emit(BPF_LD | BPF_H | BPF_ABS, 12)
    code.jump(BPF_JEQ, UInt32(ETH_P_IPV6), ifTrue: groupIPv6)
    code.emit(BPF_LD | BPF_B | BPF_ABS, 14 + 16)
    code.jump(BPF_JGE, 0xe0, ifTrue: whole)
    code.emit(BPF_RET | BPF_K, UInt32(CutFrame.groupByteCount))
    code.place(groupIPv6)
    code.emit(BPF_LD | BPF_B | BPF_ABS, 14 + 24)
    code.jump(BPF_JEQ, 0xff, ifTrue: whole)
    code.emit(BPF_RET | BPF_K, UInt32(CutFrame.groupByteCount))

    code.place(whole)
    code.emit(BPF_RET | BPF_K, BPFAssembler.acceptAll)
    code.place(otherHost)
    code.emit(BPF_RET | BPF_K, UInt32(CutFrame.otherHostByteCount))
  }

  /// Steps over one extension header, leaving A and X at the next one.
  private static func appendExtensionHeader(
    _ code: inout BPFAssembler, udp: BPFAssembler.Label, reject: BPFAssembler.Label
  ) {
    let fragment = code.label()
    let options = code.label()
    let next = code.label()
    code.jump(BPF_JEQ, UInt32(IPPROTO_UDP), ifTrue: udp)
    code.jump(BPF_JEQ, UInt32(IPPROTO_FRAGMENT), ifTrue: fragment)
    code.jump(BPF_JEQ, UInt32(IPPROTO_HOPOPTS), ifTrue: options)
    code.jump(BPF_JEQ, UInt32(IPPROTO_ROUTING), ifTrue: options)
    code.jump(BPF_JEQ, UInt32(IPPROTO_DSTOPTS), ifFalse: reject)

    // Next header in byte 0, length in byte 1, in units of 8 bytes beyond the first 8.
    code.place(options)
    code.emit(BPF_LD | BPF_B | BPF_IND, 0)
    code.emit(BPF_ST, 0)
    code.emit(BPF_LD | BPF_B | BPF_IND, 1)
    code.emit(BPF_ALU | BPF_ADD | BPF_K, 1)
    code.emit(BPF_ALU | BPF_LSH | BPF_K, 3)
    code.emit(BPF_ALU | BPF_ADD | BPF_X)
    code.emit(BPF_MISC | BPF_TAX)
    code.emit(BPF_LD | BPF_W | BPF_MEM, 0)
    code.jump(to: next)

    // Always 8 bytes; only the fragment at offset 0 has the UDP header.
    code.place(fragment)
    code.emit(BPF_LD | BPF_H | BPF_IND, 2)
    code.jump(BPF_JSET, 0xfff8, ifTrue: reject)
    code.emit(BPF_LD | BPF_B | BPF_IND, 0)
    code.emit(BPF_ST, 0)
    code.emit(BPF_MISC | BPF_TXA)
    code.emit(BPF_ALU | BPF_ADD | BPF_K, 8)
    code.emit(BPF_MISC | BPF_TAX)
    code.emit(BPF_LD | BPF_W | BPF_MEM, 0)
    code.place(next)
  }
}
