// BFDSettings: how BFD runs towards one VTEP: `underlay.bfd` of the file, or `bfd_params` of a controller's Tunnel row (vtep(5)).

import Encap

/// How BFD frames look.
public enum BFDForm: String, Sendable, CaseIterable {
  /// Open vSwitch's and the hardware_vtep schema's: inner MAC 00:23:20:00:00:01, link-local IPv4 addresses.
  case openVSwitch = "ovs"
  /// RFC 8971: inner MAC 00:00:5e:00:52:02, from the VTEP's address to 127/8 or ::ffff:127/104.
  case rfc8971

  /// VNI of the frames unless another is configured.
  public var defaultVNI: VNI { VNI(truncating: self == .openVSwitch ? 0 : 1) }
}

/// Parameters of one session. Intervals are in milliseconds.
public struct BFDSettings: Hashable, Sendable {
  public var minTx: UInt32 = 300
  public var minRx: UInt32 = 300
  public var multiplier: UInt8 = 3
  public var form = BFDForm.openVSwitch
  /// VNI of sent frames; nil: the one in which the other end sends, and the form's until that is heard.
  public var vni: VNI?
  /// Accept only frames with VNI 0.
  public var checksTunnelKey = false
  /// Data from the VTEP counts for `forwarding` like an Up session.
  public var forwardingIfRx = false
  /// Interval for receiving while no data comes; 0: always `minRx`.
  public var decayMinRx: UInt32 = 0
  /// Tell the other end not to send data here.
  public var pathIsDown = false
  /// Inner destination of sent frames; nil: the form's.
  public var destinationMAC: MACAddress?
  public var destinationIP: IPAddress?

  public static let intervalRange: ClosedRange<UInt32> = 10...60_000
  public static let multiplierRange: ClosedRange<UInt8> = 1...50

  public init() {}
}

/// `underlay.bfd`: BFD without a controller.
public struct UnderlayBFD: Hashable, Sendable {
  /// Nil: every VTEP in use.
  public var vteps: Set<IPAddress>?
  public var settings = BFDSettings()

  public init() {}

  func settings(for address: IPAddress) -> BFDSettings? { vteps?.contains(address) == false ? nil : settings }
}
