// TapDevice: what a descriptor of a tap says about its interface, wherever that is: it may have been moved to another network
// namespace, which the descriptor can reach but netlink cannot.

import CMNL
import Glibc

/// Operations on the /dev/net/tun descriptors of this process.
public enum TapDevice {
  /// Opens one queue of a tap, which is created if there is none. Reads and writes never block.
  ///
  /// - Parameter flags: IFF_* of <linux/if_tun.h> besides IFF_TAP and IFF_NO_PI.
  /// - Returns: a descriptor, or a negative errno.
  public static func open(_ name: String, flags: Int32) -> Int32 { cmnl_tap_open(name, flags) }

  /// Current name of the interface that a descriptor is attached to; nil if it is not from /dev/net/tun, or not attached: never, or
  /// no more because the interface was deleted.
  public static func interfaceName(of fd: Int32) -> String? {
    var name = [CChar](repeating: 0, count: Int(IFNAMSIZ))
    guard cmnl_tun_name(fd, &name) == 0 else { return nil }
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Whether the interface stays when its last descriptor is closed.
  public static func isPersistent(_ fd: Int32) -> Bool { cmnl_tun_is_persistent(fd) != 0 }

  /// Turns the interface's carrier on or off, whatever its namespace. No effect on kernels before 5.0.
  public static func setCarrier(_ fd: Int32, isOn: Bool) {
    _ = cmnl_tun_set_carrier(fd, isOn ? 1 : 0)
  }

  /// State of an interface, whatever its namespace.
  public enum State: Sendable {
    case up
    /// Administratively down.
    case down
    /// Deleted, by itself or with its namespace: the descriptor is good for nothing any more.
    case gone
  }

  /// States of the interfaces behind descriptors, with one system call: poll(2) reports one that is up writable, and one that is gone
  /// as an error.
  public static func states(of descriptors: [Int32]) -> [State] {
    var requests = descriptors.map { pollfd(fd: $0, events: Int16(POLLOUT), revents: 0) }
    while poll(&requests, nfds_t(requests.count), 0) < 0 && errno == EINTR {}
    return requests.map { request in
      let events = Int32(request.revents)
      if events & (POLLERR | POLLNVAL) != 0 { return .gone }
      return events & POLLOUT != 0 ? .up : .down
    }
  }

  public static func state(of descriptor: Int32) -> State { states(of: [descriptor])[0] }
}
