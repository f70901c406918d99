// OwnedNIC: what the tap of an uplink and the NIC behind it have told each other: link, MTU, MAC address, and which frames the NIC receives.

import CDPDK
import Encap

/// Which frames a NIC lets pass besides those to its own address.
enum ReceiveFilter: Equatable, Sendable {
  /// Those to the groups that the tap is in.
  case groups
  case allMulticast
  case promiscuous
  /// The driver knows of no filter.
  case none

  /// Of `features` in `show underlay`.
  var name: String {
    switch self {
    case .groups: "multicast-filter"
    case .allMulticast: "allmulticast"
    case .promiscuous: "promiscuous"
    case .none: "no-filter"
    }
  }
}

/// The state of a NIC behind a tap.
struct OwnedNIC: Sendable {
  /// Of DPDK.
  var name: String
  var device: EthernetDevice
  var tap: TapQueues
  /// As the driver reports it.
  var hasLink = false
  var mac: MACAddress
  /// In bytes; of NIC and tap.
  var mtu: Int
  /// An MTU and an address of the tap that the driver has refused.
  var refusedMTU: Int?
  var refusedMAC: MACAddress?
  /// The groups that the driver was told last; nil: none yet.
  var groups: Set<MACAddress>?
  /// The tap is promiscuous: a bridge has it, or tcpdump.
  var isTapPromiscuous = false
  var filter = ReceiveFilter.none
}

extension EthernetDevice {
  /// Drivers that drop tagged frames unless they are promiscuous, though no VLAN filter was asked for.
  private static let dropTags: Set<String> = ["net_virtio"]

  var needsPromiscuousMode: Bool { Self.dropTags.contains(driver) }

  /// Has the driver let these groups pass, and as little else as it can.
  func receive(_ groups: Set<MACAddress>, isPromiscuous: Bool) -> ReceiveFilter {
    if isPromiscuous || needsPromiscuousMode, rte_eth_promiscuous_enable(portID) == 0 { return .promiscuous }
    _ = rte_eth_promiscuous_disable(portID)
    let octets = groups.sorted().flatMap(\.octets)
    if cdpdk_device_set_groups(portID, octets, UInt32(groups.count)) == 0 {
      _ = rte_eth_allmulticast_disable(portID)
      return .groups
    }
    if rte_eth_allmulticast_enable(portID) == 0 { return .allMulticast }
    return rte_eth_promiscuous_enable(portID) == 0 ? .promiscuous : .none
  }

  var hasLink: Bool { cdpdk_device_link_is_up(portID) != 0 }

  /// Frames that the device had no room for.
  var missedFrames: UInt64 {
    var stats = rte_eth_stats()
    return rte_eth_stats_get(portID, &stats) == 0 ? stats.imissed &+ stats.rx_nombuf : 0
  }

  /// 0, or a negative errno.
  func set(mac: MACAddress) -> Int32 { cdpdk_device_set_mac(portID, mac.octets) }

  /// In bytes; nil: the driver knows of none.
  var mtu: Int? {
    var mtu: UInt16 = 0
    return rte_eth_dev_get_mtu(portID, &mtu) == 0 && mtu > 0 ? Int(mtu) : nil
  }
}
