// Indexes: typed positions in the workers' arrays. A port cannot be passed where a VTEP or a bridge domain is meant.

/// A port's position in the forwarding snapshot and in the counters; access ports and underlay devices share the index space.
@frozen public struct PortIndex: RawRepresentable, Hashable, Comparable, Sendable {
  public var rawValue: UInt16
  @inlinable @inline(__always) public init(rawValue: UInt16) { self.rawValue = rawValue }
  @inlinable @inline(__always) public init(_ rawValue: UInt16) { self.rawValue = rawValue }
  @inlinable public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// The position of a VTEP, of a multicast group, or of a list of VTEPs in the forwarding snapshot and in the counters.
@frozen public struct VTEPIndex: RawRepresentable, Hashable, Comparable, Sendable {
  public var rawValue: UInt16
  @inlinable @inline(__always) public init(rawValue: UInt16) { self.rawValue = rawValue }
  @inlinable @inline(__always) public init(_ rawValue: UInt16) { self.rawValue = rawValue }
  @inlinable public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// A bridge domain's position: the domain of one VNI.
@frozen public struct DomainIndex: RawRepresentable, Hashable, Comparable, Sendable {
  public var rawValue: UInt16
  @inlinable @inline(__always) public init(rawValue: UInt16) { self.rawValue = rawValue }
  @inlinable @inline(__always) public init(_ rawValue: UInt16) { self.rawValue = rawValue }
  @inlinable public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}
