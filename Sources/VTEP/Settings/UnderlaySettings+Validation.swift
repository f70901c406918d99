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
    if devices.isEmpty { report(["device"], "at least one device is required") }
    for (index, device) in devices.enumerated() {
      if let reason = reasonAgainstInterfaceName(device) { report(["device", device], "device \(reason)") }
      if devices[..<index].contains(device) { report(["device", device], "device \(device) is given twice") }
    }
    if devices.count > DesiredState.maximumUplinks {
      report(
        ["device", devices[DesiredState.maximumUplinks]], "at most \(DesiredState.maximumUplinks) underlay devices, not \(devices.count)")
    }
    if udpPort == 0 { report(["udp-port"], "udp-port 0 is no port") }
    if ttl == .fixed(0) { report(["ttl"], "ttl 0 never leaves the host") }
    if multicastTTL == 0 { report(["multicast-ttl"], "multicast-ttl 0 never leaves the host") }
    if case .fixed(let value) = dscp, value > 63 { report(["dscp"], "dscp \(value) has more than six bits") }
    problems += priorities.problems()
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
