// UnderlayDevice+Reports: what `show underlay`, `show drops` and `show workers` say about an uplink.

import MACTable

extension UnderlayDevice {
  /// Its ports in the data plane, with their names in reports: the interface's, and the NIC's if that is ours.
  var places: [(PortIndex, String)] {
    guard let tapIndex, let devargs else { return [(portIndex, name)] }
    return [(portIndex, DPDKDevice.name(devargs)), (tapIndex, name)]
  }

  /// `af_packet`, or DPDK's driver of the NIC.
  func driver(_ settings: UnderlaySettings) -> String {
    devargs == nil ? settings.driver.rawValue : nic?.device.driver ?? "dpdk"
  }

  func features(_ settings: UnderlaySettings) -> [String] {
    guard let nic else { return joinsDatagrams(settings) ? ["trains"] : [] }
    return (nic.device.usesRSS ? ["rss"] : []) + [nic.filter.name]
  }

  /// Why the NIC receives more than it should; nil: it does not, or has no say.
  var filterNote: String? {
    guard let nic else { return nil }
    switch nic.filter {
    case .groups, .none: return nil
    case .allMulticast: return "all multicast is received: \(nic.device.driver) takes no list of groups"
    case .promiscuous:
      if nic.isTapPromiscuous { return "promiscuous, as \(name) is" }
      if nic.device.needsPromiscuousMode { return "promiscuous: \(nic.device.driver) drops tagged frames otherwise" }
      return "promiscuous: \(nic.device.driver) takes no list of groups, and cannot receive all of them"
    }
  }
}
