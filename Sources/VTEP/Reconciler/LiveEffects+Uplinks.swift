// LiveEffects+Uplinks: opens uplinks, shared ones and those whose NIC DPDK drives, and has such a NIC and its tap follow each other.

import CDPDK
import Encap
import Glibc
import MulticastLearn
import Netlink

extension LiveEffects {
  func openUnderlay(_ uplink: UnderlaySettings.Uplink, udpPort: UInt16) throws(VTEPError) -> OpenedUplink {
    if let nic = uplink.nic { return try openOwned(uplink, nic) }
    let subject = uplink.subject
    guard let link = try VTEPError.wrap(subject, { () throws(NetlinkError) in try netlink.link(named: uplink.device) }) else {
      throw VTEPError(.environment, subject, "no such interface", remedy: "create it or name another")
    }
    try UnderlayCheck.checkCarriesFrames(link)
    let sockets = try PacketSocketDevice.open(link, queues: dataplane.workers, purpose: .underlay(udpPort: udpPort), subject: subject)
    guard uplink.driver == .afXDP else { return OpenedUplink(link: link, device: .packetSocket(sockets)) }
    do throws(VTEPError) {
      return OpenedUplink(link: link, device: .xdp(try XDPDevice(link, packetSockets: sockets, programs: Self.xdpPrograms)))
    } catch {
      // A kernel or driver that refuses is no reason to go without the uplink.
      log.warning("\(subject): \(error); using packet sockets instead")
      return OpenedUplink(link: link, device: .packetSocket(sockets), driverNote: "\(error); packet sockets are used instead")
    }
  }

