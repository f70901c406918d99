// StationAddresses: the IP addresses that local stations have claimed in ARP and ND, one for each, for the controller.

import Encap
import MACTable

struct StationAddresses {
  private struct Claim {
    var address: IPAddress
    var seenSeconds: UInt32
  }

  /// A station that claims a second address keeps the first until it has been silent about it for so long.
  static let holdSeconds: UInt32 = 60
  /// Stations at most; a guest can make them up.
  static let limit = 65_536

  private var claims: [MACKey: Claim] = [:]
  /// Goes up with every change.
  private(set) var changeCount: UInt64 = 0

  subscript(_ key: MACKey) -> IPAddress? { claims[key]?.address }

  /// A station has claimed an address. IPv4 stands above IPv6: the controller has room for one.
  mutating func note(_ address: IPAddress, of key: MACKey, nowSeconds: UInt32) {
    guard let old = claims[key] else {
      guard claims.count < Self.limit else { return }
      claims[key] = Claim(address: address, seenSeconds: nowSeconds)
      changeCount += 1
      return
    }
    let isSame = old.address == address
    let isBetter = address.isIPv4 && !old.address.isIPv4
    let isLater = address.isIPv4 == old.address.isIPv4 && nowSeconds &- old.seenSeconds >= Self.holdSeconds
    guard isSame || isBetter || isLater else { return }
    claims[key] = Claim(address: address, seenSeconds: nowSeconds)
    if !isSame { changeCount += 1 }
  }

  /// Forgets all stations but these.
  mutating func keep(_ keys: Set<MACKey>) {
    claims = claims.filter { keys.contains($0.key) }
  }

  var count: Int { claims.count }
}
