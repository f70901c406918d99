// MACLocation: where a MAC address lives, behind a local port (with the VLAN its frames carry there) or behind a
// remote VTEP.

/// A local port and VLAN, or a remote VTEP, by index.
///
/// Bit 0 is set for a VTEP, bits 1-16 hold the index, bits 17-28 the VLAN of a port; bit 17 is set for a list of VTEPs.
@frozen public struct MACLocation: Hashable, Sendable {
  public var raw: UInt32

  /// - Parameter raw: the `raw` of another location.
  @inlinable @inline(__always) public init(raw: UInt32) { self.raw = raw }

  /// - Parameter vlan: 802.1Q VLAN identifier, 0 for untagged frames; its low 12 bits count.
  @inlinable public static func port(_ index: PortIndex, vlan: UInt16) -> MACLocation {
    MACLocation(raw: UInt32(index.rawValue) << 1 | UInt32(vlan & 0xfff) << 17)
  }

  @inlinable public static func vtep(_ index: VTEPIndex) -> MACLocation {
    MACLocation(raw: UInt32(index.rawValue) << 1 | 1)
  }

  /// A list of VTEPs, which gets the frames to a multicast address; it has an index among the VTEPs.
  @inlinable public static func list(_ index: VTEPIndex) -> MACLocation {
    MACLocation(raw: UInt32(index.rawValue) << 1 | 1 | listBit)
  }

  /// In place of the VLAN's lowest bit.
  @usableFromInline @inline(__always) static var listBit: UInt32 { 1 << 17 }

  /// A VTEP, a group or a list of VTEPs.
  @inlinable public var isVTEP: Bool { raw & 1 != 0 }
  /// - Precondition: `isVTEP`.
  @inlinable public var isList: Bool { raw & Self.listBit != 0 }
  /// A VTEP or a group, and no list.
  @inlinable @inline(__always) public var isSingleVTEP: Bool { raw & (1 | Self.listBit) == 1 }
  /// A port's untagged binding.
  @inlinable @inline(__always) public var isUntaggedPort: Bool { raw & (1 | 0xfff << 17) == 0 }
  /// The port that it is behind.
  /// - Precondition: not `isVTEP`.
  @inlinable public var port: PortIndex { PortIndex(rawValue: UInt16(truncatingIfNeeded: raw >> 1)) }
  /// The VTEP that it is behind.
  /// - Precondition: `isVTEP`.
  @inlinable public var vtep: VTEPIndex { VTEPIndex(rawValue: UInt16(truncatingIfNeeded: raw >> 1)) }
  /// The same as a number, with nothing to cut off.
  /// - Precondition: `isSingleVTEP`.
  @inlinable @inline(__always) public var singleVTEP: Int { Int(truncatingIfNeeded: raw >> 1) }
  /// 0 for untagged frames.
  /// - Precondition: not `isVTEP`.
  @inlinable public var vlan: UInt16 { UInt16(truncatingIfNeeded: raw >> 17) & 0xfff }
}

extension MACLocation: CustomStringConvertible {
  public var description: String {
    if isVTEP { return isList ? "list \(vtep)" : "vtep \(vtep)" }
    return vlan == 0 ? "port \(port)" : "port \(port) vlan \(vlan)"
  }
}
