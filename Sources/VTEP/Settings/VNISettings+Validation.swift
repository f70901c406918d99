// VNISettings+Validation: validates one VNI's settings.

import Encap

extension VNISettings {
  func problems(in state: DesiredState, key: VNI) -> [DesiredState.Problem] {
    var problems: [DesiredState.Problem] = []
    func report(_ path: [String], _ message: String) {
      problems.append(DesiredState.Problem(.vni(key), path, message))
    }
    if vni != key { report(["vni"], "settings of VNI \(vni) stand under VNI \(key)") }
    switch flood {
    case .multicast(let group):
      if !group.isMulticast {
        report(["group"], "group \(group) is not a multicast address")
      } else if let reason = state.underlay.reasonAgainstFamily(of: group) {
        report(["group"], "group \(group) is \(reason)")
      }
      if acceptFrom == .peers, macs.isEmpty {
        report(["accept-from"], "accept-from: peers with flood: multicast and no static macs accepts no VTEP")
      }
    case .replicate(let peers):
      var seen: Set<IPAddress> = []
      for peer in peers {
        if let reason = peer.reasonAgainstVTEP ?? state.underlay.reasonAgainstDestination(peer) {
          report(["peers", "\(peer)"], "peer \(peer) is \(reason)")
        }
        if !seen.insert(peer).inserted { report(["peers", "\(peer)"], "peer \(peer) is given twice") }
      }
    case .none: break
    }
    if ageingSeconds > Self.maximumAgeingSeconds {
      report(["ageing-seconds"], "ageing-seconds must be at most \(Self.maximumAgeingSeconds), not \(ageingSeconds)")
    }
    for (key, limit) in storm.named where limit > StormLimits.maximum {
      report(["storm-control", key], "storm-control \(key) must be at most \(StormLimits.maximum), not \(limit)")
    }
    for (mac, vtep) in macs.sorted(by: { $0.key < $1.key }) {
      if let reason = mac.reasonAgainstStation { report(["macs", "\(mac)"], "mac \(mac) is \(reason)") }
      if let reason = vtep.reasonAgainstVTEP ?? state.underlay.reasonAgainstDestination(vtep) {
        report(["macs", "\(mac)", "vtep"], "vtep \(vtep) of mac \(mac) is \(reason)")
      }
    }
    for (address, mac) in neighbors.sorted(by: { $0.key < $1.key }) {
      if macs[mac] == nil, let reason = mac.reasonAgainstStation { report(["macs", "\(mac)"], "mac \(mac) is \(reason)") }
      if let reason = address.reasonAgainstHost { report(["macs", "\(mac)", "ip"], "ip \(address) of mac \(mac) is \(reason)") }
    }
    return problems
  }

  /// About eleven days; use 0 for "never".
  public static let maximumAgeingSeconds: UInt32 = 1_000_000
}
