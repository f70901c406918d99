// PortOptions+Validation: validates the settings that ports and profiles have in common.

import Encap

extension PortOptions {
  /// Range of an interface's MTU in bytes: IPv4's minimum (RFC 791), and the most that the kernel gives an Ethernet interface.
  public static let mtuRange = 68...65_521

  func problems(in state: DesiredState, _ subject: DesiredState.Problem.Subject) -> [DesiredState.Problem] {
    var problems: [DesiredState.Problem] = []
    func report(_ path: [String], _ message: String) {
      problems.append(DesiredState.Problem(subject, path, message))
    }
    if let vni, state.vnis[vni] == nil { report(["vni"], "VNI \(vni) is not defined") }
    let wrong = (vlans.own ?? [:]).filter { !(1...4094).contains($0.key) || state.vnis.index(forKey: $0.value) == nil }
    for (vlan, vni) in wrong.sorted(by: { $0.key < $1.key }) {
      if !(1...4094).contains(vlan) { report(["vlans", "\(vlan)"], "VLAN \(vlan) is not from 1 to 4094") }
      if state.vnis[vni] == nil { report(["vlans", "\(vlan)", "vni"], "VNI \(vni) of VLAN \(vlan) is not defined") }
    }
    if let acl, state.acls[acl] == nil { report(["acl"], "there is no access control list '\(acl)'") }
    for (vlan, acl) in (vlanACLs.own ?? [:]).sorted(by: { $0.key < $1.key }) {
      if !(1...4094).contains(vlan) { report(["vlan-acls", "\(vlan)"], "VLAN \(vlan) is not from 1 to 4094") }
      if state.acls[acl] == nil { report(["vlan-acls", "\(vlan)"], "there is no access control list '\(acl)', of VLAN \(vlan)") }
    }
    if let mtu, !Self.mtuRange.contains(mtu) {
      report(["mtu"], "mtu must be from \(Self.mtuRange.lowerBound) to \(Self.mtuRange.upperBound), not \(mtu)")
    }
    return problems
  }
}
