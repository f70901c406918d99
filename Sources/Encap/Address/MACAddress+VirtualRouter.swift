// Virtual router addresses: several routers share one, and it moves to whichever of them is active.

extension MACAddress {
  /// Whether a router redundancy protocol uses this address: VRRP (RFC 9568 section 7.3) and CARP, HSRP (RFC 2281 section 7)
  /// in both versions and for IPv6, GLBP.
  public var isVirtualRouter: Bool {
    switch bits >> 8 {
    // VRRP for IPv4 and CARP, VRRP for IPv6: the last octet is the virtual router's identifier.
    case 0x00_005e_0001, 0x00_005e_0002: return true
    // HSRP version 1: the last octet is the group.
    case 0x00_000c_07ac: return true
    default: break
    }
    // HSRP version 2 and HSRP for IPv6: the last 12 bits are the group.
    if bits >> 12 == 0x0_000c_9ff || bits >> 12 == 0x0_0573_a00 { return true }
    // GLBP: ten bits of group, eight of forwarder.
    return bits >> 18 == 0x0007_b400_0000 >> 18
  }
}
