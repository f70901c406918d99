// DescriptorLimit: how many descriptors this process may have open, RLIMIT_NOFILE. The soft limit is kept a little below the hard
// one: what ports and guests take all of leaves something for the control socket, by which an operator makes room.

import CMNL
import Glibc

public enum DescriptorLimit {
  /// Descriptors between the two limits.
  public static let reserve = 16

  public static var soft: Int { limits.soft }
  public static var hard: Int { limits.hard }

  private static var limits: (soft: Int, hard: Int) {
    var (soft, hard) = (UInt64.max, UInt64.max)
    _ = cmnl_descriptor_limits(&soft, &hard)
    return (Int(clamping: soft), Int(clamping: hard))
  }

  /// Descriptors that may still be opened; 0 when not even that can be found out.
  public static var free: Int { max(soft - (OpenDescriptors.count ?? soft), 0) }

  /// Raises the soft limit as far as it may go, but for the reserve. To be called once DPDK has started, which sets the two equal.
  public static func raise() { _ = cmnl_set_descriptor_limit(UInt64(hard - min(reserve, hard / 4))) }

  /// Opens up the reserve.
  ///
  /// - Returns: false when it is open already.
  public static func openReserve() -> Bool {
    let (soft, hard) = limits
    guard soft < hard else { return false }
    return cmnl_set_descriptor_limit(UInt64(hard)) == 0
  }

  /// Keeps the reserve back again, once there is room.
  ///
  /// - Returns: false when there is none yet.
  public static func closeReserve() -> Bool {
    guard free > 2 * reserve else { return false }
    raise()
    return true
  }
}
