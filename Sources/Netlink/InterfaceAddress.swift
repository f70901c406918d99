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

  public init(interfaceIndex: Int32, address: IPAddress, prefixLength: Int, isDuplicate: Bool = false) {
    self.interfaceIndex = interfaceIndex
    self.address = address
    self.prefixLength = prefixLength
    self.isDuplicate = isDuplicate
  }
}
