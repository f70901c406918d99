// Indexes: typed positions in the workers' arrays. A port cannot be passed where a VTEP or a bridge domain is meant.

/// What the three kinds of index have in common: 16 bits, and a value that stands for none.
public protocol TypedIndex:
  RawRepresentable<UInt16>, Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral, CustomStringConvertible
{
  init(rawValue: UInt16)
}

extension TypedIndex {
  /// No index.
  @inlinable @inline(__always) public static var absent: Self { Self(rawValue: 0xffff) }

  /// - Precondition: `position` is in 0...65535.
  @inlinable @inline(__always) public init(_ position: some BinaryInteger) { self.init(rawValue: UInt16(position)) }
  @inlinable @inline(__always) public init(integerLiteral value: UInt16) { self.init(rawValue: value) }

  public var description: String { String(rawValue) }

  @inlinable @inline(__always) public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

extension Int {
  /// The position in an array.
  @inlinable @inline(__always) public init(_ index: some TypedIndex) { self.init(index.rawValue) }
}

/// A port's position in the forwarding snapshot and in the counters; access ports and underlay devices share the index space.
@frozen public struct PortIndex: TypedIndex {
  public var rawValue: UInt16
  @inlinable @inline(__always) public init(rawValue: UInt16) { self.rawValue = rawValue }
}

/// The position of a VTEP, of a multicast group, or of a list of VTEPs in the forwarding snapshot and in the counters.
@frozen public struct VTEPIndex: TypedIndex {
  public var rawValue: UInt16
  @inlinable @inline(__always) public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// Stands for one of our own addresses in place of a VTEP's.
  @inlinable @inline(__always) public static var own: VTEPIndex { VTEPIndex(rawValue: 0xfffe) }
}

/// A bridge domain's position: the domain of one VNI.
@frozen public struct DomainIndex: TypedIndex {
  public var rawValue: UInt16
  @inlinable @inline(__always) public init(rawValue: UInt16) { self.rawValue = rawValue }
}
