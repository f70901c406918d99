// DesiredState+Validation: everything that is wrong with a desired state, found before any of it reaches the data plane.
// One check for the configuration file, which maps each problem to a line, and for changes at run time.

import Encap
import MulticastLearn

extension DesiredState {
  /// A contradiction or an impossible value.
  public struct Problem: Equatable, Sendable, CustomStringConvertible {
    /// What the problem is about.
    public enum Subject: Hashable, Sendable {
      case underlay
      case vni(VNI)
      case profile(String)
      case port(String)
    }

    public var subject: Subject
    /// Configuration keys from the subject downwards; elements of lists and maps by their text, e.g. `["peers", "192.0.2.2"]`.
    public var path: [String]
    /// One sentence that names the value, without subject and final stop.
    public var message: String

    public init(_ subject: Subject, _ path: [String], _ message: String) {
      self.subject = subject
      self.path = path
      self.message = message
    }

    /// Subject and message, for those who have no line number to show.
    public var description: String {
      switch subject {
      case .underlay: "underlay: \(message)"
      case .vni(let vni): "vni \(vni): \(message)"
      case .profile(let name): "profile \(name): \(message)"
      case .port(let name): "port \(name): \(message)"
      }
    }
  }

  /// DPDK's RTE_MAX_ETHPORTS is 32 in Debian; one is kept for the daemon's own use.
  public static let maximumEthernetPorts = 31

  /// All problems, in a stable order: underlay, VNIs, profiles, ports. Empty: the state can be applied.
  ///
  /// - Parameter old: a state without problems that this one was made from. What is alike in both is not looked at again: with
  ///   thousands of VNIs and bindings a change must not cost a check of all of them.
  public func problems(since old: DesiredState? = nil) -> [Problem] {
    let changedVNIs = old?.changedVNIs(in: self) ?? Set(vnis.keys)
    // What names VNIs and profiles is wrong when they go.
    let losesNone = old.map { old in
      changedVNIs.allSatisfy { vnis[$0] != nil || old.vnis[$0] == nil } && old.profiles == profiles && old.hasController == hasController
    }
    return underlay.problems()
      + changedVNIs.sorted().flatMap { vni in vnis[vni]?.problems(in: self, key: vni) ?? [] }
      + profiles.sorted { $0.key < $1.key }.flatMap { $1.problems(in: self, .profile($0)) }
      + portProblems(since: losesNone == true ? old : nil)
  }

  private func portProblems(since old: DesiredState?) -> [Problem] {
    var problems: [Problem] = []
    var owners: [String: String] = [:]
    for device in underlay.devices { owners[device] = "the underlay" }
    var places: [Place: String] = [:]
    if ports.values.contains(where: { !$0.macs.isEmpty || !$0.vlanMACs.isEmpty }) {
      for (vni, settings) in vnis where !settings.macs.isEmpty {
        for mac in settings.macs.keys { places[Place(vni: vni, mac: mac)] = "a remote VTEP" }
      }
    }
    let names = ports.keys.sorted()
    for (index, name) in names.enumerated() {
      guard let port = ports[name] else { continue }
      if old == nil || old?.ports[name] != port { problems += port.problems(in: self, key: name) }
      let claim = port.kind.driver.claim(port.attachment)
      if let owner = owners.updateValue("port \(name)", forKey: claim.value) {
        problems.append(Problem(.port(name), [claim.key.rawValue], "\(claim.key.rawValue) \(claim.value) belongs to \(owner) already"))
      }
      if let tap = port.puntTapName, let owner = owners.updateValue("port \(name)", forKey: tap) {
        problems.append(Problem(.port(name), ["l2-protocols"], "its punt tap \(tap) would be the interface of \(owner); rename the port"))
      }
      if index + underlay.devices.count == Self.maximumEthernetPorts {
        let total = names.count + underlay.devices.count
        problems.append(
          Problem(.port(name), ["name"], "at most \(Self.maximumEthernetPorts) ports and underlay devices together, not \(total)"))
      }
      for (vlan, macs) in port.macsByVLAN.sorted(by: { $0.vlan < $1.vlan }) {
        guard let vni = port.vni(vlan: vlan) else { continue }
        for mac in Set(macs).sorted() {
          guard let owner = places.updateValue("port \(name)", forKey: Place(vni: vni, mac: mac)) else { continue }
          problems.append(
            Problem(
              .port(name), vlan == 0 ? ["macs", "\(mac)"] : ["vlan-macs", "\(vlan)"],
              "mac \(mac) of VNI \(vni) lives behind \(owner) already"))
        }
      }
    }
    return problems
  }

