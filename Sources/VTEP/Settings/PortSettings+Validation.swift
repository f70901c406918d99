// PortSettings+Validation: validates one port's settings.

import Encap

extension PortSettings {
  func problems(in state: DesiredState, key: String) -> [DesiredState.Problem] {
    var problems: [DesiredState.Problem] = []
    func report(_ path: [String], _ message: String) {
      problems.append(DesiredState.Problem(.port(key), path, message))
    }
    if name != key { report(["name"], "settings of port \(name) stand under port \(key)") }
    if !(1...63).contains(name.utf8.count) || !name.utf8.allSatisfy(isNameCharacter) {
      report(["name"], "name '\(name)' is not 1 to 63 letters, digits, '.', '_' or '-'")
    }
    for problem in kind.driver.problems(attachment) { report([problem.key.rawValue], problem.message) }
    problems += options.problems(in: state, .port(key))
    if let profile, state.profiles[profile] == nil { report(["profile"], "there is no profile '\(profile)'") }
    var seen: Set<MACAddress> = []
    for mac in macs {
      if let reason = mac.reasonAgainstStation { report(["macs", "\(mac)"], "mac \(mac) is \(reason)") }
      if !seen.insert(mac).inserted { report(["macs", "\(mac)"], "mac \(mac) is given twice") }
    }
    for (vlan, macs) in vlanMACs.sorted(by: { $0.key < $1.key }) {
      let path = ["vlan-macs", "\(vlan)"]
      if self.vlans[vlan] == nil, !state.hasController { report(path, "vlan-macs: VLAN \(vlan) is not among the port's vlans") }
      if Set(macs).count < macs.count { report(path, "vlan-macs: an address of VLAN \(vlan) is given twice") }
      for mac in macs {
        if let reason = mac.reasonAgainstStation { report(path, "mac \(mac) is \(reason)") }
      }
    }
    if vni == nil, !macs.isEmpty, !state.hasController {
      report(["macs"], "macs need a vni: they belong to the binding of untagged frames")
    }
    return problems + mtuProblems() + policyProblems()
  }
}

extension PortSettings {
  /// The MTU may come from the profile.
  private func mtuProblems() -> [DesiredState.Problem] {
    guard let mtu = self.mtu, PortOptions.mtuRange.contains(mtu), let limit = kind.driver.largestMTU(attachment), mtu > limit.byteCount
    else { return [] }
    let place = "a \(kind.rawValue) port with role: \(attachment.role.rawValue) has at most \(limit.byteCount)"
    return [DesiredState.Problem(.port(name), ["mtu"], "mtu \(mtu): a frame must fit a buffer of the ring, so \(place); \(limit.remedy)")]
  }

  /// Contradictions that appear once the profile is applied.
  func policyProblems() -> [DesiredState.Problem] {
    guard policy.antiSpoofing else { return [] }
    func problem(_ message: String) -> DesiredState.Problem {
      DesiredState.Problem(.port(name), ["anti-spoofing"], message)
    }
    if bindings.isEmpty { return macs.isEmpty ? [problem("anti-spoofing needs macs: no source address would be accepted")] : [] }
    return bindings.filter { macs(vlan: $0.vlan).isEmpty }.map { vlan, _ in
      vlan == 0
        ? problem("anti-spoofing needs macs: no source address would be accepted")
        : problem("anti-spoofing needs vlan-macs for VLAN \(vlan): no source address would be accepted in it")
    }
  }
}

private func isNameCharacter(_ character: UInt8) -> Bool {
  switch character {
  case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
  case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"): true
  default: false
  }
}
