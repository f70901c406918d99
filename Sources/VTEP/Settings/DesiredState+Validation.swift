// DesiredState+Validation: finds everything that is wrong with a desired state before any of it reaches the data plane. The
// configuration file, which maps each problem to a line, and run-time changes share this check.

import Encap
import MulticastLearn

extension DesiredState {
  /// A contradiction or an impossible value.
  public struct Problem: Equatable, Sendable, CustomStringConvertible {
    /// What the problem is about.
    public enum Subject: Hashable, Sendable {
      case underlay
      case vni(VNI)
      case acl(String)
      case profile(String)
      case port(String)
      case router(String)
    }

    public var subject: Subject
    /// Configuration keys below the subject; elements of lists and maps by their text, e.g. `["peers", "192.0.2.2"]`.
    public var path: [String]
    /// One sentence that names the value, without subject and final stop.
    public var message: String

    public init(_ subject: Subject, _ path: [String], _ message: String) {
      self.subject = subject
      self.path = path
      self.message = message
    }

    /// Subject and message, for callers without a line number.
    public var description: String {
      switch subject {
      case .underlay: "underlay: \(message)"
      case .vni(let vni): "vni \(vni): \(message)"
      case .acl(let name): "acl \(name): \(message)"
      case .profile(let name): "profile \(name): \(message)"
      case .port(let name): "port \(name): \(message)"
      case .router(let name): "router \(name): \(message)"
      }
    }
  }

  /// DPDK's RTE_MAX_ETHPORTS is 32 in Debian. With all but one in use, a port can still be replaced: the new device opens first.
  public static let maximumEthernetPorts = 31
  /// When all are replaced at once, the index space has to have room for the old ones, too. The same for uplinks.
  public static let maximumPorts = 1024
  public static let maximumUplinks = 32

  /// All problems, in a stable order: underlay, VNIs, access control lists, profiles, ports, routers. Empty: the state can be applied.
  ///
  /// - Parameter old: a state without problems that this one was made from. What is alike in both is not looked at again: with
  ///   thousands of VNIs and bindings a change must not cost a check of all of them.
  public func problems(since old: DesiredState? = nil) -> [Problem] {
    problems(since: old, changedVNIs: old?.changedVNIs(in: self) ?? Set(vnis.keys))
  }

  /// As `problems(since:)`, for those who know which VNIs may differ from the other state.
  public func problems(since old: DesiredState, differingVNIs: Set<VNI>) -> [Problem] {
    problems(since: old, changedVNIs: old.underlay == underlay ? differingVNIs : Set(vnis.keys).union(old.vnis.keys))
  }

  /// - Parameter changedVNIs: `old.changedVNIs(in: self)`; without `old`, all.
  func problems(since old: DesiredState?, changedVNIs: Set<VNI>) -> [Problem] {
    // When VNIs, lists or profiles go, references to them become invalid.
    let losesNone = old.map { old in
      changedVNIs.allSatisfy { vnis[$0] != nil || old.vnis[$0] == nil } && old.profiles == profiles && old.hasController == hasController
        && (old.acls == acls || old.acls.keys.allSatisfy { acls[$0] != nil })
    }
    return underlay.problems()
      + changedVNIs.sorted().flatMap { vni in vnis[vni]?.problems(in: self, key: vni) ?? [] }
      + aclProblems(since: old)
      + profiles.sorted { $0.key < $1.key }.flatMap { $1.problems(in: self, .profile($0)) }
      + portProblems(since: losesNone == true ? old : nil) + (routers.isEmpty ? [] : routerProblems())
  }

  private func aclProblems(since old: DesiredState?) -> [Problem] {
    if let old, old.acls == acls { return [] }
    var problems = acls.sorted { $0.key < $1.key }.flatMap { name, acl in old?.acls[name] == acl ? [] : acl.problems(key: name) }
    if acls.count > ACLSettings.maximumLists, let last = acls.keys.max() {
      problems.append(Problem(.acl(last), ["name"], "at most \(ACLSettings.maximumLists) access control lists, not \(acls.count)"))
    }
    return problems
  }

