// Frames that a socket filter has cut off to tell that they are not for this host. The filter knows what the kernel makes of a
// frame's MAC address, the worker has the counters: the length carries the verdict from one to the other, and costs nothing
// on the way of a packet that is for us.

/// The lengths that `UnderlayFilter` cuts frames to. No packet that it passes whole is that short.
public enum CutFrame {
  /// Octets that are left of a frame for another host's MAC address.
  @inlinable public static var otherHostByteCount: Int { 14 }
  /// Octets that are left of a frame to a group MAC address whose IP destination is unicast.
  @inlinable public static var groupByteCount: Int { 15 }

  /// Why a frame of this length was cut off; nil for all others.
  @inlinable
  public static func reason(byteCount: Int) -> DropReason? {
    switch byteCount {
    case otherHostByteCount: .outerMACOtherHost
    case groupByteCount: .outerMACGroup
    default: nil
    }
  }
}
