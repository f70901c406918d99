// PortStatus: how a port is at the moment, as its driver reads it.

/// State of a port's device, and what its guest has agreed to.
public struct PortStatus: Equatable, Sendable {
  public enum State: String, Sendable { case up, down, waiting }

  public var state = State.waiting
  /// Of the interface, in bytes; nil: not known.
  public var mtu: Int?
  /// What the guest's driver was told to use, in bytes.
  public var guestMTU: Int?
  /// Negotiated with the guest's driver, by name.
  public var features: [String] = []
  /// Which frames the guest's driver takes with something left to do.
  var takes: PortFeatures = []
  /// Queues that frames can come from, and that they can be sent to. Queues in use are numbered from 0.
  public var receiveQueues = 0
  public var transmitQueues = 0
  /// What an operator should know about the port.
  public var remark: String?

  /// The largest MTU that the device can serve, where that is less than what the interface may be set to.
  var deviceMTU: Int?

  /// Largest frame that may be delivered, in bytes without VLAN tag.
  var maxFrameByteCount: Int { min(mtu ?? guestMTU ?? 65_521, deviceMTU ?? 65_521) + 14 }
  /// The device, not the interface, sets the limit.
  var isLimitedByDevice: Bool { deviceMTU.map { $0 < mtu ?? 65_521 } ?? false }
}
