// UnderlaySettings+Validation: validates the underlay's settings.

import Encap

extension UnderlaySettings {
  func problems() -> [DesiredState.Problem] {
    var problems: [DesiredState.Problem] = []
    func report(_ path: [String], _ message: String) {
      problems.append(DesiredState.Problem(.underlay, path, message))
    }
    if addresses.isEmpty { report(["addresses"], "at least one VTEP address is required") }
    for (index, address) in addresses.enumerated() {
      let path = ["addresses", "\(address)"]
      if let reason = address.reasonAgainstVTEP {
        report(path, "\(address) cannot be a VTEP's address: it is \(reason)")
      }
      if addresses[..<index].contains(where: { $0.isIPv4 == address.isIPv4 }) {
        report(path, "\(address) is a second \(address.familyName) address; one of each family is allowed")
      }
    }
    problems += deviceProblems()
    if udpPort == 0 { report(["udp-port"], "udp-port 0 is no port") }
    if ttl == .fixed(0) { report(["ttl"], "ttl 0 never leaves the host") }
    if multicastTTL == 0 { report(["multicast-ttl"], "multicast-ttl 0 never leaves the host") }
    if case .fixed(let value) = dscp, value > 63 { report(["dscp"], "dscp \(value) has more than six bits") }
    problems += priorities.problems()
    for address in bfd?.vteps?.sorted() ?? [] {
      if let reason = address.reasonAgainstVTEP ?? reasonAgainstDestination(address) {
        report(["bfd", "\(address)"], "bfd: vteps: \(address) cannot be another VTEP's address: it is \(reason)")
      }
    }
    return problems
  }

  private func deviceProblems() -> [DesiredState.Problem] {
    var problems: [DesiredState.Problem] = []
    func report(_ path: [String], _ message: String) {
      problems.append(DesiredState.Problem(.underlay, path, message))
    }
    let key = ownsNICs ? "tap" : "device"
    if devices.isEmpty { report([key], "at least one \(key) is required") }
    for (index, device) in devices.enumerated() {
      if let reason = reasonAgainstInterfaceName(device) { report([key, device], "\(key) \(reason)") }
      if devices[..<index].contains(device) { report([key, device], "\(key) \(device) is given twice") }
    }
    let limit = ownsNICs ? DesiredState.maximumEthernetPorts : DesiredState.maximumUplinks
    if devices.count > limit {
      report([key, devices[limit]], "at most \(limit) underlay devices\(ownsNICs ? " of DPDK" : ""), not \(devices.count)")
    }
    guard ownsNICs else { return problems }
    for (index, nic) in nics.enumerated() {
      if let reason = DPDKDevice.reasonAgainst(uplink: nic) { report(["dpdk", nic], "dpdk \(reason)") }
      let name = DPDKDevice.name(nic)
      if nics[..<index].contains(where: { DPDKDevice.name($0) == name }) { report(["dpdk", nic], "dpdk \(name) is given twice") }
    }
    if nics.count != devices.count, !devices.isEmpty {
      report(["tap", "count"], "each NIC needs a tap of its own: dpdk has \(nics.count) and tap \(devices.count) names")
    }
    return problems
  }

  /// Why the daemon cannot send packets to an address; nil: it can.
  func reasonAgainstDestination(_ address: IPAddress) -> String? {
    if addresses.contains(address) { return "this host's own address" }
    return reasonAgainstFamily(of: address)
  }

  /// Why an address's family cannot be used; nil: it can. An underlay without any address is reported separately.
  func reasonAgainstFamily(of address: IPAddress) -> String? {
    guard !addresses.isEmpty, !addresses.contains(where: { $0.isIPv4 == address.isIPv4 }) else { return nil }
    return "\(address.familyName), and the underlay has no \(address.familyName) address"
  }
}
