// Frames that a socket filter has truncated to mark them as not for this host. The filter knows how the kernel classifies a
// frame's MAC address, and the worker has the counters: the length carries the verdict, at no cost to packets that are for us.

/// The lengths to which `UnderlayFilter` truncates frames. No packet that it passes whole is that short.
public enum CutFrame {
  /// Length in octets that marks a frame for another host's MAC address.
  @inlinable public static var otherHostByteCount: Int { 14 }
  /// Length in octets that marks a frame to a group MAC address with a unicast IP destination.
  @inlinable public static var groupByteCount: Int { 15 }

  /// Why a frame of this length was truncated; nil for all others.
  @inlinable
  public static func reason(byteCount: Int) -> DropReason? {
    switch byteCount {
    case otherHostByteCount: .outerMACOtherHost
    case groupByteCount: .outerMACGroup
    default: nil
    }
  }
}
