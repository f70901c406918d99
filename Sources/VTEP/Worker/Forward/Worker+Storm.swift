// Worker+Storm: storm control of a VNI, for frames about to be flooded, at the start of steps E6 and D6. Out of line: a domain
// without limits pays for one test of its entry, and only for flooded frames.

import CDPDK
import Encap
import MACTable

extension Worker {
  /// Drop reason for a frame about to be flooded in a domain with limits; nil: it may pass.
  @inline(never)
  mutating func vniStormReason(_ mbuf: Mbuf, domain: DomainIndex, storm: UInt16) -> DropReason? {
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
