// FloodError: this module's only error type: invalid flood lists, and groups that could not be joined.

import Encap
import Glibc

/// A problem with a VNI's flood setting or group membership.
public enum FloodError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The destination is this VTEP: the frame would come back.
  case ownAddress(IPAddress)
  case duplicatePeer(IPAddress)
  /// The peer is a group, broadcast or the unspecified address.
  case peerNotUnicast(IPAddress)
  case groupNotMulticast(IPAddress)
  /// An IPv6 group of scope 0 or 1, which never leaves the node (RFC 4291 §2.7).
  case groupNeverLeavesNode(IPAddress)
  /// `code` is errno.
  case joinFailed(group: IPAddress, interfaceIndex: Int32, code: Int32)

  public var description: String {
    switch self {
    case .ownAddress(let address):
      "peer \(address) is an address of this VTEP"
    case .duplicatePeer(let address):
      "peer \(address) is listed twice"
    case .peerNotUnicast(let address):
      "peer \(address) is not a unicast address"
    case .groupNotMulticast(let address):
      "group \(address) is not a multicast address"
    case .groupNeverLeavesNode(let address):
      "group \(address) has node-local scope: its packets never leave this host"
    case .joinFailed(let group, let interfaceIndex, let code):
      "group \(group): join on interface \(interfaceIndex): \(String(cString: strerror(code)))"
    }
  }
}
