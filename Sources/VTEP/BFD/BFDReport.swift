// BFDReport: a session as `vtepctl show bfd`, metrics and the controller's database see it.

import Encap

/// One BFD session.
public struct BFDReport: Sendable {
  public var address: IPAddress
  public var settings: BFDSettings
  /// Of sent frames.
  public var vni: VNI
  public var state: BFDState
  public var remoteState: BFDState
  public var isForwarding: Bool
  public var diagnostic: BFDDiagnostic
  public var remoteDiagnostic: BFDDiagnostic
  public var discriminator: UInt32
  /// 0: not known.
  public var remoteDiscriminator: UInt32
  /// Between our packets; nil: the other end wants none.
  public var transmitMicroseconds: UInt32?
  /// 0: nothing has come.
  public var detectionMicroseconds: UInt64
  /// In this state.
  public var sinceSeconds: UInt64
  public var counts: BFDCounts
}

/// What a session has counted, earlier runs of the daemon included.
public struct BFDCounts: Equatable, Sendable {
  /// Times that it has left the state Up.
  public var flaps: UInt64 = 0
  public var packetsSent: UInt64 = 0
  public var packetsReceived: UInt64 = 0
  /// Frames refused since their VNI was not 0.
  public var wrongKeys: UInt64 = 0

  static func + (left: BFDCounts, right: BFDCounts) -> BFDCounts {
    BFDCounts(
      flaps: left.flaps &+ right.flaps, packetsSent: left.packetsSent &+ right.packetsSent,
      packetsReceived: left.packetsReceived &+ right.packetsReceived, wrongKeys: left.wrongKeys &+ right.wrongKeys)
  }
}
