// Reads a Link from RTM_NEWLINK and RTM_DELLINK.

import CMNL
import Encap

extension Link {
  /// Nil for messages of the same type in which a bridge describes a port (AF_BRIDGE): a port that leaves its bridge sends
  /// RTM_DELLINK there but still exists.
  init?(_ message: NetlinkMessage) {
    guard let header = message.familyHeader(ifinfomsg.self), Int32(header.ifi_family) == AF_UNSPEC else { return nil }
    let attributes = message.attributes(after: ifinfomsg.self)
    guard let name = attributes[IFLA_IFNAME]?.string else { return nil }
    let information = attributes[IFLA_LINKINFO]?.nested
    let kind = information?[IFLA_INFO_KIND]?.string
    let flags = Int(header.ifi_flags)
    let isUp = flags & Int(IFF_UP) != 0
    // IFF_RUNNING means that the operational state is "up" or "unknown"; it lags behind the carrier.
    let isRunning = isUp && flags & Int(IFF_RUNNING) != 0 && flags & Int(CMNL_IFF_LOWER_UP) != 0
    self.init(
      index: header.ifi_index,
      name: name,
      mac: attributes[IFLA_ADDRESS]?.mac ?? MACAddress(bits: 0),
      mtu: Int(attributes[IFLA_MTU]?.value(UInt32.self) ?? 0),
      isUp: isUp,
      isRunning: isRunning,
      kind: kind,
      hardwareType: header.ifi_type,
      masterIndex: attributes[IFLA_MASTER]?.value(Int32.self),
      linkNetnsID: attributes[IFLA_LINK_NETNSID]?.value(Int32.self),
      lowerIndex: attributes[IFLA_LINK]?.value(Int32.self),
      tun: kind == "tun" ? information?[IFLA_INFO_DATA].map { TunState($0.nested) } : nil)
    isPromiscuous = (attributes[IFLA_PROMISCUITY]?.value(UInt32.self) ?? 0) > 0
  }
}

extension Link.TunState {
  fileprivate init(_ attributes: NetlinkAttributes) {
    func count(_ type: Int) -> Int { Int(attributes[type]?.value(UInt32.self) ?? 0) }
    self.init(
      isPersistent: attributes[Int(IFLA_TUN_PERSIST)]?.value(UInt8.self) != 0,
      queueCount: count(Int(IFLA_TUN_NUM_QUEUES)) + count(Int(IFLA_TUN_NUM_DISABLED_QUEUES)))
  }
}