  /// Where the XDP program's file may be: beside the daemon in a build tree, or where it is installed.
  private static let xdpPrograms: [String] = {
    var path = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/self/exe", &path, path.count - 1)
    let daemon = String(decoding: path.prefix(max(count, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    guard let slash = daemon.lastIndex(of: "/") else { return [] }
    let folder = daemon[..<slash]
    return ["\(folder)/underlay.bpf.o", "\(folder)/../lib/vtepd/underlay.bpf.o"]
  }()

  func steer(_ devices: [UnderlayDevice], _ settings: UnderlaySettings) {
    for device in devices {
      guard let xdp = device.device?.xdp, let link = device.link else { continue }
      do throws(NetlinkError) {
        try xdp.steer(
          XDPDevice.Steering(udpPort: settings.udpPort, mac: link.mac, addresses: settings.addresses, groups: groupVersion),
          groups: { Set(memberships.groups.keys) })
        xdp.toldError = ""
      } catch {
        // What the program does not know comes by the packet sockets. It is tried again each second, and told once.
        let text = "\(device.uplink.subject): \(error): some packets come by packet sockets"
        if text != xdp.toldError { log.warning("\(text)") }
        xdp.toldError = text
      }
    }
  }

  /// The NIC first: without it the tap would take routes and lead nowhere.
  private func openOwned(_ uplink: UnderlaySettings.Uplink, _ nic: String) throws(VTEPError) -> OpenedUplink {
    let host = portHost()
    let exists = try TapDriver.checkTap(uplink.device, on: host, subject: uplink.subject)
    let old = exists ? try host.link(uplink.device, subject: uplink.subject) : nil
    let name = DPDKDevice.name(nic)
    // A queue for each worker, or for each io-core that is near.
    let ioCores = runtime.placement.ioCoreCount(near: Machine.socket(ofDevice: name))
    let device = try EthernetDevice.open(
      bus: DPDKDevice.bus(nic), name: name, arguments: DPDKDevice.arguments(nic), queues: ioCores > 0 ? ioCores : dataplane.workers,
      purpose: .uplink(
        EthernetDevice.UplinkMode(
          mtu: old?.mtu, largestMTU: MemifDriver.largestMTU(devargs: nic), wantsHashes: ioCores > 0 && dataplane.workers > 1)),
      runtime: runtime, subject: "underlay.dpdk \(name)")
    do throws(VTEPError) {
      let opened = ioCores > 0 ? try openRings(uplink, device, old) : try openTap(uplink, device, .ethdev(device), old)
      UplinkEvents.begin(device.portID, mailbox)
      return opened
    } catch {
      try? device.remove(subject: uplink.subject)
      throw error
    }
  }

  private func openRings(_ uplink: UnderlaySettings.Uplink, _ device: EthernetDevice, _ old: Link?) throws(VTEPError) -> OpenedUplink {
    let rings = try RingDevice(device, workers: contexts.map(\.pointee.sleeper), subject: uplink.subject)
    do throws(VTEPError) {
      return try openTap(uplink, device, .ring(rings), old)
    } catch {
      rings.close()
      throw error
    }
  }

  func handOver(_ queue: Int, of rings: RingDevice, toIOCore number: Int) {
    for ring in stride(from: queue, to: rings.ringCount, by: rings.nic.queueCount) {
      rings.pairs[ring].ioThread = ioContexts[number].pointee.sleeper
    }
  }

  /// - Parameter frames: the device, or what workers see of it.
  private func openTap(
    _ uplink: UnderlaySettings.Uplink, _ device: EthernetDevice, _ frames: FrameDevice, _ old: Link?
  ) throws(VTEPError) -> OpenedUplink {
    let (name, subject) = (uplink.device, uplink.subject)
    let left = tapStore.take(name, queues: frames.queueCount)
    // A tap with another number of queues has just been let go of.
    let exists = left != nil ? true : try TapDriver.checkTap(name, on: portHost(), subject: subject)
    let old = exists ? old : nil
    var tap: TapQueues
    if let left {
      tap = try TapQueues.resume(left, named: name, mac: device.mac, subject: subject)
    } else {
      tap = try TapQueues.open(
        name, mac: device.mac, queues: frames.queueCount, exists: old != nil, queuesKey: "dataplane.workers", subject: subject)
      tap.keptAs = tapStore.keep(name, tap.descriptors) ? name : nil
    }
    do throws(VTEPError) {
      let mtu = (device.mtuError == 0 ? old?.mtu : nil) ?? device.mtu ?? 1500
      let hasLink = device.hasLink
      // Of an interface that is there only what differs is set: neighbours are forgotten with each address that is set.
      let link = try VTEPError.wrap(subject) { () throws(NetlinkError) -> Link? in
        if let old {
          if old.mac != device.mac { try netlink.setAddress(index: old.index, device.mac) }
          if old.mtu != mtu { try netlink.setMTU(index: old.index, mtu: mtu) }
        } else {
          try netlink.setUpTap(named: name, mac: device.mac, mtu: mtu, segmentByteCount: 65_536)
        }
        TapDevice.setCarrier(tap.descriptors[0], isOn: hasLink)
        guard let link = try netlink.link(named: name) else { return nil }
        try netlink.setLink(index: link.index, up: true)
        return try netlink.link(index: link.index)
      }
      guard let link else { throw VTEPError(.environment, subject, "the interface is gone", remedy: "let nothing else delete it") }
      if let old {
        if left == nil { tap.discardReceived() }
        if old.mtu != mtu {
          log.error("\(subject): \(Self.refusal(DPDKDevice.name(uplink.nic ?? ""), mtu: old.mtu, device.mtuError)); it is \(mtu) now")
        }
      }
      let nic = OwnedNIC(
        name: DPDKDevice.name(uplink.nic ?? ""), device: device, tap: tap, hasLink: hasLink, mac: device.mac, mtu: mtu)
      return OpenedUplink(link: link, device: frames, nic: nic)
    } catch {
      tapStore.forget(tap)
      tap.close()
      throw error
    }
  }

  func hasLink(_ nic: OwnedNIC) -> Bool { nic.device.hasLink }

  func link(index: Int32) -> Link? { (try? netlink.link(index: index)) ?? nil }

  // -- following ---------------------------------------------------------------------------------------------------------

  func follow(_ nic: OwnedNIC, _ link: Link, subject: String) -> OwnedNIC {
    var nic = nic
    let hasLink = nic.device.hasLink
    if hasLink != nic.hasLink {
      nic.hasLink = hasLink
      TapDevice.setCarrier(nic.tap.descriptors[0], isOn: hasLink)
    }
    followMTU(&nic, link, subject: subject)
    followMAC(&nic, link, subject: subject)
    followGroups(&nic, link)
    return nic
  }

  /// The tap's word counts, if the driver takes it.
  private func followMTU(_ nic: inout OwnedNIC, _ link: Link, subject: String) {
    guard link.mtu != nic.mtu else {
      nic.refusedMTU = nil
      return
    }
    guard link.mtu != nic.refusedMTU else { return }
    let code = nic.device.set(mtu: link.mtu)
    if code == 0 {
      nic.mtu = link.mtu
      return
    }
    nic.refusedMTU = link.mtu
    log.error("\(subject): \(Self.refusal(nic.name, mtu: link.mtu, -code)); back to \(nic.mtu)")
    setBack(subject) { () throws(NetlinkError) in try netlink.setMTU(index: link.index, mtu: nic.mtu) }
  }

  private static func refusal(_ nic: String, mtu: Int, _ errorNumber: Int32) -> String {
    "the NIC \(nic) refuses MTU \(mtu) (\(VTEPError.errnoText(errorNumber)))"
  }

  private func followMAC(_ nic: inout OwnedNIC, _ link: Link, subject: String) {
    guard link.mac != nic.mac else {
      nic.refusedMAC = nil
      return
    }
    guard link.mac != nic.refusedMAC else { return }
    let code = nic.device.set(mac: link.mac)
    if code == 0 {
      nic.mac = link.mac
      return
    }
    nic.refusedMAC = link.mac
    log.error(
      "\(subject): the NIC \(nic.name) refuses the address \(link.mac) (\(VTEPError.errnoText(-code))); back to \(nic.mac)")
    setBack(subject) { () throws(NetlinkError) in try netlink.setAddress(index: link.index, nic.mac) }
  }

  private func setBack(_ subject: String, _ body: () throws(NetlinkError) -> Void) {
    do throws(NetlinkError) {
      try body()
    } catch {
      log.error("\(subject): \(error)")
    }
  }

  private func followGroups(_ nic: inout OwnedNIC, _ link: Link) {
    guard let groups = LinkGroups.read(interfaceIndex: link.index) else { return }
    guard groups != nic.groups || link.isPromiscuous != nic.isTapPromiscuous else { return }
    nic.groups = groups
    nic.isTapPromiscuous = link.isPromiscuous
    nic.filter = nic.device.receive(groups, isPromiscuous: link.isPromiscuous)
  }
}
