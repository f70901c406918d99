// VirtioUserDriver: ports of kind virtio-user: the daemon is the guest's side of a virtio device. Behind it is the
// kernel (vhost-net, with a tap interface as the other end) or another process that speaks vhost-user.

import CDPDK
import Glibc
import Netlink

enum VirtioUserDriver: PortDriver {
  static let requiredKeys: [PortAttachment.Key] = []
  static let optionalKeys = [PortAttachment.Key.device, .socket, .role, .queues, .socketOwner, .socketGroup, .socketMode]
  static let closesWhenDisabled = true
  static let retriesOpening = true
  static let hostMayUseInterface = true

  static func losesPeerForGood(_ attachment: PortAttachment) -> Bool { true }

  private static let kernelDevice = "/dev/vhost-net"

  /// The same as for a vhost-user guest.
  static func descriptorCount(_ attachment: PortAttachment) -> Int { 16 + 6 * attachment.queues }

  static func claim(_ attachment: PortAttachment) -> (key: PortAttachment.Key, value: String) {
    attachment.socket.map { (.socket, $0) } ?? (.device, attachment.device ?? "")
  }

  static func problems(_ attachment: PortAttachment) -> [(key: PortAttachment.Key, message: String)] {
    guard (attachment.device == nil) != (attachment.socket == nil) else {
      return [(.device, "virtio-user needs either a device (through the kernel's vhost-net) or a socket")]
    }
    return interfaceProblems(attachment) + socketProblems(attachment)
  }

  static func open(_ settings: PortSettings, on host: PortHost) throws(VTEPError) -> OpenedPort? {
    let subject = "port \(settings.name)"
    let attachment = settings.attachment
    let arguments = "mac=\(host.stableMAC(port: settings.name)),queues=\(attachment.queues),queue_size=256"
    if let socket = attachment.socket {
      let path = host.path(socket)
      let isServer = attachment.role == .server
      try UnixSocketPath.prepare(path, isServer: isServer, subject: subject)
      guard let backEnd = try BackEnd(path, isServer: isServer, arguments: arguments, queues: attachment.queues, subject: subject) else {
        return nil
      }
      return try serving(path, .awaited(backEnd), attachment, subject: subject)
    }
    guard access(kernelDevice, R_OK | W_OK) == 0 else {
      throw VTEPError(
        .refused, subject, "the kernel has no \(kernelDevice)", remedy: "load vhost_net, or use kind tap")
    }
    try checkTap(attachment.device ?? "", on: host, subject: subject)
    let device = try EthernetDevice.open(
      driver: "net_virtio_user", arguments: "\(arguments),path=\(kernelDevice),iface=\(attachment.device ?? "")",
      queues: attachment.queues, runtime: host.runtime, subject: subject, remedy: "see the preceding log lines")
    return OpenedPort(device: .ethdev(device))
  }

  static func status(_ device: FrameDevice, link: Link?, settings: PortSettings) -> PortStatus {
    if case .awaited(let backEnd) = device { return PortStatus(mtu: settings.mtu, remark: backEnd.remark) }
    return device.ethernet?.linkStatus(whenDown: .waiting, mtu: settings.mtu) ?? PortStatus(mtu: settings.mtu)
  }
}
