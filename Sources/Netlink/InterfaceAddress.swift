// InterfaceAddress: an address the kernel has on an interface. A VTEP address must be one of them.

import Encap

/// An address configured on an interface.
public struct InterfaceAddress: Equatable, Sendable {
  public var interfaceIndex: Int32
  public var address: IPAddress
  /// 0...32 or 0...128.
  public var prefixLength: Int
  /// IPv6: another host has it (duplicate address detection failed, RFC 4862 section 5.4), and the kernel does not use it.
  public var isDuplicate: Bool
  /// Somebody has configured it; false: it has a lifetime, as those of router advertisements have.
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
