// ControlState+Underlay: the underlay's devices: opened, followed by their interfaces, closed.

import Encap
import Netlink

extension ControlState {
  // -- devices ----------------------------------------------------------------------------------------------------

  /// Opens devices that are not open yet. Those that `settings` does not name stay until `detachUnderlay`.
  mutating func attachUnderlay(_ settings: UnderlaySettings) throws(VTEPError) {
    var added: [UnderlayDevice] = []
    do throws(VTEPError) {
      for name in settings.devices where !underlay.devices.contains(where: { $0.name == name }) {
        let (link, device) = try effects.openUnderlay(name, udpPort: settings.udpPort)
        guard let portIndex = ports.takeIndex() else {
          effects.close(StaleState.Closing(device: device, subject: "underlay.device \(name)"))
          throw VTEPError(.refused, "underlay.device \(name)", "no free port index")
        }
        added.append(UnderlayDevice(name: name, portIndex: portIndex, link: link, device: device))
      }
    } catch {
      for device in added {
        effects.close(StaleState.Closing(device: device.device, subject: "underlay.device \(device.name)"))
        ports.giveBack(device.portIndex)
      }
      throw error
    }
    for device in added {
      underlay.devices.append(device)
      enterUnderlayPort(device)
    }
    if !added.isEmpty { readNeighbors() }
  }

  private mutating func enterUnderlayPort(_ device: UnderlayDevice) {
    guard let frames = device.device else { return }
    var entry = PortEntry()
    frames.fill(&entry)
    entry.transmitQueues = UInt16(frames.queueCount)
    entry.isUnderlay = true
    entry.isUp = device.isUp
    entry.mac = device.link?.mac ?? .zero
    entry.headByteCount = device.headByteCount
    enter(entry, frames, at: device.portIndex)
    addQueues(of: frames, portIndex: device.portIndex)
  }

  /// Closes the devices that `names` leaves out.
  mutating func detachUnderlay(keeping names: [String]) {
    let leaving = underlay.devices.filter { !names.contains($0.name) }
    guard !leaving.isEmpty else { return }
    underlay.devices.removeAll { !names.contains($0.name) }
    stale.adjacencies = true
    for device in leaving {
      close(device)
      stale.gonePorts.insert(device.portIndex)
    }
  }

  /// Takes a device away from the workers.
  private mutating func close(_ device: UnderlayDevice) {
    clearEntry(at: device.portIndex)
    removeQueues(portIndex: device.portIndex)
    stale.closing.append(StaleState.Closing(device: device.device, subject: "underlay.device \(device.name)"))
  }

  // -- changes --------------------------------------------------------------------------------------------------------

  /// A link appeared or changed.
  mutating func updateUnderlayLink(_ link: Link) {
    // A device in use is followed by its index: it keeps working under another name.
    guard
      let position = underlay.devices.firstIndex(where: { $0.link?.index == link.index })
        ?? underlay.devices.firstIndex(where: { $0.name == link.name })
    else { return }
    let old = underlay.devices[position]
    guard old.link != link else { return }
    if let name = old.link?.name, old.link?.index == link.index, name != link.name {
      effects.log.notice("underlay.device \(old.name): the interface is now called \(link.name)")
    }
    if old.device != nil, old.link?.index != link.index || old.device?.isDead == true {
      removeUnderlayLink(index: old.link?.index ?? 0)
      settle()
    }
    underlay.devices[position].link = link
    if underlay.devices[position].device == nil { reopenUnderlay(at: position, link) }
    if old.link?.isRunning != link.isRunning {
      effects.log.notice("underlay.device \(link.name): \(link.isRunning ? "up" : "down")")
    }
    followInterfaces()
    stale.routes = true
  }

  private mutating func reopenUnderlay(at position: Int, _ link: Link) {
    do throws(VTEPError) {
      underlay.devices[position].device = try effects.openUnderlay(link.name, udpPort: running.underlay.udpPort).device
      enterUnderlayPort(underlay.devices[position])
      effects.log.notice("underlay.device \(link.name): attached")
      underlay.devices[position].fault = nil
    } catch {
      if underlay.devices[position].fault != "\(error)" { effects.log.error("\(error)") }
      underlay.devices[position].fault = "\(error)"
    }
  }

  /// Once a second: opens again what could not be opened, and what has lost its interface without a word of it.
  mutating func retryUnderlay() {
    for device in underlay.devices {
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

  mutating func removeUnderlayLink(index: Int32) {
    guard let position = underlay.devices.firstIndex(where: { $0.link?.index == index }) else { return }
    let device = underlay.devices[position]
    effects.log.error("underlay.device \(device.name): the interface is gone; waiting for it to come back")
    underlay.devices[position].link = nil
    underlay.devices[position].device = nil
    close(device)
    stale.routes = true
    // Now, not when it is back: a membership that the socket keeps cannot be joined again.
    followInterfaces()
  }
}
