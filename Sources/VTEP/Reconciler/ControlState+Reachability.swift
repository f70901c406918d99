// ControlState+Reachability: what the underlay lacks: a VTEP address that the host does not have, a route that leaves elsewhere, an
// interface that cannot carry frames. The operator hears of it in the log, in `status` and in `show vteps`.

import Encap
import Netlink

extension ControlState {
  /// Looks which VTEP addresses the host has. With one that it lacks nothing is sent, and what comes to it is not ours.
  mutating func checkOwnAddresses() {
    let addresses = desired.underlay.addresses
    let missing: Set<IPAddress>
    do {
      missing = Set(addresses).subtracting(try effects.owned(addresses))
    } catch {
      effects.log.warning("addresses: \(error)")
      return
    }
    for address in missing.subtracting(underlay.missingAddresses).sorted() { effects.log.error("\(UnderlayState.text(missing: address))") }
    for address in underlay.missingAddresses.subtracting(missing).sorted() where addresses.contains(address) {
      effects.log.notice("underlay.addresses \(address): the host has it now")
    }
    underlay.missingAddresses = missing
    let present = addresses.filter { !missing.contains($0) }
    model.ownIPv4 = present.first { $0.isIPv4 } ?? IPAddress(ipv4: 0)
    model.ownIPv6 = present.first { !$0.isIPv4 } ?? IPAddress(high: 0, low: 0)
  }
}

// -- IPsec -----------------------------------------------------------------------------------------------------------------

extension ControlState {
  /// Reads the policies when they may have changed.
  ///
  /// - Returns: whether they have.
  mutating func readPolicies(isFirst: Bool = false) -> Bool {
    do {
      guard let policies = try effects.policies(isFirst: isFirst) else { return false }
      defer { underlay.policies = policies }
      return policies != underlay.policies
    } catch {
      effects.log.warning("IPsec policies: \(error)")
      return false
    }
  }

  /// - Throws: `.refused` when the settings forbid what they ask for: packets that IPsec policies of the host are about.
  mutating func checkPolicies(for new: DesiredState) throws(VTEPError) {
    if readPolicies(isFirst: underlay.policies.isEmpty) { underlay.hasNewPolicies = true }
    guard new.underlay.ipsecPolicy == .refuse else { return }
    for address in configuredVTEPs(new).sorted() {
      guard let policy = underlay.restricting(address, new.underlay) else { continue }
      throw VTEPError(
        .refused, "underlay.ipsec-policy: refuse",
        "the IPsec policy \(policy) matches packets to or from \(address), which do not pass it",
        remedy: "delete the policy (ip xfrm policy delete dir \(policy.direction.rawValue) index \(policy.index)), "
          + "let a router encrypt, or set ipsec-policy: warn")
    }
  }

  /// Once a second.
  mutating func followPolicies() {
    if readPolicies() || underlay.hasNewPolicies { stale.adjacencies = true }
  }

  /// Which VTEPs policies are about: told once for each policy, and with `refuse` nothing is sent there.
  mutating func applyPolicies() {
    underlay.hasNewPolicies = false
    underlay.forbidden = []
    var found: [UInt32: (policy: IPsecPolicy, address: IPAddress)] = [:]
    for address in underlay.vteps.keys.sorted() where !underlay.policies.isEmpty {
      guard let policy = underlay.restricting(address, desired.underlay) else { continue }
      if found[policy.index] == nil { found[policy.index] = (policy, address) }
      if desired.underlay.ipsecPolicy == .refuse { underlay.forbidden.insert(address) }
    }
    for (index, match) in found.sorted(by: { $0.key < $1.key }) where !underlay.reportedPolicies.contains(index) {
      effects.log.warning("\(UnderlayState.policyText(match.policy, match.address, desired.underlay))")
    }
    underlay.reportedPolicies = Set(found.keys)
  }
}

/// Looks at an underlay without starting anything.
public enum UnderlayCheck {
  /// - Throws: `.environment` for an interface whose frames have no Ethernet header.
  static func checkCarriesFrames(_ link: Link) throws(VTEPError) {
    guard link.isEthernet else {
      throw VTEPError(
        .environment, "underlay.device \(link.name)",
        "its packets have no Ethernet header (\(link.kind.map { "kind \($0)" } ?? "hardware type \(link.hardwareType)")), which a VXLAN packet needs here",
        remedy: "name an Ethernet interface, or make the tunnel one that carries Ethernet frames (a tap, not a tun)")
    }
  }

  /// What is wrong with the interfaces that are there already; those that are missing may come.
  public static func problems(_ settings: UnderlaySettings) -> [String] {
    guard let netlink = try? NetlinkSocket() else { return [] }
    return settings.devices.compactMap { name in
      guard let link = (try? netlink.link(named: name)) ?? nil else { return nil }
      do {
        try checkCarriesFrames(link)
        return nil
      } catch {
        return "\(error)"
      }
    }
  }
}
