// MACLocation: where a MAC address lives, behind a local port (with the VLAN its frames carry there) or behind a
// remote VTEP.

/// A local port and VLAN, or a remote VTEP, by index.
///
/// Bit 0 is set for a VTEP, bits 1-16 hold the index, bits 17-28 the VLAN.
@frozen public struct MACLocation: Hashable, Sendable {
  public var raw: UInt32

  /// - Parameter raw: the `raw` of another location.
  @inlinable @inline(__always) public init(raw: UInt32) { self.raw = raw }

  /// - Parameter vlan: 802.1Q VLAN identifier, 0 for untagged frames; its low 12 bits count.
  @inlinable public static func port(_ index: UInt16, vlan: UInt16) -> MACLocation {
    MACLocation(raw: UInt32(index) << 1 | UInt32(vlan & 0xfff) << 17)
  }

  @inlinable public static func vtep(_ index: UInt16) -> MACLocation {
    MACLocation(raw: UInt32(index) << 1 | 1)
  }

  @inlinable public var isVTEP: Bool { raw & 1 != 0 }
  /// Index of the port or of the VTEP.
  @inlinable public var index: UInt16 { UInt16(truncatingIfNeeded: raw >> 1) }
  /// 0 for a VTEP and for untagged frames.
  @inlinable public var vlan: UInt16 { UInt16(truncatingIfNeeded: raw >> 17) & 0xfff }
}

extension MACLocation: CustomStringConvertible {
  public var description: String {
    if isVTEP { return "vtep \(index)" }
    return vlan == 0 ? "port \(index)" : "port \(index) vlan \(vlan)"
  }
}
