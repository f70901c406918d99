// Reconciler+Ports: devices of access ports: attach, follow up and down, detach. Receive queues are shared out among
// the workers here.

import CDPDK
import Encap
import Glibc
import Netlink

extension Reconciler {
  // -- receive queues -------------------------------------------------------------------------------------------------

  /// Gives each queue to the worker that has fewest, and has the workers wait for it.
  func addQueues(of device: EthernetDevice, portIndex: UInt16) {
    for queue in 0..<device.queueCount {
      let worker =
        model.receiveQueues.indices.min { model.receiveQueues[$0].count < model.receiveQueues[$1].count } ?? 0
      model.receiveQueues[worker].append(ReceiveQueue(port: portIndex, queue: UInt16(queue)))
      if queue < device.descriptors.count {
        let descriptor = device.descriptors[queue]
        _ = cdpdk_epoll_add(contexts[worker].pointee.epoll, descriptor, UInt64(descriptor))
      } else {
        contexts[worker].pointee.napsOnly.pointee = true
      }
    }
  }

  func removeQueues(portIndex: UInt16, device: EthernetDevice?) {
    for worker in model.receiveQueues.indices {
      model.receiveQueues[worker].removeAll { $0.port == portIndex }
      for descriptor in device?.descriptors ?? [] {
        _ = cdpdk_epoll_remove(contexts[worker].pointee.epoll, descriptor)
      }
    }
  }

  /// Removes a device that no worker uses any more.
  func remove(_ device: EthernetDevice?, subject: String) {
    do {
      try device?.remove(subject: subject)
    } catch {
      log.error("\(error)")
    }
  }

  // -- attach and detach ------------------------------------------------------------------------------------------------

  /// Opens the port's device. A netdev port whose interface does not exist waits for it: that is no failure.
  func open(_ settings: PortSettings) throws(VTEPError) -> (device: EthernetDevice, link: Link?)? {
    let subject = "port \(settings.name)"
    switch settings.kind {
    case .tap:
      let mac = Self.tapMAC(host: hostName, port: settings.name)
      let device = try EthernetDevice.createTap(name: settings.device, mac: mac, runtime: runtime, subject: subject)
      do throws(VTEPError) {
        let link = try VTEPError.wrap(subject) { () throws(NetlinkError) in
          try underlay.netlink.link(named: settings.device)
        }
        if let link { try setTapMTU(link, settings) }
        // Read again: the MTU may have changed.
        return (device, try currentLink(settings))
      } catch {
        remove(device, subject: subject)
        throw error
      }
    case .netdev:
      guard let link = try currentLink(settings) else { return nil }
      return (
        try EthernetDevice.openPacketSocket(
          link: link, queues: 1, filterPort: nil, promiscuous: true, runtime: runtime, subject: subject), link
      )
    }
  }

  private func currentLink(_ settings: PortSettings) throws(VTEPError) -> Link? {
    try VTEPError.wrap("port \(settings.name)") { () throws(NetlinkError) in
      try underlay.netlink.link(named: settings.device)
    }
  }

  /// A guest's frames must fit the underlay with the outer headers on: as the kernel's VXLAN device does, a tap gets
  /// the underlay's MTU less the overhead unless told otherwise.
  func setTapMTU(_ link: Link, _ settings: PortSettings) throws(VTEPError) {
    let overhead = desired.underlay.addresses.contains { !$0.isIPv4 } ? 70 : 50
    let underlayMTU = underlay.devices.compactMap { $0.link?.mtu }.min() ?? 1500
    let mtu = min(settings.mtu ?? underlayMTU - overhead, runtime.maxFrameByteCount - 22)
    guard mtu != link.mtu else { return }
    try VTEPError.wrap("port \(settings.name): mtu \(mtu)") { () throws(NetlinkError) in
      try underlay.netlink.setMTU(index: link.index, mtu: mtu)
    }
  }

  /// The address of a tap's kernel end: locally administered, and the same after a restart, so that neighbours of the
  /// guest need not resolve it again.
  static func tapMAC(host: String, port: String) -> MACAddress {
    // FNV-1a: stable between runs, which Swift's Hasher is not.
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in "\(host)/\(port)".utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
    return MACAddress(bits: (hash & 0x00ff_ffff_ffff) | 0x0200_0000_0000)
  }

