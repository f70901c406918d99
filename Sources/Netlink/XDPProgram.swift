// XDPProgram: the program that a driver runs on each frame that it receives (Sources/XDP), loaded and attached to one interface. Its maps
// say which packets it hands over, and to which AF_XDP sockets.

import CBPF
import Encap
import Glibc

/// An XDP program on an interface. It is attached as long as the object lives, and no longer than the process, however that ends.
/// Not for concurrent use.
public final class XDPProgram {
  /// Most receive queues (`sockets` there).
  public static let queueLimit = 64

  private let object: OpaquePointer
  private let program: Int32
  private let sockets: Int32
  private let destinations: Int32
  private let settings: Int32
  /// Keeps the program attached; -1: it is not.
  private var attachment: Int32 = -1
  private var present: Set<IPAddress> = []

  /// Loads the program.
  ///
  /// - Parameter path: of the object file.
  /// - Throws: ENOENT (no such file), EPERM (CAP_BPF and CAP_NET_ADMIN are needed), EINVAL (the kernel refuses it).
  public init(path: String) throws(NetlinkError) {
    guard let object = cbpf_load(path) else { throw NetlinkError("load XDP program", subject: path, code: errno) }
    self.object = object
    program = cbpf_program(object, "vtepd_underlay")
    sockets = cbpf_map(object, "sockets")
    destinations = cbpf_map(object, "destinations")
    settings = cbpf_map(object, "settings")
    guard program >= 0, sockets >= 0, destinations >= 0, settings >= 0 else {
      throw NetlinkError("load XDP program", subject: path, code: EINVAL, detail: "it is of another version")
    }
  }

  deinit {
    if attachment >= 0 { close(attachment) }
    bpf_object__close(object)
  }

  /// Attaches the program to the interface's driver. Until sockets and destinations are set it leaves everything to the kernel.
  ///
  /// - Throws: EOPNOTSUPP (the driver runs none), EBUSY (another one is there), ERANGE or EINVAL (the MTU is too large for the driver).
  public func attach(interfaceIndex: Int32) throws(NetlinkError) {
    let code = cbpf_attach_to_driver(program, interfaceIndex)
    guard code >= 0 else { throw NetlinkError("attach XDP program", subject: "interface \(interfaceIndex)", code: -code) }
    attachment = code
  }

  /// Whether the interface's driver runs the program; also if the kernel does not say.
  public func isAttached(interfaceIndex: Int32) -> Bool { cbpf_is_attached(program, interfaceIndex) != 0 }

  /// Takes the program off the interface.
  public func detach() {
    if attachment >= 0 { close(attachment) }
    attachment = -1
  }

  /// Hands packets that arrive on a receive queue to an AF_XDP socket that is bound to it.
  public func set(socket descriptor: Int32, queue: Int) throws(NetlinkError) {
    var (key, value) = (UInt32(queue), descriptor)
    try check(bpf_map_update_elem(sockets, &key, &value, UInt64(BPF_ANY)), "set socket of queue \(queue)")
  }

  /// - Parameters:
  ///   - udpPort: of VXLAN.
  ///   - mac: the interface's; frames for other hosts are left to the kernel.
  public func set(udpPort: UInt16, mac: MACAddress) throws(NetlinkError) {
    // struct settings in Sources/XDP: six octets of the address, two of the port, in wire order.
    var (key, value) = (UInt32(0), (mac.bits << 16 | UInt64(udpPort)).bigEndian)
    try check(bpf_map_update_elem(settings, &key, &value, UInt64(BPF_ANY)), "set UDP port")
  }

  /// Hands over packets to these addresses and groups only.
  ///
  /// - Throws: E2BIG when there are more than `destinations` in Sources/XDP has room for. Those that are missing are left to the kernel.
  public func set(destinations wanted: Set<IPAddress>) throws(NetlinkError) {
    for address in present.subtracting(wanted) {
      var key = (address.high.bigEndian, address.low.bigEndian)
      _ = bpf_map_delete_elem(destinations, &key)
      present.remove(address)
    }
    for address in wanted.subtracting(present) {
      var (key, value) = ((address.high.bigEndian, address.low.bigEndian), UInt32(1))
      try check(bpf_map_update_elem(destinations, &key, &value, UInt64(BPF_ANY)), "add destination \(address)")
      present.insert(address)
    }
  }

  private func check(_ code: Int32, _ operation: String) throws(NetlinkError) {
    // libbpf 1.x returns a negative errno.
    if code < 0 { throw NetlinkError(operation, subject: "XDP program", code: -code) }
  }
}
