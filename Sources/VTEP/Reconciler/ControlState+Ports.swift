// ControlState+Ports: devices of access ports: attach, follow up and down, detach; what differs between the kinds is in
// their PortDriver. Receive queues are shared out among the workers here.

import Encap
import MACTable
import Netlink

extension ControlState {
  // -- receive queues -------------------------------------------------------------------------------------------------

  /// Gives each queue to a worker (`Placement`), which waits for it from then on.
  ///
  /// - Parameters:
  ///   - nic: what may be on a socket of the machine.
  ///   - count: the first queues of the device; nil: all.
  mutating func addQueues(of device: FrameDevice, portIndex: PortIndex, nic: String? = nil, count: Int? = nil) {
    let descriptors = device.descriptors
    let socket = nic.flatMap { effects.socket(ofDevice: $0) }
    for number in 0..<(count ?? device.queueCount) {
      // Each worker has a ring of its own.
      let place =
        device.kind == .ring
        ? placement.place(ring: number, onSocket: socket)
        : placement.place(queueOnSocket: socket, loads: model.receiveQueues.map(\.count))
      let worker = place.worker
      latestQueueSerial += 1
      placedQueues[latestQueueSerial] = place
      var queue = ReceiveQueue(port: portIndex, queue: UInt16(number), kind: device.kind, serial: latestQueueSerial)
      if number < descriptors.count { queue.descriptor = descriptors[number] }
      // Without a free slot the queue is polled, at some cost.
      if queue.descriptor >= 0, let slot = queueSlots.take() { queue.slot = slot }
      model.receiveQueues[worker].append(queue)
      effects.watch(queue, worker: worker)
    }
  }

  /// Gives each queue of a NIC to an io-core.
  mutating func addIOQueues(of rings: RingDevice, portIndex: PortIndex, nic: String) {
    let socket = effects.socket(ofDevice: nic)
    for number in 0..<rings.nic.queueCount {
      let place = placement.place(ioQueueOnSocket: socket, loads: model.ioQueues.map(\.count))
      rings.queues[number].port = portIndex
      effects.handOver(number, of: rings, toIOCore: place.worker)
      model.ioQueues[place.worker].append(
        ForwardingModel.PlacedIOQueue(queue: rings.queues + number, number: UInt16(number), port: portIndex, place: place))
    }
  }

  mutating func removeQueues(portIndex: PortIndex) {
    for number in model.ioQueues.indices { model.ioQueues[number].removeAll { $0.port == portIndex } }
    for worker in model.receiveQueues.indices {
      for queue in model.receiveQueues[worker] where queue.port == portIndex {
        effects.unwatch(queue, worker: worker)
        // Workers may have the slot noted a moment longer. It then names another queue, which is read once in vain.
        if !queue.isPolled { queueSlots.giveBack(queue.slot) }
        placedQueues[queue.serial] = nil
      }
      model.receiveQueues[worker].removeAll { $0.port == portIndex }
    }
  }

  /// Tells workers of a device.
  mutating func enter(_ entry: PortEntry, _ device: FrameDevice, at index: PortIndex) {
    model.ports[Int(index)] = entry
    model.descriptors[Int(index)] = device.transmitDescriptors
  }

  mutating func clearEntry(at index: PortIndex) {
    model.ports[Int(index)] = PortEntry()
    model.descriptors[Int(index)] = []
  }

  // -- attach and detach ------------------------------------------------------------------------------------------------

  /// Opens the port's device. Nil: the port waits for what it attaches to, or is disabled.
  mutating func open(_ settings: PortSettings) throws(VTEPError) -> OpenedPort? {
    guard settings.wantsDevice else { return nil }
    // What still holds the same place has to go first.
    if !stale.closing.isEmpty { settle() }
    let ownSockets = settings.attachment.socket == nil ? [] : Set(ports.values.compactMap { $0.device?.ownedSocket })
    return try effects.open(settings, guestMTU: guestMTU, ownSockets: ownSockets)
  }

  /// MTU in bytes with which encapsulated frames fit the underlay.
  var guestMTU: Int {
    let overhead = running.underlay.addresses.contains { !$0.isIPv4 } ? 70 : 50
    return (underlay.devices.compactMap { $0.link?.mtu }.min() ?? 1500) - overhead
  }

  /// Puts an opened device to use.
  mutating func use(_ opened: OpenedPort, port name: String) {
    guard var record = ports[name] else { return }
    let device = opened.device
    record.device = device
    record.link = opened.link
    record.hostSide = opened.hostSide
    if record.fault?.cause == .attachment { record.fault = nil }
    record.status = record.status(of: effects.status(of: record))
    record.wasUp = record.isUp
    ports[name] = record
    var entry = PortEntry()
    device.fill(&entry)
    enter(entry, device, at: record.index)
    if !record.settings.isEnabled || record.isShut {
      effects.setCarrier(record, isOn: false)
    } else if case .tap(let tap) = device, tap.isResumed {
      // The earlier run may have turned it off.
      effects.setCarrier(record, isOn: true)
    }
    updateQueues(name)
    ports.touch(name, stale: &stale)
    // One that was kept for us may be anywhere.
    if case .tap = device, opened.link == nil { locate(name) }
    effects.log.notice("port \(name): attached to \(record.settings.attachment.place), \(record.status.state)")
    if let remark = record.status.remark { effects.log.warning("port \(name): \(remark)") }
  }

