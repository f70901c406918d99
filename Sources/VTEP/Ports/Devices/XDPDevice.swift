// XDPDevice: a shared uplink whose VXLAN packets come through AF_XDP sockets (`underlay.driver: af_xdp`), one per receive queue of the
// interface. An XDP program of our own picks them out; everything else stays with the kernel, and what of it is VXLAN after all
// (fragments, IP options, frames to other hosts) comes by the packet sockets that every shared uplink has (docs/decisions/0034).

import CDPDK
import Encap
import Glibc
import Netlink

/// An interface's XDP program and its sockets. For the reconciler's thread, but for `queues`, which workers use.
final class XDPDevice: @unchecked Sendable {
  /// What the program leaves to the kernel.
  let packetSockets: PacketSocketDevice
  /// For workers, one per receive queue.
  let queues: UnsafeMutablePointer<XDPQueue>
  /// The interface's driver.
  let driver: String
  let isZeroCopy: Bool
  /// What senders on the other side leave to hardware that is not there arrives as it is.
  let hasUnfinishedChecksums: Bool

  private let program: XDPProgram
  private var sockets: [Socket]
  private var steering: Steering?
  private var reportedLosses: UInt64 = 0
  /// Why the program's maps could not be changed, as the log has it; empty: they could.
  var toldError = ""

  /// Whether the interface's driver still runs the program.
  func isAttached(interfaceIndex: Int32) -> Bool { program.isAttached(interfaceIndex: interfaceIndex) }

  /// What the program hands over.
  struct Steering: Equatable {
    var udpPort: UInt16
    var mac: MACAddress
    var addresses: [IPAddress]
    /// Version of the set of groups.
    var groups: Int
  }

  /// Chunks of a queue for received packets and for those to be sent.
  private static let receiveCount = 2048
  private static let sendCount = 1024
  /// The kernel keeps this much of a chunk before a received packet (XDP_PACKET_HEADROOM).
  private static let headroom = 256
  /// Drivers on whose interfaces a kernel sends frames that it takes for finished by hardware.
  private static let virtualDrivers: Set<String> = ["veth", "tun"]

  /// Octets of a chunk that holds the frames of an interface, a page at most; nil: they are too long.
  static func chunkByteCount(mtu: Int) -> Int? {
    [2048, 4096].first { $0 - headroom >= EthernetDevice.frameByteCount(mtu: mtu) }
  }

  /// Largest MTU, in bytes.
  static let mtuLimit = 4096 - headroom - EthernetDevice.frameByteCount(mtu: 0)

  /// Locked memory of an interface's sockets, in bytes.
  var memoryByteCount: Int { sockets.reduce(0) { $0 + $1.socket.frames_byte_count } }

  /// - Parameters:
  ///   - packetSockets: they stay the caller's when this fails.
  ///   - programs: paths at which the program's file may be.
  /// - Throws: why the kernel or the driver refuses.
  init(_ link: Link, packetSockets: PacketSocketDevice, programs: [String]) throws(VTEPError) {
    let subject = "driver af_xdp"
    var name = [CChar](repeating: 0, count: 32)
    cdpdk_driver_name(link.name, &name)
    driver = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    guard let chunkByteCount = Self.chunkByteCount(mtu: link.mtu) else {
      throw VTEPError(
        .environment, subject, "MTU \(link.mtu) is too large: a packet must fit a page", remedy: "set an MTU of \(Self.mtuLimit) or less")
    }
    let count = max(Int(cdpdk_receive_queues(link.name)), 1)
    guard count <= XDPProgram.queueLimit else {
      throw VTEPError(
        .environment, subject, "\(link.name) has \(count) queues, more than \(XDPProgram.queueLimit)",
        remedy: "ethtool -L \(link.name) combined \(XDPProgram.queueLimit)")
    }
    guard let path = programs.first(where: { access($0, R_OK) == 0 }) else {
      throw VTEPError(.environment, subject, "the XDP program is missing: there is none of \(programs.joined(separator: ", "))")
    }
    let program = try Self.wrap(link) { () throws(NetlinkError) in try XDPProgram(path: path) }
    var opened: [Socket] = []
    do throws(VTEPError) {
      try Self.wrap(link) { () throws(NetlinkError) in
        try Self.insist { () throws(NetlinkError) in try program.attach(interfaceIndex: link.index) }
      }
      for queue in 0..<count { opened.append(try Self.open(link, queue: queue, chunkByteCount: chunkByteCount, program)) }
    } catch {
      program.detach()
      for socket in opened { socket.close() }
      throw error
    }
    self.packetSockets = packetSockets
    self.program = program
    sockets = opened
    isZeroCopy = opened.allSatisfy { $0.socket.is_zero_copy != 0 }
    hasUnfinishedChecksums = Self.virtualDrivers.contains(driver)
    queues = .allocate(capacity: count)
    for (number, socket) in opened.enumerated() { (queues + number).initialize(to: socket.queue) }
  }

