// FloodKeys: the keys `flood`, `group` and `peers` of a VNI, which only make sense together. One rule for the
// configuration file and for `vni add`.

import Encap
import MulticastLearn

/// How a VNI is flooded, as the operator writes it.
struct FloodKeys {
  enum Mode: String, Sendable, CaseIterable { case multicast, replicate, none }

  var mode = Mode.multicast
  var group: IPAddress?
  /// Also true if the given value is not an address; that is reported separately.
  var isGroupGiven = false
  /// nil: not given.
  var peers: [IPAddress]?

  /// Contradictions, each with the key at fault.
  var problems: [(key: String, message: String)] {
    var problems: [(key: String, message: String)] = []
    if mode == .multicast, !isGroupGiven {
      problems.append(("flood", "flood multicast needs a group"))
    }
    if mode != .multicast, isGroupGiven {
      problems.append(("group", "a group needs flood multicast, not \(mode.rawValue)"))
    }
    if mode != .replicate, peers != nil {
      problems.append(("peers", "peers need flood replicate, not \(mode.rawValue)"))
    }
    return problems
  }

  /// nil: multicast without a group.
  var floodMode: FloodMode? {
    switch mode {
    case .multicast: group.map { .multicast(group: $0) }
    case .replicate: .replicate(peers: peers ?? [])
    case .none: FloodMode.none
    }
  }
}
