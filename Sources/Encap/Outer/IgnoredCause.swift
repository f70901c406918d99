// Why a packet on a shared underlay device was left to the kernel: the causes of `OuterPacket`'s `notVXLAN`. The socket filter
// keeps most such packets away from the workers.

/// The cause. Raw values are dense from 0 and index counter arrays.
@frozen
public enum IgnoredCause: UInt8, CaseIterable, Sendable {
  case notIP
  case vlanTag
  case notUDP
  case laterFragment
  case otherPort

  /// How many causes there are: the size of a counter array.
  @inlinable public static var count: Int { Int(IgnoredCause.otherPort.rawValue) + 1 }

  /// The stable name, kebab-case of the case.
  public var name: String {
    switch self {
    case .notIP: "not-ip"
    case .vlanTag: "vlan-tag"
    case .notUDP: "not-udp"
    case .laterFragment: "later-fragment"
    case .otherPort: "other-port"
    }
  }

  /// - Parameter packet: a packet that `OuterPacket` calls `notVXLAN`, from its Ethernet header on.
  public init(_ packet: RawSpan) {
    self = .notIP
    guard packet.byteCount >= 14 else { return }
    let etherType = packet.big16(12)
    if EtherType.isTag(etherType) {
      self = .vlanTag
    } else if etherType == EtherType.ipv4, packet.byteCount >= 34 {
      let isLater = packet.big16(20) & 0x1fff != 0
      self = packet.byte(23) != IPProtocol.udp ? .notUDP : isLater ? .laterFragment : .otherPort
    } else if etherType == EtherType.ipv6, packet.byteCount >= 54 {
      let chain = IPv6HeaderChain(packet: packet, header: 14, end: min(54 + Int(packet.big16(18)), packet.byteCount))
      self = chain.transport != IPProtocol.udp ? .notUDP : chain.fragment & 0xfff8 != 0 ? .laterFragment : .otherPort
    }
  }
}
