// PacketSocketDevice: an interface of the kernel through packet sockets of our own: a netdev port, or the shared underlay. The
// kernel keeps the interface: address, state, MTU and neighbours are left alone. One socket per queue.

import CDPDK
import Encap
import Glibc
import Netlink

/// Packet sockets bound to one interface.
struct PacketSocketDevice: Sendable {
  /// What a socket receives.
  enum Purpose {
    /// Every frame, whole as it came: IPv4 fragments, too.
    case port
    /// UDP datagrams to VXLAN's port. The kernel reassembles their IPv4 fragments (docs/decisions/0003).
    case underlay(udpPort: UInt16)
  }

  let interfaceIndex: Int32
  let mac: MACAddress
  /// One per queue. Readable when frames wait; the error of an interface that goes down is read with the next burst.
  let descriptors: [Int32]
  /// Frames of one flow and size leave as one train: on the underlay, whose checksums are our own. A guest's wrong checksum must
  /// stay wrong.
  let joins: Bool

  /// Frames wait in the socket while the worker is not scheduled: a hundred of the largest segments with their overhead. The kernel
  /// takes the memory only for what waits.
  private static let receiveByteCount: Int32 = 16 << 20
  /// Bounds what waits in the interface's queueing discipline.
  private static let sendByteCount: Int32 = 4 << 20

  /// - Parameter queues: sockets among which the kernel spreads flows.
  static func open(_ link: Link, queues: Int, purpose: Purpose, subject: String) throws(VTEPError) -> PacketSocketDevice {
    var opened: [Int32] = []
    do throws(VTEPError) {
      for _ in 0..<queues {
        let descriptor = try open(link, purpose, joining: opened.first, subject: subject)
        opened.append(descriptor)
      }
      if case .underlay(let udpPort) = purpose {
        for descriptor in opened { try attach(UnderlayFilter(udpPort: udpPort).program, descriptor, subject: subject) }
      }
    } catch {
      for descriptor in opened { Glibc.close(descriptor) }
      throw error
    }
    var joins = false
    if case .underlay = purpose { joins = KernelFeatures.takesTrains }
    return PacketSocketDevice(interfaceIndex: link.index, mac: link.mac, descriptors: opened, joins: joins)
  }

  /// No worker may refer to the descriptors any more.
  func close() {
    for descriptor in descriptors { Glibc.close(descriptor) }
  }

  /// The interface was deleted or moved to another namespace: the sockets never receive again, also if it comes back.
  var isDead: Bool { descriptors.contains { cdpdk_packet_interface($0) < 0 } }

  private static func open(_ link: Link, _ purpose: Purpose, joining first: Int32?, subject: String) throws(VTEPError) -> Int32 {
    let descriptor = cdpdk_packet_open()
    try VTEPError.check(descriptor, "\(subject): packet socket", remedy: "run as root or with CAP_NET_RAW")
    do throws(VTEPError) {
      try VTEPError.check(cdpdk_packet_option(descriptor, PACKET_VNET_HDR, 1), "\(subject): virtio-net header")
      try VTEPError.check(cdpdk_packet_option(descriptor, PACKET_AUXDATA, 1), "\(subject): ancillary data")
      // Has no effect in a fan-out group, which has a flag of its own.
      try VTEPError.check(cdpdk_packet_option(descriptor, PACKET_IGNORE_OUTGOING, 1), "\(subject): incoming frames only")
      // Beyond net.core.rmem_max with CAP_NET_ADMIN only; less is no error.
      if cdpdk_socket_option(descriptor, SO_RCVBUFFORCE, receiveByteCount) != 0 {
        _ = cdpdk_socket_option(descriptor, SO_RCVBUF, receiveByteCount)
      }
      if cdpdk_socket_option(descriptor, SO_SNDBUFFORCE, sendByteCount) != 0 {
        _ = cdpdk_socket_option(descriptor, SO_SNDBUF, sendByteCount)
      }
      // A socket that is not in the group yet would get what another one of the group gets.
      if case .underlay = purpose { try attach(.dropAll, descriptor, subject: subject) }
      try VTEPError.check(cdpdk_packet_bind(descriptor, link.index), "\(subject): bind to \(link.name)")
      switch purpose {
      case .port:
        // The interface leaves the mode with the last socket that asked for it.
        try VTEPError.check(cdpdk_packet_promiscuous(descriptor, link.index), "\(subject): promiscuous mode")
      case .underlay:
        try joinGroup(descriptor, first: first, subject: subject)
      }
    } catch {
      Glibc.close(descriptor)
      throw error
    }
    return descriptor
  }

  private static func attach(_ filter: BPFProgram, _ descriptor: Int32, subject: String) throws(VTEPError) {
    try VTEPError.wrap("\(subject): packet socket") { () throws(NetlinkError) in try filter.attach(toSocket: descriptor) }
  }

  /// A fan-out group, also for one socket: only a group reassembles IPv4 fragments. A flow stays on one socket; if that one is full,
  /// the next one takes its frames.
  private static func joinGroup(_ descriptor: Int32, first: Int32?, subject: String) throws(VTEPError) {
    let common = UInt16(PACKET_FANOUT_FLAG_DEFRAG | PACKET_FANOUT_FLAG_ROLLOVER | CDPDK_PACKET_FANOUT_FLAG_IGNORE_OUTGOING)
    guard let first else {
      // The kernel chooses a number that no other process has.
      let code = cdpdk_packet_fanout(descriptor, 0, common | UInt16(PACKET_FANOUT_FLAG_UNIQUEID))
      // The flag against outgoing frames is of Linux 6.1; the filter drops them, too.
      if code == -EINVAL {
        let flags = UInt16(PACKET_FANOUT_FLAG_DEFRAG | PACKET_FANOUT_FLAG_ROLLOVER | PACKET_FANOUT_FLAG_UNIQUEID)
        try VTEPError.check(cdpdk_packet_fanout(descriptor, 0, flags), "\(subject): fan-out group")
      } else {
        try VTEPError.check(code, "\(subject): fan-out group")
      }
      return
    }
    let group = cdpdk_packet_fanout_group(first)
    try VTEPError.check(group, "\(subject): fan-out group")
    var code = cdpdk_packet_fanout(descriptor, UInt16(truncatingIfNeeded: group), common)
    if code == -EINVAL {
      code = cdpdk_packet_fanout(
        descriptor, UInt16(truncatingIfNeeded: group), UInt16(PACKET_FANOUT_FLAG_DEFRAG | PACKET_FANOUT_FLAG_ROLLOVER))
    }
    try VTEPError.check(code, "\(subject): fan-out group")
  }
}
