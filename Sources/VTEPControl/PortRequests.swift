// PortRequests: `vtepctl port add|delete`, access ports at run time.

/// Adds an access port. The keys are the configuration file's.
public struct AddPort: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "port.add"
  public static let parameterNames = names(of: CodingKeys.self)

  public var name: String
  /// `tap`, `netdev`, `vhost-user`, …
  public var kind: String
  /// Kernel interface name.
  public var device: String?
  /// Path of a unix socket.
  public var socket: String?
  /// Of the socket: `client` or `server`.
  public var role: String?
  /// Queue pairs.
  public var queues: Int?
  /// Number of the interface on its socket.
  public var memifID: UInt32?
  /// A DPDK device with its arguments.
  public var devargs: String?
  /// Binding of untagged frames.
  public var vni: UInt32?
  /// Bindings of tagged frames, VLAN identifier to VNI.
  public var vlans: [Int: UInt32]?
  /// Addresses known to live behind the port.
  public var macs: [String]?
  /// Bytes.
  public var mtu: Int?
  /// `auto` or `off`.
  public var offloads: String?

  public init(
    name: String, kind: String, device: String? = nil, socket: String? = nil, role: String? = nil, queues: Int? = nil,
    memifID: UInt32? = nil, devargs: String? = nil, vni: UInt32? = nil, vlans: [Int: UInt32]? = nil,
    macs: [String]? = nil, mtu: Int? = nil, offloads: String? = nil
  ) {
    self.name = name
    self.kind = kind
    self.device = device
    self.socket = socket
    self.role = role
    self.queues = queues
    self.memifID = memifID
    self.devargs = devargs
    self.vni = vni
    self.vlans = vlans
    self.macs = macs
    self.mtu = mtu
    self.offloads = offloads
  }

  enum CodingKeys: String, CodingKey, CaseIterable {
    case name, kind, device, socket, role, queues
    case memifID = "memif-id"
    case devargs, vni, vlans, macs, mtu, offloads
  }
}

/// Deletes an access port.
public struct DeletePort: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "port.delete"
  public static let parameterNames = names(of: CodingKeys.self)

  public var name: String

  public init(name: String) {
    self.name = name
  }

  enum CodingKeys: CodingKey, CaseIterable { case name }
}
