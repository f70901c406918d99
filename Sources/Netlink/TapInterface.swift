// TapInterface: a tap for a few frames, read and written through its descriptor. For ports there is TapQueues.

import CMNL
import Glibc

/// A tap interface that exists as long as this value, or a copy of its descriptor.
public final class TapInterface: Sendable {
  public let name: String
  /// For poll(2); reads and writes never block.
  public let descriptor: Int32

  /// Creates the interface, down, in the thread's network namespace.
  ///
  /// - Parameter name: 1 to 15 bytes; EBUSY if an interface of this name exists.
  public init(name: String) throws(NetlinkError) {
    let descriptor = TapDevice.open(name, flags: IFF_TUN_EXCL)
    guard descriptor >= 0 else { throw NetlinkError("create tap", subject: name, code: -descriptor) }
    self.name = name
    self.descriptor = descriptor
    turnIPv6Off()
  }

  /// Otherwise the kernel itself would send to neighbours on it. It forgets that when the MTU comes back from below 1280.
  public func turnIPv6Off() { _ = IPv6Switch.set(name, isOn: false) }

  /// Goes on with a tap that an earlier process has left.
  ///
  /// - Parameter descriptor: owned by this value from now on.
  public init(name: String, resuming descriptor: Int32) {
    self.name = name
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  public func setCarrier(isOn: Bool) { TapDevice.setCarrier(descriptor, isOn: isOn) }

  /// Passes a frame to the kernel as if the interface had received it.
  ///
  /// - Returns: false if the interface is down or has no room.
  public func write(_ frame: UnsafeRawPointer, byteCount: Int) -> Bool {
    Glibc.write(descriptor, frame, byteCount) == byteCount
  }

  /// Takes a frame that the kernel sends on the interface; truncated to `capacity`.
  ///
  /// - Returns: its length in bytes; 0 if there is none.
  public func read(into memory: UnsafeMutableRawPointer, capacity: Int) -> Int {
    max(Glibc.read(descriptor, memory, capacity), 0)
  }
}
