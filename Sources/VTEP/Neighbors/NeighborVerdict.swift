// NeighborVerdict: what becomes of a request for a neighbour that would be flooded. Step E6.

import Encap

/// The decision about a flooded frame.
enum NeighborVerdict: Equatable {
  /// It asks for nobody that another could answer for, or suppression is off.
  case notAsked
  /// Answered here, and not flooded.
  case answer(InnerNeighbor)
  /// Flooded.
  case pass(NeighborObstacle)
}

/// Why a request is not answered here.
enum NeighborObstacle: UInt8, Equatable {
  /// Nobody has said which MAC address has the address.
  case unknown
  /// Sources differ, or it was seen with two MAC addresses lately.
  case contested
  /// The address is a link-local one, and the owner has not told whether it is a router.
  case roleUnknown
  /// The owner asks itself.
  case ownAddress
  /// The MAC table does not have the owner: it may be gone.
  case silent
  /// Both are behind the same binding: the owner hears the request, too.
  case samePlace
  /// The owner's port is down.
  case portDown
  /// Both ports are isolated.
  case isolated

  /// For `trace`.
  var text: String {
    switch self {
    case .unknown: "unknown"
    case .contested: "contested: its sources differ, or it was seen with two MAC addresses lately"
    case .roleUnknown: "a link-local address whose station has not said whether it is a router"
    case .ownAddress: "the address is the sender's own"
    case .silent: "its MAC address is not in the MAC table"
    case .samePlace: "its station is behind the same port and VLAN"
    case .portDown: "its station's port is down"
    case .isolated: "its station's port and this one are isolated"
    }
  }
}
