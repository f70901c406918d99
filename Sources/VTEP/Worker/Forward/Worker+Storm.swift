// Worker+Storm: storm control of a VNI, for frames that are about to be flooded, at the head of steps E6 and D6. Out of line: a domain without
// limits pays one test of its entry, and only for frames that are flooded.

import CDPDK
import Encap

extension Worker {
  /// Why a frame that is about to be flooded in a domain with limits may not be; nil: it may.
  @inline(never)
  func vniStormReason(_ mbuf: Mbuf, domain: UInt16, storm: UInt16) -> DropReason? {
    let flood = FloodClass(unknown: EthernetHeader(unchecked: mbuf.bytes, at: 0).destination)
    let limits = snapshot.pointee.storms + Int(storm)
    let state = shared.pointee.stormStates + Int(domain)
    cdpdk_spin_lock(&state.pointee.lock)
    state.pointee.latestCycles = max(state.pointee.latestCycles, nowCycles)
    let isAdmitted = limits.pointee.admits(flood, &state.pointee.meters, now: state.pointee.latestCycles)
    cdpdk_spin_unlock(&state.pointee.lock)
    if isAdmitted { return nil }
    counters.stormDrops(domain: domain, flood).pointee.add(1)
    return flood.vniReason
  }
}
