// DescriptorLimit: how many descriptors this process may open, RLIMIT_NOFILE. The soft limit stays a little below the hard limit:
// if ports and guests use up all descriptors, the control socket still has some, and the operator can make room.

import CMNL
import Glibc

public enum DescriptorLimit {
  /// Descriptors between the soft and the hard limit.
  public static let reserve = 16

  public static var soft: Int { limits.soft }
  public static var hard: Int { limits.hard }

  private static var limits: (soft: Int, hard: Int) {
    var (soft, hard) = (UInt64.max, UInt64.max)
    _ = cmnl_descriptor_limits(&soft, &hard)
    return (Int(clamping: soft), Int(clamping: hard))
  }

  /// Descriptors that may still be opened; 0 if not even that can be determined.
  public static var free: Int { max(soft - (OpenDescriptors.count ?? soft), 0) }

  /// Raises the soft limit to the hard limit less the reserve. Call it once DPDK has started, which makes the two equal.
  public static func raise() { _ = cmnl_set_descriptor_limit(UInt64(hard - min(reserve, hard / 4))) }

  /// Releases the reserve.
  ///
  /// - Returns: false if it is already released.
  public static func openReserve() -> Bool {
    let (soft, hard) = limits
    guard soft < hard else { return false }
    return cmnl_set_descriptor_limit(UInt64(hard)) == 0
  }

  /// Holds the reserve back again, once there is room.
  ///
  /// - Returns: false if there is no room yet.
  public static func closeReserve() -> Bool {
    guard free > 2 * reserve else { return false }
    raise()
    return true
  }
}
