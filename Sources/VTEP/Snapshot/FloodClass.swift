// FloodClass: the classes of flooded frames that storm control distinguishes.

import Encap

/// Why a frame is flooded.
enum FloodClass: Int, CaseIterable {
  case broadcast, unknownUnicast, unknownMulticast

  /// The size of a counter array.
  static let count = 3

  /// - Parameter destination: not in the MAC table.
  @inline(always)
  init(unknown destination: MACAddress) {
    self = destination == .broadcast ? .broadcast : destination.isMulticast ? .unknownMulticast : .unknownUnicast
  }

  /// For a frame over the limit of its port.
  var portReason: DropReason {
    switch self {
    case .broadcast: .stormBroadcast
    case .unknownUnicast: .stormUnknownUnicast
    case .unknownMulticast: .stormUnknownMulticast
    }
  }

  /// For a frame over the limit of its VNI.
  var vniReason: DropReason {
    switch self {
    case .broadcast: .vniStormBroadcast
    case .unknownUnicast: .vniStormUnknownUnicast
    case .unknownMulticast: .vniStormUnknownMulticast
    }
  }
}
