// Worker+ACL: asks access control lists about frames: those of a port's binding at the end of step E2 (ingress), and before a frame is put
// into a port's batch, in steps E6 and D6 (egress); routers ask for their interfaces'. Out of line: ports without lists pay nothing.

import Encap
import MACTable

extension Worker {
  /// Whether a list lets a frame pass. Counts for the entry that decides. For whoever binds lists to something.
  ///
  /// - Parameters:
  ///   - acl: absent: there is none.
  ///   - mbuf: with at least an Ethernet header in its first buffer.
  @inline(never)
  mutating func permits(_ acl: ACLIndex, _ direction: ACLEntry.Direction, _ mbuf: Mbuf) -> Bool {
    guard acl != .absent else { return true }
    let programs = snapshot.pointee.acls + Int(acl)
    let verdict: ACLVerdict
    switch direction {
    case .ingress:
      guard !programs.pointee.ingress.isEmpty else { return true }
      flowKey.read(mbuf.bytes)
      verdict = programs.pointee.ingress.verdict(on: flowKey)
    case .egress:
      guard !programs.pointee.egress.isEmpty else { return true }
      flowKey.read(mbuf.bytes)
      verdict = programs.pointee.egress.verdict(on: flowKey)
    }
    let counters = counters.aclEntries + verdict.slot
    counters.pointee.packets.add(1)
    counters.pointee.bytes.add(UInt64(truncatingIfNeeded: mbuf.byteCount))
    return !verdict.isDenied
  }

  /// The ingress lists of a port's bindings, for a burst of which each frame has been bound.
  @inline(never)
  mutating func filterBurst(_ count: Int, _ policy: UnsafePointer<PolicyEntry>, portIndex: PortIndex) {
    for index in 0..<count {
      guard let raw = frames[index] else { continue }
      let staged = stage[index]
      if permits(policy.pointee.acl(vlan: staged.seenAt.vlan), .ingress, Mbuf(raw)) { continue }
      drop(Mbuf(raw), port: portIndex, .aclDeniedIngress, DropContext(domain: staged.sourceKey.domain))
      frames[index] = nil
    }
  }

  /// Whether the egress list of a binding lets a frame, still without the binding's tag, out. If not, it is dropped.
  @inline(never)
  mutating func mayLeave(_ mbuf: Mbuf, by target: LocalTarget) -> Bool {
    let policy = snapshot.pointee.policies + Int(target.port)
    if permits(policy.pointee.acl(vlan: target.vlan), .egress, mbuf) { return true }
    drop(mbuf, port: target.port, .aclDeniedEgress, dropContext(target))
    return false
  }
}

extension PolicyEntry {
  /// The list of a binding; absent: there is none.
  func acl(vlan: UInt16) -> ACLIndex {
    guard let vlanACLs else { return acl }
    return vlanACLs[Int(vlan)]
  }
}
