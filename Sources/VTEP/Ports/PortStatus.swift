// PortStatus: a port's current state, as its driver reads it.

/// State of a port's device, and what its guest has negotiated.
public struct PortStatus: Equatable, Sendable {
  public enum State: String, Sendable { case up, down, waiting }

  public var state = State.waiting
  /// The interface's, in bytes; nil: unknown.
  public var mtu: Int?
  /// The MTU that the guest driver was told to use, in bytes.
  public var guestMTU: Int?
  /// Names of the features negotiated with the guest driver.
  public var features: [String] = []
  /// The offloads that the guest driver accepts in frames sent to it.
  var takes: PortFeatures = []
  /// Queues in use for receiving and for sending, numbered from 0.
  public var receiveQueues = 0
  public var transmitQueues = 0
  /// What an operator should know about the port.
  public var remark: String?

  /// Largest frame that may be delivered, in bytes without VLAN tag.
  var maxFrameByteCount: Int { (mtu ?? guestMTU ?? 65_521) + 14 }
}
