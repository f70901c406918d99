// Reconciler+Inquiries: what only the reconciler can say or do for those who ask: the kernel is asked anew, or the table is changed.

import Encap
import MACTable
import MulticastLearn
import Netlink

extension Reconciler {
  public nonisolated var uptimeSeconds: UInt32 { MonotonicClock.seconds() &- startSeconds }

  /// As the kernel has it now.
  public func groupReports() -> [GroupReport] {
    verifyMemberships()
    let present = memberships.memberships.map { membership in
      let name = underlay.device(interfaceIndex: membership.interfaceIndex)?.name
      return GroupReport(
        group: membership.group, vnis: membership.vnis, interface: name ?? "#\(membership.interfaceIndex)",
        isJoined: membership.isJoined, error: membership.error.map { "\($0)" })
    }
    let absent = underlay.devices.filter { $0.link == nil }.flatMap { device in
      memberships.groups.map { group, vnis in
        GroupReport(group: group, vnis: vnis.sorted(), interface: device.name, isJoined: false, error: "no such interface")
      }
    }
    return (present + absent).sorted { ($0.group, $0.interface) < ($1.group, $1.interface) }
  }

  /// Takes note of what the workers have done, for figures over the time since the look before.
  func sampleActivity() {
    let now = contexts.map { WorkerActivity($0.pointee.counters.activity) }
    activity = now.indices.map { (before: activity.isEmpty ? now[$0] : activity[$0].latest, latest: now[$0]) }
  }

  /// Forgets one learned address.
  ///
  /// - Returns: whether it was there.
  public func forget(_ mac: MACAddress, vni: VNI) -> Bool {
    guard let domain = domains[vni] else { return false }
    return learner.write { $0.flush(MACKey(domain: domain.index, mac: mac)) }
  }

  /// Whether the kernel has an interface of this name, in our network namespace.
  public func interfaceExists(_ name: String) -> Bool {
    ((try? underlay.netlink.link(named: name)) ?? nil) != nil
  }
}
