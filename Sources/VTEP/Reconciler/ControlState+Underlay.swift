// ControlState+Underlay: the underlay's devices: opened, followed by their interfaces, closed.

import Encap
import Netlink

extension ControlState {
  // -- devices ----------------------------------------------------------------------------------------------------

  /// Opens devices that are not open yet. Those that `settings` does not name stay until `detachUnderlay`.
  mutating func attachUnderlay(_ settings: UnderlaySettings) throws(VTEPError) {
    try checkNICs(settings)
    var added: [UnderlayDevice] = []
    do throws(VTEPError) {
      for uplink in settings.uplinks where !underlay.devices.contains(where: { $0.uplink == uplink }) {
        let opened = try effects.openUnderlay(uplink, udpPort: settings.udpPort)
        var device = UnderlayDevice(
          name: uplink.device, driver: uplink.driver, driverNote: opened.driverNote, devargs: uplink.nic,
          offloads: uplink.offloads, portIndex: 0, link: opened.link, device: opened.device)
        device.nic = opened.nic
        guard let portIndex = ports.takeIndex() else {
          effects.close(device.closings)
          throw VTEPError(.refused, uplink.subject, "no free port index")
        }
        device.portIndex = portIndex
        added.append(device)
        guard opened.nic != nil else { continue }
        guard let tapIndex = ports.takeIndex() else { throw VTEPError(.refused, uplink.subject, "no free port index") }
        added[added.count - 1].tapIndex = tapIndex
      }
      try chooseOffloads(&added, udpPort: settings.udpPort)
    } catch {
      for device in added {
        effects.close(device.closings)
        for index in device.indexes { ports.giveBack(index) }
      }
      throw error
    }
    for device in added {
      underlay.devices.append(device)
      enterUnderlayPort(device)
    }
    if !added.isEmpty { readNeighbors() }
    followNICs()
  }

  /// No worker knows the devices yet: frames may go from one to the other.
  private mutating func chooseOffloads(_ devices: inout [UnderlayDevice], udpPort: UInt16) throws(VTEPError) {
    guard let mode = devices.first?.offloads else { return }
    // io-cores carry frames, and no requests.
    for position in devices.indices where devices[position].isBehindIOCores {
      guard let device = devices[position].nic?.device else { continue }
      devices[position].nic?.device.offloads = NICOffloads(
        offered: device.offered, namesTunnels: device.namesTunnels, driver: device.driver, mode: .auto,
        finding: .untestable("io-cores are in use"))
    }
    let nics = try effects.chooseOffloads(devices.filter { !$0.isBehindIOCores }.compactMap(\.nic), mode, udpPort: udpPort)
    var next = nics.makeIterator()
    for position in devices.indices where devices[position].nic != nil && !devices[position].isBehindIOCores {
      guard let nic = next.next() else { return }
      devices[position].nic = nic
      devices[position].device = .ethdev(nic.device)
    }
  }

  /// A NIC and its tap stay together while vtepd runs: neither can be opened a second time before the first pair is given up.
  private func checkNICs(_ settings: UnderlaySettings) throws(VTEPError) {
    for uplink in settings.uplinks {
      let name = uplink.nic.map(DPDKDevice.name)
      let other = underlay.devices.first { device in
        device.uplink != uplink && (device.devargs != nil || uplink.nic != nil)
          && (device.name == uplink.device || name != nil && device.devargs.map(DPDKDevice.name) == name)
      }
      guard let other else { continue }
      throw VTEPError(
        .refused, uplink.subject,
        "\(other.uplink.description) is in use, and cannot become \(uplink.description) while vtepd runs",
        remedy: "restart vtepd")
    }
  }

