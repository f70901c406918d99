// Reads a Link from RTM_NEWLINK and RTM_DELLINK.

import CMNL
import Encap

extension Link {
  /// Nil for the messages of the same type in which a bridge describes a port (AF_BRIDGE): a port that leaves its bridge
  /// sends RTM_DELLINK there and lives on.
  init?(_ message: NetlinkMessage) {
    guard let header = message.familyHeader(ifinfomsg.self), Int32(header.ifi_family) == AF_UNSPEC else { return nil }
    let attributes = message.attributes(after: ifinfomsg.self)
    guard let name = attributes[IFLA_IFNAME]?.string else { return nil }
    let flags = Int(header.ifi_flags)
    let isUp = flags & Int(IFF_UP) != 0
    // IFF_RUNNING says the operational state is "up" or "unknown"; it lags behind the carrier.
    let isRunning = isUp && flags & Int(IFF_RUNNING) != 0 && flags & Int(CMNL_IFF_LOWER_UP) != 0
    self.init(
      index: header.ifi_index,
      name: name,
      mac: attributes[IFLA_ADDRESS]?.mac ?? MACAddress(bits: 0),
      mtu: Int(attributes[IFLA_MTU]?.value(UInt32.self) ?? 0),
      isUp: isUp,
      isRunning: isRunning,
      kind: attributes[IFLA_LINKINFO]?.nested[IFLA_INFO_KIND]?.string,
      hardwareType: header.ifi_type,
      masterIndex: attributes[IFLA_MASTER]?.value(Int32.self),
      linkNetnsID: attributes[IFLA_LINK_NETNSID]?.value(Int32.self))
  }
}