  /// Puts an opened device to use.
  func use(_ device: EthernetDevice, link: Link?, port name: String) {
    guard var record = ports[name] else { return }
    record.device = device
    record.link = link
    record.isUp = Self.isUp(record)
    record.remark = Self.remark(record)
    ports[name] = record
    var entry = PortEntry()
    entry.device = device.portID
    entry.transmitQueues = UInt16(device.queueCount)
    entry.sendsSegments = device.sendsSegments
    if record.settings.kind == .netdev { entry.features.insert(.finishesChecksums) }
    model.ports[Int(record.index)] = entry
    addQueues(of: device, portIndex: record.index)
    log.notice("port \(name): attached to \(record.settings.device), \(record.isUp ? "up" : "down")")
    if let remark = record.remark { log.warning("port \(name): \(remark)") }
  }

  private static func isUp(_ record: PortRecord) -> Bool {
    guard let device = record.device else { return false }
    switch record.settings.kind {
    case .tap: return device.descriptors.first.map { TapDevice.isUp($0) } ?? false
    case .netdev: return record.link?.isRunning ?? false
    }
  }

  private static func remark(_ record: PortRecord) -> String? {
    guard record.settings.kind == .netdev, let kind = record.link?.kind, kind == "veth" else { return nil }
    return
      "\(record.settings.device) is a veth: checksums its peer leaves unfinished are finished here; segments larger"
      + " than the MTU are dropped as frame-truncated (ethtool -K PEER tso off gso off)"
  }

  // -- following the kernel -----------------------------------------------------------------------------------------------

  /// A link of our namespace appeared or changed.
  func updatePortLink(_ link: Link) {
    guard let name = ports.first(where: { $0.value.settings.device == link.name })?.key, var record = ports[name]
    else { return }
    if record.settings.kind == .netdev, record.link?.index != link.index {
      if record.device != nil { lose(name) }
      do throws(VTEPError) {
        if let opened = try open(record.settings) {
          use(opened.device, link: opened.link, port: name)
          portStateChanged()
        }
      } catch {
        log.error("\(error)")
      }
      return
    }
    record.link = link
    ports[name] = record
    refreshState(name)
  }

  /// A link left our namespace. A tap lives on elsewhere; a netdev port waits for the interface to come back.
  func removePortLink(index: Int32, name linkName: String) {
    guard let name = ports.first(where: { $0.value.link?.index == index })?.key, let record = ports[name] else { return }
    if record.settings.kind == .netdev {
      log.warning("port \(name): interface \(linkName) is gone; waiting for it to come back")
      lose(name)
      portStateChanged()
    } else {
      ports[name]?.link = nil
      refreshState(name)
    }
  }

  private func lose(_ name: String) {
    guard let record = ports[name] else { return }
    ports[name]?.device = nil
    ports[name]?.link = nil
    ports[name]?.isUp = false
    model.ports[Int(record.index)] = PortEntry()
    removeQueues(portIndex: record.index, device: record.device)
    publishAndWait()
    learner.write { $0.flush(port: record.index) }
    remove(record.device, subject: "port \(name)")
  }

  /// Takes note of ports whose state shows only by asking (taps in other namespaces).
  func pollPorts() {
    for name in ports.filter({ $0.value.settings.kind == .tap }).keys { refreshState(name) }
  }

  private func refreshState(_ name: String) {
    guard var record = ports[name], record.device != nil else { return }
    let wasUp = record.isUp
    record.isUp = Self.isUp(record)
    let entry = model.ports[Int(record.index)]
    ports[name] = record
    guard wasUp != record.isUp || entry.maxFrameByteCount != UInt32(record.maxFrameByteCount) else { return }
    if wasUp != record.isUp { log.notice("port \(name): \(record.isUp ? "up" : "down")") }
    portStateChanged()
    if wasUp && !record.isUp { learner.write { $0.flush(port: record.index) } }
  }

  /// Ports went up or down: bindings, flood lists and group memberships follow.
  func portStateChanged() {
    rebuildDomains()
    publish()
    updateMemberships()
  }
}
