// Reconciler+Ports: devices of access ports: attach, follow up and down, detach; what differs between the kinds is in
// their PortDriver. Receive queues are shared out among the workers here.

import CDPDK
import Encap
import Glibc
import MACTable
import Netlink

extension Reconciler {
  // -- receive queues -------------------------------------------------------------------------------------------------

  /// Gives each queue to the worker that has fewest, and has the workers wait for it.
  ///
  /// - Parameter count: the first queues of the device; nil: all.
  func addQueues(of device: EthernetDevice, portIndex: PortIndex, count: Int? = nil) {
    for queue in 0..<(count ?? device.queueCount) {
      let worker =
        model.receiveQueues.indices.min { model.receiveQueues[$0].count < model.receiveQueues[$1].count } ?? 0
      let entry = ReceiveQueue(port: portIndex, queue: UInt16(queue))
      model.receiveQueues[worker].append(entry)
      if queue < device.descriptors.count {
        let descriptor = device.descriptors[queue]
        _ = cdpdk_epoll_add(
          contexts[worker].pointee.epoll, descriptor, UInt64(descriptor), device.wakesOnRequest ? 1 : 0)
      } else {
        queuesWithoutDescriptor.insert(entry)
      }
    }
    updateNaps()
  }

  func removeQueues(portIndex: PortIndex, device: EthernetDevice?) {
    for worker in model.receiveQueues.indices {
      model.receiveQueues[worker].removeAll { $0.port == portIndex }
      for descriptor in device?.descriptors ?? [] {
        _ = cdpdk_epoll_remove(contexts[worker].pointee.epoll, descriptor)
      }
    }
    queuesWithoutDescriptor = queuesWithoutDescriptor.filter { $0.port != portIndex }
    updateNaps()
  }

  /// A worker with a queue that nothing can wait for sleeps in short naps.
  private func updateNaps() {
    for (worker, queues) in model.receiveQueues.enumerated() {
      contexts[worker].pointee.napsOnly.pointee = queues.contains { queuesWithoutDescriptor.contains($0) }
    }
  }

  /// Removes a device that no worker uses any more.
  func remove(_ device: EthernetDevice?, subject: String) {
    do {
      try device?.remove(subject: subject)
      if let pool = device?.pool { runtime.retire(pool) }
    } catch {
      log.error("\(error)")
    }
  }

  /// Removes the device of a port, and restores what its interface was before.
  func remove(_ record: PortRecord, subject: String) {
    remove(record.device, subject: subject)
    release(record.hostSide, subject: subject)
  }

  func remove(_ opened: OpenedPort, subject: String) {
    remove(opened.device, subject: subject)
    release(opened.hostSide, subject: subject)
  }

  // -- attach and detach ------------------------------------------------------------------------------------------------

  /// What drivers of ports need.
  var portHost: PortHost {
    let overhead = desired.underlay.addresses.contains { !$0.isIPv4 } ? 70 : 50
    return PortHost(
      runtime: runtime, netlink: underlay.netlink, hostName: hostName, runDirectory: runDirectory,
      guestMTU: (underlay.devices.compactMap { $0.link?.mtu }.min() ?? 1500) - overhead,
      ownSockets: Set(ports.values.compactMap { $0.device?.ownedSocket }), mailbox: mailbox)
  }

  /// Opens the port's device. Nil: the port waits for what it attaches to, or is disabled.
  func open(_ settings: PortSettings) throws(VTEPError) -> OpenedPort? {
    guard settings.wantsDevice else { return nil }
    // What still holds the same place has to go first.
    if !stale.closing.isEmpty { settle() }
    let count = settings.kind.driver.descriptorCount(settings.attachment)
    guard DescriptorLimit.free >= count else {
      throw VTEPError(
        .refused, "port \(settings.name): attach",
        "too few of \(DescriptorLimit.soft) file descriptors are free for the \(count) that it needs",
        remedy: "delete other ports, or raise the limit on open files (systemd: LimitNOFILE=, shell: ulimit -n) and restart")
    }
    return try settings.kind.driver.open(settings, on: portHost)
  }

