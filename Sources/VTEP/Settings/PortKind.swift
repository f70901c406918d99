// PortKind: the kinds of ports by name. A new kind is a case here and a PortDriver.

/// What a port is attached through.
public enum PortKind: String, Sendable, CaseIterable {
  case tap, netdev
  case vhostUser = "vhost-user"
  case memif
  case virtioUser = "virtio-user"
  case dpdk

  /// The description of the kind.
  var driver: any PortDriver.Type {
    switch self {
    case .tap: TapDriver.self
    case .netdev: NetdevDriver.self
    case .vhostUser: VhostUserDriver.self
    case .memif: MemifDriver.self
    case .virtioUser: VirtioUserDriver.self
    case .dpdk: DPDKDriver.self
    }
  }

  /// Keys that a port of this kind must have.
  public var requiredKeys: [PortAttachment.Key] { driver.requiredKeys }
  /// Keys that a port of this kind may have.
  public var optionalKeys: [PortAttachment.Key] { driver.optionalKeys }
  /// The port may be added before the kernel interface that it names exists.
  public var awaitsInterface: Bool { driver.awaitsInterface }
}