  private func portProblems(since old: DesiredState?) -> [Problem] {
    var problems: [Problem] = []
    var owners: [String: String] = [:]
    for device in underlay.devices { owners[device] = "the underlay" }
    for nic in underlay.nics { owners[DPDKDevice.name(nic)] = "the underlay" }
    var addressOwners: [StaticAddress: String] = [:]
    if ports.values.contains(where: { !$0.macs.isEmpty || !$0.vlanMACs.isEmpty }) {
      for (vni, settings) in vnis where !settings.macs.isEmpty {
        for mac in settings.macs.keys { addressOwners[StaticAddress(vni: vni, mac: mac)] = "a remote VTEP" }
      }
    }
    let names = ports.keys.sorted()
    var ethernetPorts = underlay.nics.count
    for (index, name) in names.enumerated() {
      guard let port = ports[name] else { continue }
      if old == nil || old?.ports[name] != port { problems += port.problems(in: self, key: name) }
      let claim = port.kind.driver.claim(port.attachment)
      if let owner = owners.updateValue("port \(name)", forKey: claim.value) {
        problems.append(Problem(.port(name), [claim.key.rawValue], "\(claim.key.rawValue) \(claim.value) already belongs to \(owner)"))
      }
      if let tap = port.puntTapName, let owner = owners.updateValue("port \(name)", forKey: tap) {
        problems.append(
          Problem(.port(name), ["l2-protocols"], "its punt tap \(tap) would have the name of \(owner)'s interface; rename the port"))
      }
      if index == Self.maximumPorts {
        problems.append(Problem(.port(name), ["name"], "at most \(Self.maximumPorts) ports, not \(names.count)"))
      }
      if port.kind.driver.usesDPDK { ethernetPorts += 1 }
      if port.kind.driver.usesDPDK, ethernetPorts == Self.maximumEthernetPorts + 1 {
        let kinds = PortKind.allCases.filter { $0.driver.usesDPDK }.map(\.rawValue).joined(separator: ", ")
        let total = ports.values.count { $0.kind.driver.usesDPDK } + underlay.nics.count
        let what = (underlay.ownsNICs ? "NICs of the underlay and " : "") + "ports of the kinds \(kinds)"
        problems.append(Problem(.port(name), ["name"], "at most \(Self.maximumEthernetPorts) \(what) together, not \(total)"))
      }
      for (vlan, macs) in port.macsByVLAN.sorted(by: { $0.vlan < $1.vlan }) {
        guard let vni = port.vni(vlan: vlan) else { continue }
        for mac in Set(macs).sorted() {
          guard let owner = addressOwners.updateValue("port \(name)", forKey: StaticAddress(vni: vni, mac: mac)) else { continue }
          problems.append(
            Problem(
              .port(name), vlan == 0 ? ["macs", "\(mac)"] : ["vlan-macs", "\(vlan)"],
              "mac \(mac) of VNI \(vni) is already behind \(owner)"))
        }
      }
    }
    return problems
  }

  /// A static MAC address is unique in its VNI.
  private struct StaticAddress: Hashable {
    var vni: VNI
    var mac: MACAddress
  }
}

extension IPAddress {
  /// `IPv4` or `IPv6`.
  var familyName: String { isIPv4 ? "IPv4" : "IPv6" }

  /// Why the address cannot be a VTEP's; nil: it can.
  var reasonAgainstVTEP: String? {
    if isUnspecified { return "the unspecified address" }
    if isMulticast { return "a multicast address" }
    if isLimitedBroadcast { return "the broadcast address" }
    if isLoopback { return "a loopback address" }
    // A link-local IPv6 address is ambiguous without an interface (RFC 4007 §6); IPv4's are used like any other.
    if isLinkLocal, !isIPv4 { return "a link-local address" }
    return nil
  }
}

extension IPAddress {
  /// Why the address cannot be a station's in the overlay; nil: it can.
  public var reasonAgainstHost: String? {
    if isUnspecified { return "the unspecified address" }
    if isMulticast { return "a multicast address" }
    if isLimitedBroadcast { return "the broadcast address" }
    if isLoopback { return "a loopback address" }
    return nil
  }
}

extension MACAddress {
  /// Why the address cannot be a station's; nil: it can.
  public var reasonAgainstStation: String? {
    if isMulticast { return "a multicast address" }
    if isZero { return "the zero address" }
    return nil
  }
}

/// Why the kernel would refuse an interface name; nil: it accepts it.
func reasonAgainstInterfaceName(_ name: String) -> String? {
  guard (1...15).contains(name.utf8.count) else { return "'\(name)' is not 1 to 15 characters long" }
  guard name != ".", name != "..", name.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") })
  else {
    return "'\(name)' is not an interface name: no blanks, '/' or ':'"
  }
  return nil
}
