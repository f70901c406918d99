// VhostUserDriver: ports of kind vhost-user: a virtual machine's virtio-net device, with rings in memory that the hypervisor
// shares over a unix socket.

import CDPDK
import Encap
import Netlink

enum VhostUserDriver: PortDriver {
  static let requiredKeys = [PortAttachment.Key.socket]
  static let optionalKeys = [PortAttachment.Key.role, .queues, .socketOwner, .socketGroup, .socketMode]
  static let offersOffloads = true
  static let fixesOffloads = true
  static let usesDPDK = false
  static let closesWhenDisabled = true
  static let fullReason = DropReason.guestRingFull

  /// The socket and its connection, one back to the hypervisor, what is in flight, and eight memory regions at most; for each queue pair
  /// two kicks, two calls, and our duplicate of a kick.
  static func descriptorCount(_ attachment: PortAttachment) -> Int { 12 + 5 * attachment.queues }

  static func claim(_ attachment: PortAttachment) -> (key: PortAttachment.Key, value: String) {
    (.socket, attachment.socket ?? "")
  }

  static func problems(_ attachment: PortAttachment) -> [(key: PortAttachment.Key, message: String)] {
    socketProblems(attachment)
  }

  static func open(_ settings: PortSettings, on host: PortHost) throws(VTEPError) -> OpenedPort? {
    let subject = "port \(settings.name)"
    let attachment = settings.attachment
    let path = host.path(attachment.socket ?? "")
    try UnixSocketPath.prepare(path, isServer: attachment.role == .server, subject: subject)
    let device = try GuestDevice.open(
      GuestDevice.Socket(port: settings.name, path: path, isClient: attachment.role == .client), queues: attachment.queues,
      offersOffloads: settings.offloads == .auto, host: host)
    return try serving(path, .vhost(device), attachment, subject: subject)
  }

  static func status(_ device: FrameDevice, link: Link?, settings: PortSettings) -> PortStatus {
    guard case .vhost(let device) = device else { return PortStatus(mtu: settings.mtu) }
    let (guest, queues) = (device.guest, device.queues)
    guard guest.isUp else { return PortStatus(mtu: settings.mtu, remark: device.limitRemark) }
    let used = queues.receive.trailingOnes
    return PortStatus(
      state: .up, mtu: settings.mtu, guestMTU: guest.mtu, features: VirtioFeatures.names(guest.features),
      takes: PortFeatures(negotiated: guest.features),
      receiveQueues: min(used, device.queueCount),
      transmitQueues: max(min(queues.transmit.trailingOnes, device.queueCount), 1),
      remark: remark(device, usedQueues: used))
  }

  private static func remark(_ device: GuestDevice, usedQueues: Int) -> String? {
    // The vhost library always offers its own maximum to the hypervisor, not the port's.
    if usedQueues > device.queueCount {
      return
        "the guest sends on \(usedQueues) queues, but the port has \(device.queueCount): configure fewer in the hypervisor, or raise queues"
    }
    if GuestPools.areMissing {
      return
        "no memory for packet buffers of guests' own, so they use the common ones, which a guest can exhaust for all ports:"
        + " provide more hugepages, or raise dataplane.memory-mb and restart vtepd"
    }
    return device.limitRemark
  }
}

extension PortDriver {
  /// The opened port; if the daemon serves its socket, that is ready for permitted clients.
  static func serving(
    _ path: String, _ device: FrameDevice, _ attachment: PortAttachment, subject: String
  ) throws(VTEPError) -> OpenedPort {
    guard attachment.role == .server else { return OpenedPort(device: device) }
    do throws(VTEPError) {
      return OpenedPort(device: device, hostSide: HostSide(remark: try SocketAccess.set(path, attachment, subject: subject)))
    } catch {
      try? device.remove(subject: subject)
      throw error
    }
  }

  /// Problems with the path of a socket.
  static func socketProblems(_ attachment: PortAttachment) -> [(key: PortAttachment.Key, message: String)] {
    guard let socket = attachment.socket else { return [] }
    let keys: [(PortAttachment.Key, Bool)] = [
      (.socketOwner, attachment.socketOwner != nil), (.socketGroup, attachment.socketGroup != nil),
      (.socketMode, attachment.socketMode != nil),
    ]
    if attachment.role == .client, let given = keys.first(where: \.1)?.0 {
      return [(given, "\(given.rawValue) needs role: server, since with role: client vtepd does not create the socket")]
    }
    // The kernel limits the length of the path; in DPDK's argument lists a comma ends a value.
    if socket.utf8.count > 107 { return [(.socket, "socket '\(socket)' is longer than 107 bytes")] }
    if !socket.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f && $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "=") }) || socket.hasSuffix("/") {
      return [(.socket, "socket '\(socket)' is not a valid path: no blanks, ',' or '='")]
    }
    return []
  }
}

extension UInt64 {
  fileprivate var trailingOnes: Int { (~self).trailingZeroBitCount }
}
