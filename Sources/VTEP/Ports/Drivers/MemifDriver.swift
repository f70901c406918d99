// MemifDriver: ports of kind memif: rings in memory shared with another process (VPP, a container's network function)
// over a unix socket. Both sides poll: DPDK's driver requests no wakeups from its peer.

import CDPDK
import Netlink

enum MemifDriver: PortDriver {
  static let requiredKeys = [PortAttachment.Key.socket]
  static let optionalKeys = [PortAttachment.Key.role, .memifID, .queues, .socketOwner, .socketGroup, .socketMode]
  static let closesWhenDisabled = true
  static let retriesOpening = true

  /// A server's device goes on with the next client.
  static func losesPeerForGood(_ attachment: PortAttachment) -> Bool { attachment.role == .client }

  /// The socket and its connections, memory regions, and an event for each ring.
  static func descriptorCount(_ attachment: PortAttachment) -> Int { 8 + 4 * attachment.queues }

  /// Several interfaces may share a socket.
  static func claim(_ attachment: PortAttachment) -> (key: PortAttachment.Key, value: String) {
    (.socket, "\(attachment.socket ?? "") (memif-id \(attachment.memifID))")
  }

  static func problems(_ attachment: PortAttachment) -> [(key: PortAttachment.Key, message: String)] {
    var problems = socketProblems(attachment)
    if attachment.role == .client, attachment.queues > largestQueueCount {
      problems.append((.queues, "queues \(attachment.queues): a memif port with role: client has at most \(largestQueueCount)"))
    }
    return problems
  }

  /// The client's driver numbers the buffers of all rings, of 1024 places each, with 16 bits, and would use some twice.
  private static let largestQueueCount = 32

  // The driver puts a frame that is longer than a buffer of the ring into several, marks the first ones as continued, and never takes the
  // mark off: the next shorter frame there is joined to its successors, and the receiver reads on past the ring's end. So no frame may
  // be longer than one buffer.

  /// What clients of DPDK and VPP have unless told otherwise.
  private static let usualBufferByteCount = 2048
  /// 1 GB for as many queue pairs as there can be.
  private static let largestBufferByteCount = 16_384

  private static func mtu(bufferByteCount: Int) -> Int { bufferByteCount - EthernetDevice.frameByteCount(mtu: 0) }

  /// The client makes the buffers, and the server is not told their size.
  static func largestMTU(_ attachment: PortAttachment) -> (byteCount: Int, remedy: String)? {
    if attachment.role == .client { return (mtu(bufferByteCount: largestBufferByteCount), "set a smaller one") }
    let remedy = "set a smaller one, or use role: client here, where vtepd determines the size of the buffers"
    return (mtu(bufferByteCount: usualBufferByteCount), remedy)
  }

  /// Of an uplink; nil: it is no memif.
  static func largestMTU(devargs: String) -> Int? {
    guard DPDKDevice.name(devargs).hasPrefix("net_memif") else { return nil }
    let size = DPDKDevice.arguments(devargs).split(separator: ",").first { $0.hasPrefix("bsize=") }.flatMap { Int($0.dropFirst(6)) }
    return mtu(bufferByteCount: size ?? usualBufferByteCount)
  }

  static func bufferByteCount(_ settings: PortSettings) -> Int {
    guard settings.attachment.role == .client, let mtu = settings.mtu else { return usualBufferByteCount }
    return max(usualBufferByteCount, (EthernetDevice.frameByteCount(mtu: mtu) + 63) & ~63)
  }

  static func open(_ settings: PortSettings, on host: PortHost) throws(VTEPError) -> OpenedPort? {
    let subject = "port \(settings.name)"
    let attachment = settings.attachment
    let path = host.path(attachment.socket ?? "")
    let isServer = attachment.role == .server
    if !host.ownSockets.contains(path) { try UnixSocketPath.prepare(path, isServer: isServer, subject: subject) }
    // DPDK's driver gives up if nobody listens yet.
    if !isServer, !UnixSocketPath.isServed(path) { return nil }
    let arguments =
      "role=\(attachment.role.rawValue),id=\(attachment.memifID),socket=\(path),socket-abstract=no"
      + ",mac=\(host.stableMAC(port: settings.name)),bsize=\(bufferByteCount(settings))"
    func open() throws(VTEPError) -> EthernetDevice {
      do throws(VTEPError) {
        return try EthernetDevice.open(
          driver: "net_memif", arguments: arguments, queues: attachment.queues, runtime: host.runtime, subject: subject,
          remedy: "see the preceding log lines")
      } catch  where !isServer && error.operation == "\(subject): start" {
        // The driver does not say why it could not connect.
        throw VTEPError(
          .refused, "\(subject): connect to \(path)", "who listens there accepts no connections, or is no memif server",
          remedy: "restart that process, or name another socket")
      }
    }
    var device = isServer ? try MemifListener.opening(path, open) : try open()
    if isServer { device.ownedSocket = path }
    device.defaultMTU = min(host.guestMTU, mtu(bufferByteCount: usualBufferByteCount))
    return try serving(path, .ethdev(device), attachment, subject: subject)
  }

  static func status(_ device: FrameDevice, link: Link?, settings: PortSettings) -> PortStatus {
    let mtu = settings.mtu ?? device.ethernet?.defaultMTU
    return device.ethernet?.linkStatus(whenDown: .waiting, mtu: mtu) ?? PortStatus(mtu: mtu)
  }
}