  /// Has workers poll and use the queues that are there. The next snapshot tells them.
  mutating func updateQueues(_ name: String) {
    guard let record = ports[name], let device = record.device else { return }
    model.ports[Int(record.index)].transmitQueues = UInt16(max(record.status.transmitQueues, 1))
    model.ports[Int(record.index)].hasWorkerQueues =
      record.settings.attachment.kind == .dpdk && record.status.transmitQueues >= model.receiveQueues.count
    let count = min(record.status.receiveQueues, device.queueCount)
    guard count != record.polledQueues || device.guest?.hasChangedRings == true else { return }
    removeQueues(portIndex: record.index)
    device.guest?.renewKicks(count: count)
    addQueues(of: device, portIndex: record.index, nic: record.settings.nicName, count: count)
    ports[name]?.polledQueues = count
  }

  // -- following what ports are attached to --------------------------------------------------------------------------------

  /// A link of our namespace appeared or changed.
  ///
  /// - Returns: the port that goes on with it.
  mutating func updatePortLink(_ link: Link) -> String? {
    // A tap keeps its interface under any name. For others an interface of the port's name comes first, then the one that was renamed.
    let follower = ports.name(linkIndex: link.index)
    let isTap = follower.flatMap { ports[$0]?.device?.kind } == .tap
    guard let name = isTap ? follower : ports.name(device: link.name) ?? follower, let record = ports[name] else { return nil }
    if record.device?.kind == .tap, record.link?.index != link.index { return record.link == nil && locate(name) ? name : nil }
    if record.driver.awaitsInterface, record.link?.index != link.index || record.device?.isDead != false {
      // It may have had the name of another port, which still follows it.
      if let other = ports.name(linkIndex: link.index), other != name { lose(other) }
      if record.device != nil { lose(name) }
      reopen(name)
      return nil
    }
    ports[name]?.link = link
    if link.mtu < HostSide.leastMTUForIPv6 { ports[name]?.hostSide.hasLostIPv6 = true }
    return name
  }

  /// A link left our namespace. A tap lives on elsewhere; a netdev port waits for the interface to come back.
  mutating func removePortLink(index: Int32, name linkName: String) {
    guard let name = ports.name(linkIndex: index), let record = ports[name] else { return }
    if record.device?.kind == .tap {
      locate(name)
    } else if record.driver.awaitsInterface {
      effects.log.warning("port \(name): interface \(linkName) is gone; waiting for it to come back")
      lose(name)
    } else {
      // What was set on the interface went with it.
      ports[name]?.link = nil
      ports[name]?.hostSide = HostSide()
      refresh(name)
    }
  }

  /// Gives the port's device up; the port stays.
  mutating func lose(_ name: String) {
    guard let record = ports[name] else { return }
    removeQueues(portIndex: record.index)
    ports.lose(name, stale: &stale)
    clearEntry(at: record.index)
  }

  /// Opens the device of a port that has none.
  mutating func reopen(_ name: String) {
    guard let record = ports[name], record.device == nil else { return }
    do throws(VTEPError) {
      guard let opened = try open(record.settings) else { return }
      use(opened, port: name)
    } catch {
      markUnattached(name, "\(error)")
    }
  }

  /// Takes note of what no event reports.
  mutating func pollPorts() {
    for record in ports.values where record.device?.ethernet != nil { refresh(record.settings.name) }
    for record in ports.values {
      if case .awaited(let backEnd)? = record.device { follow(backEnd, record) }
    }
    pollTaps()
  }

  private mutating func follow(_ backEnd: BackEnd, _ record: PortRecord) {
    let name = record.settings.name
    switch backEnd.look() {
    case .silent: refresh(name)
    case .answered:
      do throws(VTEPError) {
        use(OpenedPort(device: try effects.open(backEnd), hostSide: record.hostSide), port: name)
      } catch {
        lose(name)
        markUnattached(name, "\(error)")
      }
    case .gone(let reason):
      lose(name)
      if let reason { markUnattached(name, reason) }
    }
  }

  /// Reads the state of a port that has a device.
  mutating func refresh(_ name: String) {
    guard let record = ports[name], let device = record.device else { return }
    let old = ports.update(name, device: effects.status(of: record), stale: &stale)
    // A guest may have come back, as it was, between two looks.
    let hasChangedRings = device.guest?.hasChangedRings == true
    if hasChangedRings { stale.ports = true }
    if old != nil || hasChangedRings { updateQueues(name) }
    guard let old, let status = ports[name]?.status else { return }
    if old.state != status.state { effects.log.notice("port \(name): \(status.state)") }
    if let remark = status.remark, remark != old.remark { effects.log.warning("port \(name): \(remark)") }
  }
}
