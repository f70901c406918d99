// Reconciler+Reachability: what the underlay lacks: a VTEP address that the host does not have, a route that leaves elsewhere, an
// interface that cannot carry frames. The operator hears of it in the log, in `status` and in `show vteps`.

import Encap
import Netlink

extension Reconciler {
  /// Looks which VTEP addresses the host has. With one that it lacks nothing is sent, and what comes to it is not ours.
  func checkOwnAddresses() {
    let addresses = desired.underlay.addresses
    let missing: Set<IPAddress>
    do {
      missing = Set(addresses).subtracting(try underlay.netlink.owned(addresses))
    } catch {
      log.warning("addresses: \(error)")
      return
    }
    for address in missing.subtracting(underlay.missingAddresses).sorted() { log.error("\(Self.text(missing: address))") }
    for address in underlay.missingAddresses.subtracting(missing).sorted() where addresses.contains(address) {
      log.notice("underlay.addresses \(address): the host has it now")
    }
    underlay.missingAddresses = missing
    let present = addresses.filter { !missing.contains($0) }
    model.ownIPv4 = present.first { $0.isIPv4 } ?? IPAddress(ipv4: 0)
    model.ownIPv6 = present.first { !$0.isIPv4 } ?? IPAddress(high: 0, low: 0)
  }

  private static func text(missing address: IPAddress) -> String {
    "underlay.addresses \(address): this host does not have it, so nothing is sent with it; waiting for it "
      + "(ip address add \(address)/\(address.isIPv4 ? 32 : 128) dev lo, or on the uplink)"
  }

  /// - Throws: `.environment` for an interface whose frames have no Ethernet header.
  static func checkCarriesFrames(_ link: Link) throws(VTEPError) {
    guard link.isEthernet else {
      throw VTEPError(
        .environment, "underlay.device \(link.name)",
        "its packets have no Ethernet header (\(link.kind.map { "kind \($0)" } ?? "hardware type \(link.hardwareType)")), which a VXLAN packet needs here",
        remedy: "name an Ethernet interface, or make the tunnel one that carries Ethernet frames (a tap, not a tun)")
    }
  }

  /// What keeps the underlay from working, for `vtepctl status`; empty: nothing.
  public func problems() -> [String] {
    var problems = underlay.missingAddresses.sorted().map(Self.text(missing:))
    for device in underlay.devices where !device.isUp {
      problems.append("underlay.device \(device.name): \(device.link == nil ? "no such interface" : "down")")
    }
    return problems + policyProblems
  }

  /// Why nothing can be sent to a VTEP, for the operator; nil: it can.
  func obstacleText(_ record: VTEPRecord) -> String? {
    switch underlay.obstacle(record) {
    case nil: return nil
    case .noRoute(let text): return text
    case .ipsecPolicy:
      let policy = restricting(record.address, desired.underlay)
      return "an IPsec policy of this host matches: \(policy.map(\.description) ?? "")"
    case .ownAddressMissing(let address): return "this host does not have \(address)"
    case .deviceDown(let names): return "\(names.joined(separator: ", ")) down, or the next hops dead"
    case .routeNotUnderlay(let index):
      let link = (try? underlay.netlink.link(index: index)) ?? nil
      return "the route leaves by \(link?.name ?? "interface \(index)"), which is not in underlay.device"
    }
  }
}

// -- IPsec -----------------------------------------------------------------------------------------------------------------

extension Reconciler {
  /// Reads the policies when they may have changed.
  ///
  /// - Returns: whether they have.
  func readPolicies(isFirst: Bool = false) -> Bool {
    guard let ipsec = underlay.ipsec, ipsec.haveChanged() || isFirst else { return false }
    do {
      let policies = try ipsec.all()
      defer { underlay.policies = policies }
      return policies != underlay.policies
    } catch {
      log.warning("IPsec policies: \(error)")
      return false
    }
  }

