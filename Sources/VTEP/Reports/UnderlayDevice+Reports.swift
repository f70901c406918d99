// UnderlayDevice+Reports: what `show underlay`, `show drops` and `show workers` say about an uplink.

import MACTable

extension UnderlayDevice {
  /// Its ports in the data plane, with their names in reports: the interface's, and the NIC's if that is ours.
  var places: [(PortIndex, String)] {
    guard let tapIndex, let devargs else { return [(portIndex, name)] }
    return [(portIndex, DPDKDevice.name(devargs)), (tapIndex, name)]
  }

  /// What is in use: `af_packet` or `af_xdp`, or DPDK's driver of the NIC.
  var driverName: String {
    guard devargs == nil else { return nic?.device.driver ?? "dpdk" }
    let used: UnderlaySettings.Driver = device == nil ? driver : device?.xdp == nil ? .afPacket : .afXDP
    return used.rawValue
  }

  func features(_ settings: UnderlaySettings) -> [String] {
    if let xdp = device?.xdp { return [xdp.isZeroCopy ? "zero-copy" : "copy"] }
    guard let nic else { return joinsDatagrams(settings) ? ["trains"] : [] }
    return (nic.device.usesRSS ? ["rss"] : []) + [nic.filter.name]
  }

  var offloadTexts: [String: String] {
    guard let nic else { return [:] }
    return Dictionary(uniqueKeysWithValues: nic.device.offloads.states.map { ($0.key.rawValue, "\($0.value)") })
  }

  /// Why the interface is not used as it should be, or what AF_XDP sockets cannot do.
  var driverText: String? {
    guard let xdp = device?.xdp else { return driverNote }
    let count = xdp.descriptors.count
    return "af_xdp on \(xdp.driver): \(count) queue\(count == 1 ? "" : "s"), \(xdp.memoryByteCount >> 20) MiB of locked memory, "
      + "MTU of \(XDPDevice.mtuLimit) at most, no checksum or segmentation offload"
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