  /// A socket, and what workers use of it.
  private struct Socket {
    var socket: cdpdk_xdp_socket
    var queue: XDPQueue

    func close() {
      var socket = socket
      cdpdk_xdp_close(&socket)
      queue.deallocate()
    }
  }

  private static func open(_ link: Link, queue number: Int, chunkByteCount: Int, _ program: XDPProgram) throws(VTEPError) -> Socket {
    var socket = cdpdk_xdp_socket()
    try VTEPError.check(
      cdpdk_xdp_open(&socket, UInt32(chunkByteCount), UInt32(receiveCount), UInt32(sendCount)), "driver af_xdp: socket",
      remedy: "allow CAP_NET_RAW and \(chunkByteCount * (receiveCount + sendCount) >> 20) MiB of locked memory per queue")
    guard let queue = XDPQueue(socket, chunkByteCount: chunkByteCount, receiveCount: receiveCount, sendCount: sendCount) else {
      preconditionFailure("an open socket has all its rings")
    }
    var opened = Socket(socket: socket, queue: queue)
    do throws(VTEPError) {
      try wrap(link) { () throws(NetlinkError) in
        try insist { () throws(NetlinkError) in
          let code = cdpdk_xdp_bind(&opened.socket, link.index, UInt32(number))
          if code < 0 { throw NetlinkError("bind AF_XDP socket to queue \(number)", subject: link.name, code: -code) }
        }
        try program.set(socket: socket.descriptor, queue: number)
      }
    } catch {
      opened.close()
      throw error
    }
    opened.queue.sender.isZeroCopy = opened.socket.is_zero_copy != 0
    return opened
  }

  /// Tries for two seconds as long as something is in the way (EBUSY): what a process had that has just ended goes some time later.
  private static func insist(_ body: () throws(NetlinkError) -> Void) throws(NetlinkError) {
    for _ in 0..<20 {
      do throws(NetlinkError) {
        return try body()
      } catch {
        guard error.code == EBUSY else { throw error }
      }
      usleep(100_000)
    }
    try body()
  }

  /// Says what an errno of the kernel means here.
  private static func wrap<Result>(_ link: Link, _ body: () throws(NetlinkError) -> Result) throws(VTEPError) -> Result {
    do throws(NetlinkError) {
      return try body()
    } catch {
      throw VTEPError(.environment, "driver af_xdp", "\(error)", remedy: remedy(error.code, link))
    }
  }

  private static func remedy(_ code: Int32, _ link: Link) -> String? {
    switch code {
    case EPERM, EACCES: "allow CAP_BPF and CAP_NET_ADMIN"
    case EBUSY: "take the other XDP program off: ip link set dev \(link.name) xdp off"
    case EOPNOTSUPP: "the interface's driver runs no XDP programs: use driver af_packet"
    case ERANGE, EINVAL: "the driver may want a smaller MTU than \(link.mtu): ip link set dev \(link.name) mtu 1500"
    default: nil
    }
  }

  // -- while it is open --------------------------------------------------------------------------------------------------

  /// Has the program hand over what is for us.
  ///
  /// - Parameter groups: asked only when their version is another one.
  func steer(_ wanted: Steering, groups: () -> Set<IPAddress>) throws(NetlinkError) {
    guard wanted != steering else { return }
    try program.set(udpPort: wanted.udpPort, mac: wanted.mac)
    try program.set(destinations: groups().union(wanted.addresses))
    steering = wanted
  }

  /// Packets for which the sockets had no room since the last question.
  func takeLosses() -> UInt64 {
    let losses = sockets.reduce(0) { $0 &+ cdpdk_xdp_losses($1.socket.descriptor) }
    defer { reportedLosses = losses }
    return losses &- reportedLosses
  }

  var descriptors: [Int32] { sockets.map(\.socket.descriptor) }

  /// No worker may use the queues any more.
  func close() {
    program.detach()
    for socket in sockets { socket.close() }
    sockets = []
    queues.deallocate()
    packetSockets.close()
  }
}