  /// Puts an opened device to use.
  func use(_ opened: OpenedPort, port name: String) {
    guard var record = ports[name] else { return }
    let device = opened.device
    record.device = device
    record.link = opened.link
    record.hostSide = opened.hostSide
    if record.fault?.cause == .attachment { record.fault = nil }
    record.status = record.readStatus()
    var entry = PortEntry()
    entry.portID = device.portID
    entry.sendsSegments = device.sendsSegments
    entry.isHardware = device.isHardware
    entry.wakesOnRequest = device.wakesOnRequest
    model.ports[Int(record.index)] = entry
    record.wasUp = record.isUp
    if !record.settings.isEnabled || record.isShut { record.driver.setCarrier(device, isOn: false) }
    updateQueues(&record)
    ports[name] = record
    touch(record)
    log.notice("port \(name): attached to \(record.settings.attachment.place), \(record.status.state)")
    if let remark = record.status.remark { log.warning("port \(name): \(remark)") }
  }

  /// Has workers poll and use the queues that are there. The next snapshot tells them.
  func updateQueues(_ record: inout PortRecord) {
    guard let device = record.device else { return }
    model.ports[Int(record.index)].transmitQueues = UInt16(max(record.status.transmitQueues, 1))
    let count = min(record.status.receiveQueues, device.queueCount)
    guard count != record.polledQueues else { return }
    removeQueues(portIndex: record.index, device: device)
    addQueues(of: device, portIndex: record.index, count: count)
    record.polledQueues = count
  }

  // -- following what ports are attached to --------------------------------------------------------------------------------

  /// A link of our namespace appeared or changed.
  func updatePortLink(_ link: Link) {
    guard let name = ports.first(where: { $0.value.settings.attachment.device == link.name })?.key,
      var record = ports[name]
    else { return }
    if record.driver.awaitsInterface, record.link?.index != link.index {
      if record.device != nil { lose(name) }
      do throws(VTEPError) {
        if let opened = try open(record.settings) { use(opened, port: name) }
      } catch {
        noteUnattached(name, "\(error)")
      }
      return
    }
    record.link = link
    ports[name] = record
    updateHostSides { $0 == name }
    refreshState(name)
  }

  /// A link left our namespace. A tap lives on elsewhere; a netdev port waits for the interface to come back.
  func removePortLink(index: Int32, name linkName: String) {
    guard let name = ports.first(where: { $0.value.link?.index == index })?.key, let record = ports[name] else { return }
    if record.driver.awaitsInterface {
      log.warning("port \(name): interface \(linkName) is gone; waiting for it to come back")
      lose(name)
    } else {
      // What was set on the interface went with it.
      ports[name]?.link = nil
      ports[name]?.hostSide = HostSide()
      refreshState(name)
    }
  }

  /// Gives the port's device up; the port stays.
  func lose(_ name: String) {
    guard var record = ports[name] else { return }
    stale.closing.append(StaleState.Closing(device: record.device, hostSide: record.hostSide, subject: "port \(name)"))
    touch(record, isSilent: true)
    removeQueues(portIndex: record.index, device: record.device)
    record.device = nil
    record.link = nil
    record.hostSide = HostSide()
    record.status = record.readStatus()
    record.polledQueues = 0
    record.wasUp = false
    ports[name] = record
    model.ports[Int(record.index)] = PortEntry()
  }

  /// Takes note of ports whose state shows only by asking (taps in other namespaces).
  func pollPorts() {
    for name in ports.keys { refreshState(name) }
  }

  /// A device reported a change.
  func updateDevice(portID: UInt16) {
    guard let name = ports.first(where: { $0.value.device?.portID == portID })?.key else { return }
    refreshState(name)
  }

  private func refreshState(_ name: String) {
    guard var record = ports[name], record.device != nil else { return }
    let old = record.status
    record.status = record.readStatus()
    guard record.status != old else { return }
    if record.isUp { record.wasUp = true }
    updateQueues(&record)
    ports[name] = record
    if old.state != record.status.state { log.notice("port \(name): \(record.status.state)") }
    if let remark = record.status.remark, remark != old.remark { log.warning("port \(name): \(remark)") }
    touch(record, isSilent: old.state == .up && !record.isUp)
  }
}
