// TapDevice: finds the descriptors that DPDK's tap driver holds on an interface, and whether that interface is up. The interface
// may have been moved to another network namespace, which the descriptor can reach but netlink cannot.

import CMNL
import Glibc

/// Operations on the /dev/net/tun descriptors of this process.
public enum TapDevice {
  /// This process's descriptors attached to the tap interface of that name, ascending: one per queue.
  /// - Parameter name: the current name, whatever the interface's namespace.
  public static func descriptors(named name: String) -> [Int32] {
    OpenDescriptors.all().filter { interfaceName(of: $0) == name }
  }

  /// Name of the interface that a descriptor is attached to; nil if it is not from /dev/net/tun, or not attached. Besides its
  /// queues, DPDK keeps a detached descriptor so that the interface stays; it never becomes readable.
  public static func interfaceName(of fd: Int32) -> String? {
    var name = [CChar](repeating: 0, count: Int(IFNAMSIZ))
    guard cmnl_tun_name(fd, &name) == 0 else { return nil }
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Turns the interface's carrier on or off, whatever its namespace. No effect on kernels before 5.0.
  public static func setCarrier(_ fd: Int32, isOn: Bool) {
    _ = cmnl_tun_set_carrier(fd, isOn ? 1 : 0)
  }

  /// Whether the interface is administratively up, whatever its namespace: poll(2) reports it writable only then.
  public static func isUp(_ fd: Int32) -> Bool {
    var request = pollfd(fd: fd, events: Int16(POLLOUT), revents: 0)
    while true {
      let count = poll(&request, 1, 0)
      if count < 0 && errno == EINTR { continue }
      return count == 1 && Int32(request.revents) & POLLOUT != 0
    }
  }
}
