// Reconciler+Inquiries: requests that the running state cannot answer: they ask the kernel or change the table.

import Encap
import MACTable
import MulticastLearn
import Netlink

extension Reconciler {
  /// Time that the counters cover.
  public nonisolated var countedSeconds: UInt32 { MonotonicClock.seconds() &- countingSinceSeconds }
  public nonisolated var uptimeSeconds: UInt32 { MonotonicClock.seconds() &- startSeconds }

  /// The memberships as the kernel has them now.
  public func groupReports() -> [GroupReport] {
    effects.verifyMemberships()
    let present = effects.memberships.memberships.map { membership in
      let name = state.underlay.device(interfaceIndex: membership.interfaceIndex)?.name
      return GroupReport(
        group: membership.group, vnis: membership.vnis, interface: name ?? "#\(membership.interfaceIndex)",
        isJoined: membership.isJoined, error: membership.error.map { "\($0)" })
    }
    let absent = state.underlay.devices.filter { $0.link == nil }.flatMap { device in
      effects.memberships.groups.map { group, vnis in
        GroupReport(group: group, vnis: vnis.sorted(), interface: device.name, isJoined: false, error: "no such interface")
      }
    }
    return (present + absent).sorted { ($0.group, $0.interface) < ($1.group, $1.interface) }
  }

  /// Forgets one learned address.
  ///
  /// - Returns: whether it was there.
  public func forget(_ mac: MACAddress, vni: VNI) -> Bool {
    guard let domain = state.domains[vni] else { return false }
    return learner.write { $0.flush(MACKey(domain: domain.index, mac: mac)) }
  }

  /// Whether the kernel has an interface of this name, in our network namespace.
  public func interfaceExists(_ name: String) -> Bool {
    ((try? effects.netlink.link(named: name)) ?? nil) != nil
  }
}