  private mutating func enterUnderlayPort(_ device: UnderlayDevice) {
    guard let frames = device.device else { return }
    var entry = PortEntry()
    frames.fill(&entry)
    entry.transmitQueues = UInt16(frames.queueCount)
    entry.hasWorkerQueues = frames.kind == .ethdev && frames.queueCount >= model.receiveQueues.count
    entry.isUnderlay = true
    entry.isUp = device.isUp
    entry.mac = device.link?.mac ?? .zero
    entry.headByteCount = device.headByteCount
    if let tapIndex = device.tapIndex, let nic = device.nic {
      entry.partner = tapIndex
      entry.features.formUnion(nic.device.offloads.features)
    }
    enter(entry, frames, at: device.portIndex)
    let nic = device.uplink.nicName
    addQueues(of: frames, portIndex: device.portIndex, nic: nic)
    if let xdp = frames.xdp { addQueues(of: .packetSocket(xdp.packetSockets), portIndex: device.portIndex, nic: nic) }
    if case .ring(let rings) = frames { addIOQueues(of: rings, portIndex: device.portIndex, nic: nic) }
    if let nic = device.nic { enterTap(nic, of: device) }
  }

  /// The kernel's side of a NIC that is ours.
  private mutating func enterTap(_ nic: OwnedNIC, of device: UnderlayDevice) {
    guard let index = device.tapIndex else { return }
    let frames = FrameDevice.tap(nic.tap)
    var entry = PortEntry()
    frames.fill(&entry)
    entry.transmitQueues = UInt16(frames.queueCount)
    entry.isUp = true
    entry.partner = device.portIndex
    enter(entry, frames, at: index)
    addQueues(of: frames, portIndex: index)
  }

  /// Closes the devices that `uplinks` leaves out.
  mutating func detachUnderlay(keeping uplinks: [UnderlaySettings.Uplink]) {
    let leaving = underlay.devices.filter { !uplinks.contains($0.uplink) }
    guard !leaving.isEmpty else { return }
    underlay.devices.removeAll { !uplinks.contains($0.uplink) }
    stale.adjacencies = true
    for device in leaving {
      close(device)
      stale.gonePorts.formUnion(device.indexes)
    }
  }

  /// Takes a device away from the workers.
  private mutating func close(_ device: UnderlayDevice) {
    for index in device.indexes {
      clearEntry(at: index)
      removeQueues(portIndex: index)
    }
    stale.closing += device.closings
  }

  // -- changes --------------------------------------------------------------------------------------------------------

  /// A link appeared or changed.
  mutating func updateUnderlayLink(_ event: Link) {
    // A device in use is followed by its index: it keeps working under another name.
    guard
      let position = underlay.devices.firstIndex(where: { $0.link?.index == event.index })
        ?? underlay.devices.firstIndex(where: { $0.name == event.name })
    else { return }
    let old = underlay.devices[position]
    // The events of a tap that we have just set up tell of what it was before, and its NIC must not follow that.
    let link = old.devargs == nil ? event : effects.link(index: event.index) ?? event
    guard old.link != link else { return }
    if let name = old.link?.name, old.link?.index == link.index, name != link.name {
      effects.log.notice("\(old.uplink.subject): the interface is now called \(link.name)")
    }
    if old.device != nil, old.link?.index != link.index || old.device?.isDead == true {
      removeUnderlayLink(index: old.link?.index ?? 0)
      settle()
    }
    underlay.devices[position].link = link
    if underlay.devices[position].device == nil { reopenUnderlay(at: position) }
    if old.link?.isRunning != link.isRunning {
      effects.log.notice("\(old.uplink.subject): \(link.isRunning ? "up" : "down")")
    }
    followNIC(at: position)
    followInterfaces()
    stale.routes = true
  }

  private mutating func reopenUnderlay(at position: Int) {
    // What still holds the same place has to go first.
    if !stale.closing.isEmpty { settle() }
    var device = underlay.devices[position]
    do throws(VTEPError) {
      var uplink = device.uplink
      // It may be called something else by now.
      if uplink.nic == nil, let name = device.link?.name { uplink.device = name }
      let opened = try effects.openUnderlay(uplink, udpPort: running.underlay.udpPort)
      (device.link, device.device, device.nic, device.fault) = (opened.link, opened.device, opened.nic, nil)
      device.driverNote = opened.driverNote
      var devices = [device]
      try chooseOffloads(&devices, udpPort: running.underlay.udpPort)
      device = devices[0]
      underlay.devices[position] = device
      enterUnderlayPort(device)
      followNIC(at: position)
      effects.log.notice("\(uplink.subject): attached")
      stale.routes = true
      followInterfaces()
    } catch {
      if device.fault != "\(error)" { effects.log.error("\(error)") }
      underlay.devices[position].fault = "\(error)"
    }
  }

