// TapDevice: finds the descriptors DPDK's tap driver holds on an interface, and tells whether that interface is up. The
// guest's side may have been moved to another network namespace, where netlink does not reach; the descriptor does.

import CMNL
import Glibc

/// Operations on the /dev/net/tun descriptors of this process.
public enum TapDevice {
  /// This process's descriptors attached to the tap interface of that name, ascending: one for each queue.
  /// - Parameter name: the present name, in whatever namespace the interface is.
  public static func descriptors(named name: String) -> [Int32] {
    OpenDescriptors.all().filter { interfaceName(of: $0) == name }
  }

  /// Name of the interface a descriptor is attached to; nil when it is none of /dev/net/tun, or attached to nothing.
  /// DPDK keeps a detached one besides its queues, so that the interface stays: nothing can be waited for there.
  public static func interfaceName(of fd: Int32) -> String? {
    var name = [CChar](repeating: 0, count: Int(IFNAMSIZ))
    guard cmnl_tun_name(fd, &name) == 0 else { return nil }
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Has the interface's carrier come or go, in whatever namespace it is. Kernels before 5.0 cannot: nothing happens.
  public static func setCarrier(_ fd: Int32, isOn: Bool) {
    _ = cmnl_tun_set_carrier(fd, isOn ? 1 : 0)
  }

  /// Whether the interface is administratively up, in whatever namespace it is: only then is it writable for poll(2).
  public static func isUp(_ fd: Int32) -> Bool {
    var request = pollfd(fd: fd, events: Int16(POLLOUT), revents: 0)
    while true {
      let count = poll(&request, 1, 0)
      if count < 0 && errno == EINTR { continue }
      return count == 1 && Int32(request.revents) & POLLOUT != 0
    }
  }
}