  /// - Throws: `.refused` when the settings forbid what they ask for: packets that IPsec policies of the host are about.
  func checkPolicies(for new: DesiredState) throws(VTEPError) {
    if readPolicies(isFirst: underlay.policies.isEmpty) { underlay.hasNewPolicies = true }
    guard new.underlay.ipsecPolicy == .refuse else { return }
    for address in configuredVTEPs(new).sorted() {
      guard let policy = restricting(address, new.underlay) else { continue }
      throw VTEPError(
        .refused, "underlay.ipsec-policy: refuse",
        "the IPsec policy \(policy) matches packets to or from \(address), which do not pass it",
        remedy: "delete the policy (ip xfrm policy delete dir \(policy.direction.rawValue) index \(policy.index)), "
          + "let a router encrypt, or set ipsec-policy: warn")
    }
  }

  /// Once a second.
  func followPolicies() {
    guard readPolicies() || underlay.hasNewPolicies else { return }
    rebuildAdjacencies()
    publish()
  }

  /// Which VTEPs policies are about: told once for each policy, and with `refuse` nothing is sent there.
  func applyPolicies() {
    underlay.hasNewPolicies = false
    underlay.forbidden = []
    var found: [UInt32: (policy: IPsecPolicy, address: IPAddress)] = [:]
    for address in underlay.vteps.keys.sorted() where !underlay.policies.isEmpty {
      guard let policy = restricting(address, desired.underlay) else { continue }
      if found[policy.index] == nil { found[policy.index] = (policy, address) }
      if desired.underlay.ipsecPolicy == .refuse { underlay.forbidden.insert(address) }
    }
    for (index, match) in found.sorted(by: { $0.key < $1.key }) where !underlay.reportedPolicies.contains(index) {
      log.warning("\(policyText(match.policy, match.address))")
    }
    underlay.reportedPolicies = Set(found.keys)
  }

  /// The policy that keeps packets between us and a VTEP from passing as they are; nil: none does.
  private func restricting(_ address: IPAddress, _ settings: UnderlaySettings) -> IPsecPolicy? {
    guard let own = settings.ownAddress(like: address) else { return nil }
    let interfaces = underlay.devices.compactMap { $0.link?.index }
    func first(_ direction: IPsecPolicy.Direction, _ from: IPAddress, _ to: IPAddress) -> IPsecPolicy? {
      underlay.policies.first {
        $0.direction == direction && $0.matches(from: from, to: to, udpPort: settings.udpPort)
          && ($0.interfaceIndex == 0 || interfaces.contains($0.interfaceIndex))
      }.flatMap { $0.restricts ? $0 : nil }
    }
    return first(.out, own, address) ?? (address.isMulticast ? nil : first(.in, address, own))
  }

  private func policyText(_ policy: IPsecPolicy, _ address: IPAddress) -> String {
    "the IPsec policy \(policy) matches packets to or from VTEP \(address), which do not pass it: they travel "
      + "\(desired.underlay.ipsecPolicy == .refuse ? "not at all (underlay.ipsec-policy)" : "unprotected")"
  }

  /// For `vtepctl status`.
  var policyProblems: [String] {
    guard !underlay.reportedPolicies.isEmpty else { return [] }
    var seen: Set<UInt32> = []
    return underlay.vteps.keys.sorted().compactMap { address in
      guard let policy = restricting(address, desired.underlay), seen.insert(policy.index).inserted else { return nil }
      return policyText(policy, address)
    }
  }
}

/// Looks at an underlay without starting anything.
public enum UnderlayCheck {
  /// What is wrong with the interfaces that are there already; those that are missing may come.
  public static func problems(_ settings: UnderlaySettings) -> [String] {
    guard let netlink = try? NetlinkSocket() else { return [] }
    return settings.devices.compactMap { name in
      guard let link = (try? netlink.link(named: name)) ?? nil else { return nil }
      do {
        try Reconciler.checkCarriesFrames(link)
        return nil
      } catch {
        return "\(error)"
      }
    }
  }
}
