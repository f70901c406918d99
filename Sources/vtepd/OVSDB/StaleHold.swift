// StaleHold: a database that was wiped is not believed at once. A controller that ends may clean up behind itself, and a database
// may be made anew: what runs goes on meanwhile, and what comes into the database is added to it.

import Encap
import VTEP

struct StaleHold: Sendable {
  /// What ran when the database was found empty.
  let layer: ControllerLayer
  /// On the caller's clock.
  let endSeconds: Double

  /// An edit that takes nothing away that the database no longer has.
  ///
  /// - Parameters:
  ///   - wanted: what the database wants now.
  ///   - isWipe: the edit is the one that empties the database.
  func soften(_ edit: ControllerEdit, wanted: ControllerLayer, isWipe: Bool) -> ControllerEdit {
    var softened = edit
    var merged = wanted
    for (vni, settings) in layer.switches where merged.switches[vni] == nil { merged.switches[vni] = settings }
    // What is in the database again counts there.
    for (binding, vni) in layer.bindings where merged.bindings[binding] == nil && wanted.switches[vni] == nil {
      merged.bindings[binding] = vni
    }
    softened.layer = merged
    softened.complete = []
    if isWipe { softened.addresses.removeAll { $0.destination == nil } }
    return softened
  }
}
