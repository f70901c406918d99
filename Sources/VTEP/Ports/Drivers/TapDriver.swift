// TapDriver: ports of kind tap: a kernel interface that the daemon creates for guests and containers.

import CDPDK
import Encap
import Netlink

enum TapDriver: PortDriver {
  static let requiredKeys = [PortAttachment.Key.device]
  static let optionalKeys = [PortAttachment.Key.queues]
  static let hostMayUseInterface = true

  /// Two for each queue; the interface; ioctl and netlink sockets.
  static func descriptorCount(_ attachment: PortAttachment) -> Int { 4 + 2 * attachment.queues }

  static func claim(_ attachment: PortAttachment) -> (key: PortAttachment.Key, value: String) {
    (.device, attachment.device ?? "")
  }

  static func problems(_ attachment: PortAttachment) -> [(key: PortAttachment.Key, message: String)] {
    let problems = interfaceProblems(attachment)
    guard attachment.queues > maximumQueues else { return problems }
    return problems + [(.queues, "queues of a tap must be at most \(maximumQueues), not \(attachment.queues)")]
  }

  /// Most queues that DPDK's driver supports.
  private static let maximumQueues = 16

  static func open(_ settings: PortSettings, on host: PortHost) throws(VTEPError) -> OpenedPort? {
    let subject = "port \(settings.name)"
    let name = settings.attachment.device ?? ""
    try checkTap(name, on: host, subject: subject)
    let device = try EthernetDevice.createTap(
      name: name, mac: host.stableMAC(port: settings.name), queues: settings.attachment.queues, runtime: host.runtime,
      subject: subject)
    do throws(VTEPError) {
      if let link = try host.link(name, subject: subject) { try adjust(link, settings, on: host) }
      // Read again: the MTU may have changed.
      guard let link = try host.link(name, subject: subject) else { return OpenedPort(device: .ethdev(device)) }
      let users = try VTEPError.wrap(subject) { () throws(NetlinkError) in try InterfaceUsers(host.netlink) }
      if users.use(of: link) != nil { return OpenedPort(device: .ethdev(device), link: link) }
      let side = host.guardHost(link, claim: try? InterfaceClaim(link))
      // Frames that the host has already sent on the new interface.
      device.discardReceived()
      return OpenedPort(device: .ethdev(device), link: link, hostSide: side)
    } catch {
      try? device.remove(subject: subject)
      throw error
    }
  }

  /// A guest's frames must fit the underlay with the outer headers on: as the kernel's VXLAN device does, a tap gets
  /// the underlay's MTU less the overhead unless told otherwise.
  static func adjust(_ link: Link, _ settings: PortSettings, on host: PortHost) throws(VTEPError) {
    let mtu = min(settings.mtu ?? host.guestMTU, host.runtime.maxFrameByteCount - 22)
    guard mtu != link.mtu else { return }
    try VTEPError.wrap("port \(settings.name): mtu \(mtu)") { () throws(NetlinkError) in
      try host.netlink.setMTU(index: link.index, mtu: mtu)
    }
  }

  /// DPDK's net_tap (22.11) sends no frame above its own MTU, whatever the interface's MTU is. That MTU cannot be raised:
  /// the device has a `max_rx_pktlen` of 1522 and refuses more.
  private static let driverMTU = 1500

  static func setCarrier(_ device: FrameDevice, isOn: Bool) {
    for descriptor in device.descriptors.prefix(1) { TapDevice.setCarrier(descriptor, isOn: isOn) }
  }

  /// The MTU of a tap in another namespace is not visible here: the port's setting is used instead.
  static func status(_ device: FrameDevice, link: Link?, settings: PortSettings) -> PortStatus {
    var status = PortStatus(
      state: device.descriptors.first.map { TapDevice.isUp($0) } ?? false ? .up : .down, mtu: link?.mtu ?? settings.mtu,
      receiveQueues: device.queueCount, transmitQueues: device.queueCount)
    status.deviceMTU = driverMTU
    return status
  }
}

extension PortDriver {
  /// - Throws: `.refused` when the interface is not a tap, or another process has it open: opening it again would steal half of
  ///   that process's frames, and closing it would remove its configuration.
  static func checkTap(_ name: String, on host: PortHost, subject: String) throws(VTEPError) {
    guard let link = try host.link(name, subject: subject) else { return }
    guard let tun = link.tun else {
      throw VTEPError(
        .refused, "\(subject): tap \(name)",
        "an interface of this name exists and is not a tap" + (link.kind.map { " but of kind \($0)" } ?? ""),
        remedy: "ip link delete \(name), or name another tap")
    }
    guard tun.isHeld else { return }
    throw VTEPError(
      .refused, "\(subject): tap \(name)", "tap \(name) is in use by another process", remedy: "stop that process, or name another tap")
  }

  /// Problems with the name of a kernel interface.
  static func interfaceProblems(_ attachment: PortAttachment) -> [(key: PortAttachment.Key, message: String)] {
    guard let device = attachment.device, let reason = reasonAgainstInterfaceName(device) else { return [] }
    return [(.device, "device \(reason)")]
  }
}