  /// Once a second: opens again what could not be opened, and what has lost its interface without a word of it.
  mutating func retryUnderlay() {
    for device in underlay.devices {
      if device.devargs != nil {
        // The tap is made by us.
        guard device.device == nil, let position = underlay.devices.firstIndex(where: { $0.portIndex == device.portIndex }) else {
          continue
        }
        reopenUnderlay(at: position)
        continue
      }
      guard let link = device.link, device.device?.isDead != false else { continue }
      if device.device != nil {
        removeUnderlayLink(index: link.index)
        settle()
      } else if let position = underlay.devices.firstIndex(where: { $0.portIndex == device.portIndex }) {
        underlay.devices[position].link = nil
      }
      updateUnderlayLink(link)
    }
  }

  /// Opens an interface of the kernel again whose sockets or program are no longer what they were.
  mutating func reattach(_ name: String) {
    guard let position = underlay.devices.firstIndex(where: { $0.name == name }), let link = underlay.devices[position].link else { return }
    let device = underlay.devices[position]
    effects.log.warning("\(device.uplink.subject): opening it again")
    underlay.devices[position].link = nil
    underlay.devices[position].device = nil
    close(device)
    stale.routes = true
    settle()
    updateUnderlayLink(link)
  }

  // -- NICs that are ours ---------------------------------------------------------------------------------------------

  /// Five times a second: neither the drivers' links nor the groups of an interface come as events.
  mutating func followNICs() {
    for position in underlay.devices.indices { followNIC(at: position) }
  }

  /// Looks at the links of some NICs, and follows those that have changed.
  ///
  /// - Returns: whether one has.
  mutating func followLinks(_ isMeant: (OwnedNIC) -> Bool) -> Bool {
    var hasChanged = false
    for position in underlay.devices.indices {
      guard let nic = underlay.devices[position].nic, isMeant(nic), effects.hasLink(nic) != nic.hasLink else { continue }
      followNIC(at: position)
      hasChanged = true
    }
    return hasChanged
  }

  /// A NIC is being taken away: by the kernel, from vfio-pci, or out of the machine. Its driver waits until we have given it back.
  ///
  /// - Parameter name: DPDK's.
  mutating func removeNIC(_ name: String) {
    guard let position = underlay.devices.firstIndex(where: { $0.nic?.name == name }) else { return }
    let device = underlay.devices[position]
    effects.log.error("\(device.uplink.subject): the NIC \(name) was taken away, or reset; trying again each second to open it")
    detach(at: position)
    settle()
  }

  private mutating func followNIC(at position: Int) {
    let device = underlay.devices[position]
    guard let nic = device.nic, let link = device.link else { return }
    let new = effects.follow(nic, link, subject: device.uplink.subject)
    underlay.devices[position].nic = new
    guard new.hasLink != nic.hasLink else { return }
    effects.log.notice("\(device.uplink.subject): the NIC \(nic.name) has \(new.hasLink ? "a" : "no") link")
    stale.adjacencies = true
  }

  mutating func removeUnderlayLink(index: Int32) {
    guard let position = underlay.devices.firstIndex(where: { $0.link?.index == index }) else { return }
    let device = underlay.devices[position]
    let outlook = device.devargs == nil ? "waiting for it to come back" : "creating it again"
    effects.log.error("\(device.uplink.subject): the interface is gone; \(outlook)")
    detach(at: position)
  }

  private mutating func detach(at position: Int) {
    let device = underlay.devices[position]
    underlay.devices[position].link = nil
    underlay.devices[position].device = nil
    underlay.devices[position].nic = nil
    close(device)
    stale.routes = true
    // Now, not when it is back: a membership that the socket keeps cannot be joined again.
    followInterfaces()
  }
}
