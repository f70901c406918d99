// StationAddresses: facts about local stations that only the controller needs: the IP address that each has claimed in ARP or ND, and
// stations seen here that the controller places elsewhere.

import Encap
import MACTable

struct StationAddresses {
  private struct Claim {
    var address: IPAddress
    var seenSeconds: UInt32
  }

  /// A station that claims a second address keeps the first until it has not claimed that for this long.
  static let holdSeconds: UInt32 = 60
  /// Most stations, since a guest can invent them.
  static let limit = 65_536

  /// A station that the table has elsewhere, and where it was seen here.
  private struct Contest {
    var place: MACLocation
    var seenSeconds: UInt32
  }

  /// A contested station that is silent for this long is no longer here.
  static let contestSeconds: UInt32 = 30

  private var claims: [MACKey: Claim] = [:]
  private var contests: [MACKey: Contest] = [:]
  /// Incremented with every change.
  private(set) var changeCount: UInt64 = 0

  subscript(_ key: MACKey) -> IPAddress? { claims[key]?.address }

  /// Records that a station claims an address. IPv4 is preferred to IPv6, since the controller stores only one.
  mutating func record(_ address: IPAddress, of key: MACKey, nowSeconds: UInt32) {
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

  /// Records that a station was seen here that the controller places elsewhere.
  mutating func contest(_ key: MACKey, at place: MACLocation, nowSeconds: UInt32) {
    let old = contests[key]
    guard old != nil || contests.count < Self.limit else { return }
    contests[key] = Contest(place: place, seenSeconds: nowSeconds)
    if old?.place != place { changeCount += 1 }
  }

  /// Forgets contests that have ended, because the station is silent or the table no longer has it elsewhere.
  mutating func endContests(nowSeconds: UInt32, where isOver: (MACKey, MACLocation) -> Bool) {
    let left = contests.filter { key, contest in
      Int32(truncatingIfNeeded: nowSeconds &- contest.seenSeconds) < Int32(Self.contestSeconds) && !isOver(key, contest.place)
    }
    guard left.count < contests.count else { return }
    contests = left
    changeCount += 1
  }

  /// Stations that were seen here and that the controller places elsewhere.
  var contested: [MACKey: MACLocation] { contests.mapValues(\.place) }

  /// Forgets all stations but these.
  mutating func keep(_ keys: Set<MACKey>) {
    claims = claims.filter { keys.contains($0.key) }
  }

  var count: Int { claims.count }
}
