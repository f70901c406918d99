// TapDriver: ports of kind tap: a kernel interface that the daemon creates; guests or containers take it over.

import CDPDK
import Encap
import Netlink

enum TapDriver: PortDriver {
  static let requiredKeys = [PortAttachment.Key.device]
  static let optionalKeys = [PortAttachment.Key.queues]

  static func claim(_ attachment: PortAttachment) -> (key: PortAttachment.Key, value: String) {
    (.device, attachment.device ?? "")
  }

  static func problems(_ attachment: PortAttachment) -> [(key: PortAttachment.Key, message: String)] {
    let problems = interfaceProblems(attachment)
    guard attachment.queues > maximumQueues else { return problems }
    return problems + [(.queues, "queues of a tap must be at most \(maximumQueues), not \(attachment.queues)")]
  }

  /// What DPDK's driver can have.
  private static let maximumQueues = 16

  static func open(_ settings: PortSettings, on host: PortHost) throws(VTEPError) -> OpenedPort? {
    let subject = "port \(settings.name)"
    let name = settings.attachment.device ?? ""
    let device = try EthernetDevice.createTap(
      name: name, mac: host.stableMAC(port: settings.name), queues: settings.attachment.queues, runtime: host.runtime,
      subject: subject)
    do throws(VTEPError) {
      if let link = try host.link(name, subject: subject) { try adjust(link, settings, on: host) }
      // Read again: the MTU may have changed.
      return OpenedPort(device: device, link: try host.link(name, subject: subject))
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

  static func setCarrier(_ device: EthernetDevice, isOn: Bool) {
    for descriptor in device.descriptors.prefix(1) { TapDevice.setCarrier(descriptor, isOn: isOn) }
  }

  /// The MTU of a tap in another namespace cannot be seen from here: it takes what it is given.
  static func status(_ device: EthernetDevice, link: Link?, settings: PortSettings) -> PortStatus {
    PortStatus(
      state: device.descriptors.first.map { TapDevice.isUp($0) } ?? false ? .up : .down, mtu: link?.mtu,
      receiveQueues: device.queueCount, transmitQueues: device.queueCount)
  }
}

extension PortDriver {
  /// What is wrong with the name of a kernel interface.
  static func interfaceProblems(_ attachment: PortAttachment) -> [(key: PortAttachment.Key, message: String)] {
    guard let device = attachment.device, let reason = reasonAgainstInterfaceName(device) else { return [] }
    return [(.device, "device \(reason)")]
  }
}
