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

  /// What a shared uplink's socket hands over of a packet to our UDP port: whole, or cut because of its MAC address. For dry runs, which
  /// have no kernel that compares addresses.
  ///
  /// - Parameter mac: of the uplink.
  public static func received(_ octets: [UInt8], at mac: MACAddress) -> [UInt8] {
    guard octets.count >= 34 else { return octets }
    if octets[0] & 1 == 0 {
      let isForUs = octets.prefix(6).elementsEqual(mac.octets)
      return isForUs ? octets : Array(octets.prefix(otherHostByteCount))
    }
    // RFC 1122 section 3.3.6.
    let isIPv6 = octets[12] == 0x86 && octets[13] == 0xdd
    let isToGroup = isIPv6 ? octets.count > 38 && octets[38] == 0xff : octets[30] >= 0xe0
    return isToGroup ? octets : Array(octets.prefix(groupByteCount))
  }
}
