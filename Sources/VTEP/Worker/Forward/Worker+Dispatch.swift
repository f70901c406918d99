// Worker+Dispatch: what both walks do with a burst whose frames have been parsed, bound to a domain and checked: learn, look up, and act
// on the verdicts. Steps E3 to E6 and D4 to D6. Bursts of everyday frames take the short cuts of Worker+Plain.

import CDPDK
import Encap
import MACTable

extension Worker {
  @inline(never)
  mutating func forwardFromPort(_ count: Int, portIndex: PortIndex) {
    forward(count, portIndex: portIndex, isFromOverlay: false)
  }

  /// Frames from tunnels that may have offload requests.
  @inline(never)
  mutating func forwardNotedFromOverlay(_ count: Int, portIndex: PortIndex) {
    forward(count, portIndex: portIndex, isFromOverlay: true)
  }

  /// - Parameters:
  ///   - count: frames of the burst; nil where an earlier step has consumed one.
  ///   - isFromOverlay: constant at each call, so that each walk has a loop without tests that are of the other.
  @inline(always)
  private mutating func forward(_ count: Int, portIndex: PortIndex, isFromOverlay: Bool) {
    let port = snapshot.pointee.ports + Int(portIndex)
    if sightings.isCrowded { findPlaces(count) }
    if unsightedCount > 0 { learnSources(portIndex: portIndex, isFromOverlay: isFromOverlay) }
    let table = self.table
    for index in 0..<count {
      guard let raw = frames[index] else { continue }
      let staged = stage + index
      let verdict = lookUp(staged, in: table, from: port, isFromOverlay: isFromOverlay)
      act(on: verdict, Mbuf(raw), staged, ingress: portIndex)
    }
  }

  /// Does what a verdict says. Consumes the frame.
  @inline(always)
  mutating func act(on verdict: Verdict, _ mbuf: Mbuf, _ staged: UnsafePointer<StagedFrame>, ingress: PortIndex) {
    switch verdict {
    case .vtep(let vtep):
      sendToVTEP(mbuf, vtep: vtep, domain: staged.pointee.destinationKey.domain, ingress: ingress)
    case .local(let place):
      let target = LocalTarget(port: place.port, vlan: place.vlan)
      guard snapshot.pointee.ports[Int(place.port)].isUp else { return undeliverable(mbuf, to: target, staged, ingress: ingress) }
      deliver(mbuf, to: target, ingress: ingress)
    case .flood(let scope):
      let domain = staged.pointee.destinationKey.domain
      if snapshot.pointee.domains[Int(domain)].router != DomainEntry.noRouter,
        takeForRouter(mbuf, domain: domain, from: staged.pointee.seenAt, ingress: ingress)
      {
        return
      }
      flood(
        mbuf, scope, domain: staged.pointee.destinationKey.domain, from: staged.pointee.seenAt, ingress: ingress,
        isLimited: scope.isLimited)
    case .awaited:
      hold(mbuf, for: staged.pointee.destinationKey, seenAt: staged.pointee.seenAt)
    case .drop(let reason):
      drop(mbuf, port: ingress, reason, DropContext(staged))
    }
  }
}
