// Doctor+Multicast: whether packets to the groups of VNIs arrive: memberships in the kernel, and a querier that keeps them alive in switches
// that snoop (RFC 4541).

import VTEP

extension Doctor {
  /// A switch forgets a group when nobody has asked for it this long (RFC 3376 section 8.4, 260 s with the defaults).
  static let membershipSeconds = 260

  static func multicast(_ facts: DoctorFacts) -> [Finding] {
    guard facts.usesGroups else { return [.ok("no VNI has a multicast group")] }
    var findings = facts.groups.filter { !$0.isJoined }.map { group in
      Finding.error("\(group.group) is not joined", of: group.interface, group.error ?? "the kernel refuses")
    }
    if let limit = facts.groupLimit, limit < 1 {
      findings.append(
        .error(
          "net.ipv4.igmp_max_memberships is \(limit)", "the kernel lets no socket join a group",
          remedy: "sysctl -w net.ipv4.igmp_max_memberships=20"))
    }
    let joined = facts.groups.filter(\.isJoined).count
    if joined > 0 || !facts.isRunning {
      findings.append(.ok(facts.isRunning ? "joined groups: \(joined)" : "groups are joined when a port of their VNI is up"))
    }
    let families = Set(
      facts.configuration.desired.vnis.values.compactMap(\.flood.group).map(\.isIPv4))
    for uplink in facts.uplinks where uplink.link != nil {
      findings += bridge(uplink)
      if families.contains(true) { findings += filters(uplink, facts) + [igmp(uplink)] }
      if families.contains(false) { findings += mld(uplink) }
    }
    return findings
  }

  private static func bridge(_ uplink: DoctorFacts.Uplink) -> [Finding] {
    guard let bridge = uplink.bridge, bridge.snoops, !bridge.queries, uplink.igmp.secondsAgo == nil else { return [] }
    return [
      .warning(
        "\(uplink.name) is a bridge with snooping and without a querier of its own", of: uplink.name,
        "unless another querier is on the network, it stops passing groups on after some minutes",
        remedy: "ip link set \(uplink.name) type bridge mcast_querier 1, or mcast_snooping 0")
    ]
  }

  private static func filters(_ uplink: DoctorFacts.Uplink, _ facts: DoctorFacts) -> [Finding] {
    var findings: [Finding] = []
    if uplink.reversePathFilter == 1, facts.uplinks.count > 1 {
      findings.append(
        .warning(
          "net.ipv4.conf.\(uplink.name).rp_filter is strict (1)", of: uplink.name,
          "of several uplinks, the kernel drops queries whose sender is routed over another one, and answers none: switches that snoop stop "
            + "passing groups on",
          remedy: "sysctl -w net.ipv4.conf.\(uplink.name).rp_filter=2"))
    }
    if uplink.forwardsGroups, facts.uplinks.count > 1 {
      findings.append(
        .warning(
          "net.ipv4.conf.\(uplink.name).mc_forwarding is on", of: uplink.name,
          "a multicast routing daemon of this host may pass groups from one uplink to another: floods arrive twice",
          remedy: "keep that daemon off the uplinks"))
    }
    return findings
  }

  private static func igmp(_ uplink: DoctorFacts.Uplink) -> Finding {
    let querier = uplink.igmp
    if let address = querier.address, let seconds = querier.secondsAgo, seconds <= membershipSeconds {
      return .ok("the IGMP querier \(address) was heard \(seconds) s ago", of: uplink.name)
    }
    guard let listening = querier.listensFor else {
      return .ok("IGMP querier: only a running daemon can hear one", of: uplink.name)
    }
    let found =
      querier.address.map { "the IGMP querier \($0) was heard last \(querier.secondsAgo ?? 0) s ago" }
      ?? "no IGMP query was heard in \(listening) s"
    guard listening > membershipSeconds else { return .ok("\(found); it may take \(membershipSeconds) s", of: uplink.name) }
    return .warning(
      found, of: uplink.name, "switches that snoop stop passing groups on to this host",
      remedy: "turn on the IGMP querier of a switch or router on this network; if no switch snoops, nothing is wrong")
  }

  private static func mld(_ uplink: DoctorFacts.Uplink) -> [Finding] {
    guard let count = uplink.mldQueries else { return [] }
    guard count == 0 else { return [.ok("\(count) MLD queries were heard since the interface is there", of: uplink.name)] }
    return [
      .warning(
        "no MLD query was heard since the interface is there", of: uplink.name, "switches that snoop stop passing groups on to this host",
        remedy: "turn on the MLD querier of a switch or router on this network; if no switch snoops, nothing is wrong")
    ]
  }
}
