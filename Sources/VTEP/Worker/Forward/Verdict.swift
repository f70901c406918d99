// Verdict: what becomes of a frame. The look-up (steps E4 and D5) decides it, and one dispatch acts on it, for both walks.

import Encap
import MACTable

/// Where a frame goes, or why it goes nowhere.
enum Verdict: Equatable {
  /// To one local binding. The location is not a VTEP.
  case local(MACLocation)
  /// Into the tunnel to a VTEP or a group.
  case vtep(VTEPIndex)
  /// To several bindings and VTEPs.
  case flood(FloodScope)
  /// Its station's VTEP is about to get an index: held for a moment.
  case awaited
  case drop(DropReason)
}

/// Who gets copies of a flooded frame, besides the domain's local bindings.
enum FloodScope: Equatable {
  /// The domain's flood list. For an unknown destination.
  case domain
  /// A list of VTEPs. For a multicast address that a controller has placed.
  case list(VTEPIndex)
  /// Nobody (split horizon): the frame came from a tunnel, and never goes back into one.
  case localOnly(isKnown: Bool)

  /// Subject to storm control, which leaves known destinations alone.
  var isLimited: Bool {
    switch self {
    case .domain: true
    case .list: false
    case .localOnly(let isKnown): !isKnown
    }
  }
}
