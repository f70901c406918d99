// Reads an InterfaceAddress from RTM_NEWADDR.

import CMNL
import Encap

extension InterfaceAddress {
  init?(_ message: NetlinkMessage) {
    guard let header = message.familyHeader(ifaddrmsg.self) else { return nil }
    let attributes = message.attributes(after: ifaddrmsg.self)
    // On a point-to-point link IFA_ADDRESS is the peer and IFA_LOCAL is ours; IPv6 usually has only IFA_ADDRESS.
    guard let address = (attributes[IFA_LOCAL] ?? attributes[IFA_ADDRESS])?.address, let index = Int32(exactly: header.ifa_index)
    else { return nil }
    self.init(
      interfaceIndex: index, address: address, prefixLength: Int(header.ifa_prefixlen),
      isDuplicate: Int32(header.ifa_flags) & IFA_F_DADFAILED != 0,
      isPermanent: Int32(header.ifa_flags) & IFA_F_PERMANENT != 0)
  }
}
