// ControlState+Reachability: what keeps the underlay from working: a VTEP address that the host does not have, a route through another
// interface, IPsec policies, an interface without Ethernet frames. The log, `status` and `show vteps` report it.

import Encap
import Netlink

extension ControlState {
  /// Checks which VTEP addresses the host has. Nothing is sent from an address that it lacks, and packets to it are not ours.
  mutating func checkOwnAddresses() {
    let addresses = running.underlay.addresses
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

  /// - Throws: `.refused` when `ipsec-policy: refuse` is set and IPsec policies of the host match the packets.
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

  /// Finds the VTEPs that policies match. Each policy is logged once; with `refuse` nothing is sent there.
  mutating func findForbiddenVTEPs() {
    underlay.hasNewPolicies = false
    underlay.forbidden = []
    var found: [UInt32: (policy: IPsecPolicy, address: IPAddress)] = [:]
    for address in underlay.vteps.keys.sorted() where !underlay.policies.isEmpty {
      guard let policy = underlay.restricting(address, running.underlay) else { continue }
      if found[policy.index] == nil { found[policy.index] = (policy, address) }
      if running.underlay.ipsecPolicy == .refuse { underlay.forbidden.insert(address) }
    }
    for (index, match) in found.sorted(by: { $0.key < $1.key }) where !underlay.reportedPolicies.contains(index) {
      effects.log.warning("\(UnderlayState.policyText(match.policy, match.address, running.underlay))")
    }
    underlay.reportedPolicies = Set(found.keys)
  }
}

/// Checks an underlay without starting anything.
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

  /// Problems of the interfaces that exist; missing ones may appear later.
  public static func problems(_ settings: UnderlaySettings) -> [String] {
    guard let netlink = try? NetlinkSocket() else { return [] }
    return settings.uplinks.compactMap { uplink in
      guard let link = (try? netlink.link(named: uplink.device)) ?? nil else { return nil }
      if uplink.nic != nil {
        return link.tun == nil ? "\(uplink.subject): an interface of this name exists and is not a tap; name another tap" : nil
      }
      do {
        try checkCarriesFrames(link)
        return nil
      } catch {
        return "\(error)"
      }
    }
  }
}
