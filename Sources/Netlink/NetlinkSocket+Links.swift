// Requests about links and addresses.

import CMNL
import Encap
import Glibc

extension NetlinkSocket {
  /// All interfaces, ordered by index.
  public func links() throws(NetlinkError) -> [Link] {
    let request = NetlinkRequest(RTM_GETLINK, flags: NLM_F_DUMP, operation: "list links")
    request.putFamilyHeader(ifinfomsg())
    return try dump(request) { Link($0) }
  }

  /// - Parameter namespaceID: ID of another namespace in ours; nil: ours.
  /// - Returns: nil if no interface has this name.
  public func link(named name: String, namespaceID: Int32? = nil) throws(NetlinkError) -> Link? {
    // The kernel rejects longer names as malformed.
    guard !name.isEmpty, name.utf8.count < Int(IFNAMSIZ) else { return nil }
    let request = NetlinkRequest(RTM_GETLINK, flags: NLM_F_ACK, operation: "query link", subject: name)
    request.putFamilyHeader(ifinfomsg())
    request.put(IFLA_IFNAME, bytes: Array(name.utf8) + [0])
    if let namespaceID { request.put(Int(IFLA_TARGET_NETNSID), UInt32(bitPattern: namespaceID)) }
    return try link(request)
  }

  /// - Returns: nil if no interface has this index.
  public func link(index: Int32) throws(NetlinkError) -> Link? {
    guard index > 0 else { return nil }
    let request = NetlinkRequest(RTM_GETLINK, flags: NLM_F_ACK, operation: "query link", subject: "interface \(index)")
    var header = ifinfomsg()
    header.ifi_index = index
    request.putFamilyHeader(header)
    return try link(request)
  }

  private func link(_ request: borrowing NetlinkRequest) throws(NetlinkError) -> Link? {
    var found: Link?
    do {
      try perform(request) { found = Link($0) ?? found }
    } catch  where error.code == ENODEV {
      return nil
    }
    return found
  }

  /// All addresses of all interfaces, IPv4 and IPv6.
  public func addresses() throws(NetlinkError) -> [InterfaceAddress] {
    let request = NetlinkRequest(RTM_GETADDR, flags: NLM_F_DUMP, operation: "list addresses")
    request.putFamilyHeader(ifaddrmsg())
    return try dump(request) { InterfaceAddress($0) }
  }

  /// The subset of these addresses that this host has: on an interface, or through a route of type "local".
  public func owned(_ addresses: [IPAddress]) throws(NetlinkError) -> Set<IPAddress> {
    let present = Set(try self.addresses().filter { !$0.isDuplicate }.map(\.address))
    var owned: Set<IPAddress> = []
    for address in addresses {
      if present.contains(address) {
        owned.insert(address)
      } else if try route(to: address, from: nil)?.type == .local {
        owned.insert(address)
      }
    }
    return owned
  }

  /// Sets an interface up or down.
  public func setLink(index: Int32, up: Bool) throws(NetlinkError) {
    let request = NetlinkRequest(
      RTM_NEWLINK, flags: NLM_F_ACK, operation: up ? "set up" : "set down", subject: "interface \(index)")
    var header = ifinfomsg()
    header.ifi_index = index
    header.ifi_change = UInt32(IFF_UP)
    header.ifi_flags = up ? UInt32(IFF_UP) : 0
    request.putFamilyHeader(header)
    try perform(request)
  }

  /// Sets an interface's MAC address.
  public func setAddress(index: Int32, _ mac: MACAddress) throws(NetlinkError) {
    let request = NetlinkRequest(RTM_NEWLINK, flags: NLM_F_ACK, operation: "set address \(mac)", subject: "interface \(index)")
    var header = ifinfomsg()
    header.ifi_index = index
    request.putFamilyHeader(header)
    request.put(IFLA_ADDRESS, mac)
    try perform(request)
  }

  /// Deletes a virtual interface.
  public func deleteLink(index: Int32) throws(NetlinkError) {
    let request = NetlinkRequest(RTM_DELLINK, flags: NLM_F_ACK, operation: "delete", subject: "interface \(index)")
    var header = ifinfomsg()
    header.ifi_index = index
    request.putFamilyHeader(header)
    try perform(request)
  }

  /// - Parameter mtu: in bytes, without the Ethernet header.
  public func setMTU(index: Int32, mtu: Int) throws(NetlinkError) {
    let request = NetlinkRequest(
      RTM_NEWLINK, flags: NLM_F_ACK, operation: "set MTU \(mtu)", subject: "interface \(index)")
    guard let value = UInt32(exactly: mtu) else { throw request.error(EINVAL) }
    var header = ifinfomsg()
    header.ifi_index = index
    request.putFamilyHeader(header)
    request.put(IFLA_MTU, value)
    try perform(request)
  }
}