  /// Where a static MAC address is unique.
  private struct Place: Hashable {
    var vni: VNI
    var mac: MACAddress
  }
}

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
    if devices.count > DesiredState.maximumEthernetPorts {
      report(
        ["device", devices[DesiredState.maximumEthernetPorts]],
        "at most \(DesiredState.maximumEthernetPorts) ports and underlay devices together, not \(devices.count)")
    }
    if udpPort == 0 { report(["udp-port"], "udp-port 0 is no port") }
    if ttl == .fixed(0) { report(["ttl"], "ttl 0 never leaves the host") }
    if multicastTTL == 0 { report(["multicast-ttl"], "multicast-ttl 0 never leaves the host") }
    if case .fixed(let value) = dscp, value > 63 { report(["dscp"], "dscp \(value) has more than six bits") }
    problems += priorities.problems()
    return problems
  }

  /// Why packets of ours cannot go to an address; nil: they can.
  func reasonAgainstDestination(_ address: IPAddress) -> String? {
    if addresses.contains(address) { return "this host's own address" }
    return reasonAgainstFamily(of: address)
  }

  /// Why an address's family cannot be used; nil: it can. An underlay without any address is a problem of its own.
  func reasonAgainstFamily(of address: IPAddress) -> String? {
    guard !addresses.isEmpty, !addresses.contains(where: { $0.isIPv4 == address.isIPv4 }) else { return nil }
    return "\(address.familyName), and the underlay has no \(address.familyName) address"
  }
}

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
        report(["accept-from"], "accept-from peers with flood multicast and no static macs lets nobody in")
      }
    case .replicate(let peers):
      var seen: Set<IPAddress> = []
      for peer in peers {
        let path = ["peers", "\(peer)"]
        if let reason = peer.reasonAgainstVTEP ?? state.underlay.reasonAgainstDestination(peer) {
          report(path, "peer \(peer) is \(reason)")
        }
        if !seen.insert(peer).inserted { report(path, "peer \(peer) is given twice") }
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
    return problems
  }

  /// About eleven days; 0 is the way to say "never".
  public static let maximumAgeingSeconds: UInt32 = 1_000_000
}

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
      if vlans[vlan] == nil, !state.hasController { report(path, "vlan-macs: VLAN \(vlan) is not among the port's vlans") }
      if Set(macs).count < macs.count { report(path, "vlan-macs: an address of VLAN \(vlan) is given twice") }
      for mac in macs {
        if let reason = mac.reasonAgainstStation { report(path, "mac \(mac) is \(reason)") }
      }
    }
    if vni == nil, !macs.isEmpty, !state.hasController {
      report(["macs"], "macs need a vni: they belong to the binding of untagged frames")
    }
    return problems + policyProblems()
  }
}

extension IPAddress {
  /// `IPv4` or `IPv6`.
  var familyName: String { isIPv4 ? "IPv4" : "IPv6" }

  /// Why no VTEP can have the address; nil: one can.
  var reasonAgainstVTEP: String? {
    if isUnspecified { return "the unspecified address" }
    if isMulticast { return "a multicast address" }
    if isLimitedBroadcast { return "the broadcast address" }
    if isLoopback { return "a loopback address" }
    // Without an interface a link-local IPv6 address says nothing (RFC 4007 §6); IPv4's are used as any other.
    if isLinkLocal, !isIPv4 { return "a link-local address" }
    return nil
  }
}

extension MACAddress {
  /// Why no station can have the address; nil: one can.
  public var reasonAgainstStation: String? {
    if isMulticast { return "a multicast address" }
    if isZero { return "the zero address" }
    return nil
  }
}

/// Why the kernel would not take an interface name; nil: it would.
func reasonAgainstInterfaceName(_ name: String) -> String? {
  guard (1...15).contains(name.utf8.count) else { return "'\(name)' is not 1 to 15 characters long" }
  guard name != ".", name != "..", name.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") })
  else {
    return "'\(name)' is no interface name: no blanks, '/' or ':'"
  }
  return nil
}

private func isNameCharacter(_ character: UInt8) -> Bool {
  switch character {
  case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
  case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"): true
  default: false
  }
}
