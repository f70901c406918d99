// PortAttachment: how a port is attached: its kind, and the values of the kind's keys. The kind's PortDriver interprets them.

/// The kind of a port and what it is attached to. Keys that the kind does not use keep their defaults.
public struct PortAttachment: Hashable, Sendable {
  /// Who owns the socket.
  public enum Role: String, Sendable, CaseIterable {
    /// Connects, and reconnects for as long as the port exists.
    case client
    case server
  }

  /// Configuration keys whose meaning depends on the kind.
  public enum Key: String, Sendable, CaseIterable {
    case device, socket, role, queues
    case memifID = "memif-id"
    case devargs
    case socketOwner = "socket-owner"
    case socketGroup = "socket-group"
    case socketMode = "socket-mode"
  }

  public var kind: PortKind
  /// Kernel interface name.
  public var device: String?
  /// Path of a unix socket: absolute, or relative to the daemon's socket folder.
  public var socket: String?
  public var role = Role.client
  /// Queue pairs offered.
  public var queues = 1
  /// Number of the interface on its socket.
  public var memifID: UInt32 = 0
  /// A DPDK device and its arguments.
  public var devargs: String?
  /// Who may connect to a socket that the daemon serves; see `SocketAccess`.
  public var socketOwner: String?
  public var socketGroup: String?
  public var socketMode: UInt16?

  /// Queue pairs allowed for any kind.
  public static let queueRange = 1...64

  public init(_ kind: PortKind) {
    self.kind = kind
  }

  /// What the port is attached to, for messages.
  public var place: String { device ?? socket ?? devargs ?? "" }
}

extension PortSettings {
  /// What may be on a socket of the machine; nil: nothing of the port is.
  var nicName: String? {
    switch kind {
    case .netdev: attachment.device
    case .dpdk: attachment.devargs.map(DPDKDevice.name)
    case .tap, .vhostUser, .memif, .virtioUser: nil
    }
  }
}
