// InterfaceAddress: an address on an interface. The VTEP's own address must be one of these.

import Encap

/// An address configured on an interface.
public struct InterfaceAddress: Equatable, Sendable {
  public var interfaceIndex: Int32
  public var address: IPAddress
  /// Prefix length in bits, 0...32 or 0...128.
  public var prefixLength: Int
  /// IPv6: another host has it (duplicate address detection failed, RFC 4862 section 5.4), so the kernel does not use it.
  public var isDuplicate: Bool
  /// Configured permanently; false: it has a lifetime, like addresses from router advertisements.
  public var isPermanent: Bool

  public init(
    interfaceIndex: Int32, address: IPAddress, prefixLength: Int, isDuplicate: Bool = false, isPermanent: Bool = true
  ) {
    self.interfaceIndex = interfaceIndex
    self.address = address
    self.prefixLength = prefixLength
    self.isDuplicate = isDuplicate
    self.isPermanent = isPermanent
  }
}
