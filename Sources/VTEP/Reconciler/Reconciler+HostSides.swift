// Reconciler+HostSides: keeps the host's IP stack off the interfaces of ports, as long as the operator does not use them.

import Encap
import Netlink

extension Reconciler {
  /// Follows the host's use of interfaces: a tap that the operator gives to the host becomes the host's end of the VNI.
  func updateHostSides(where isMeant: (String) -> Bool = { _ in true }) {
    let concerned = state.ports.values.filter { $0.device != nil && $0.link != nil && isMeant($0.settings.name) }
    guard !concerned.isEmpty else { return }
    let users: InterfaceUsers
    do {
      users = try InterfaceUsers(effects.netlink)
    } catch {
      log.warning("interfaces of ports: \(error)")
      return
    }
    for record in concerned {
      let name = record.settings.name
      guard let link = record.link, record.driver.hostMayUseInterface || record.driver.awaitsInterface else { continue }
      var hostSide = record.hostSide
      let hasNewIPv6 = hostSide.hasLostIPv6 && link.mtu >= HostSide.leastMTUForIPv6
      switch (users.use(of: link), record.driver.hostMayUseInterface) {
      case (let use?, true) where hostSide.guardian != nil:
        effects.release(hostSide, subject: "port \(name)")
        hostSide = HostSide()
        log.notice("port \(name): \(link.name) \(use.what): the host is an endpoint of the port's VNIs now")
      case (nil, _) where hostSide.guardian == nil || hasNewIPv6:
        hostSide = effects.portHost().guardHost(link, claim: hostSide.claim ?? (try? InterfaceClaim(link)))
      case (let use, false):
        if hasNewIPv6 { hostSide = effects.portHost().guardHost(link, claim: hostSide.claim) }
        hostSide.remark = use.map { "\(link.name) \($0.what), but vtepd keeps its traffic from the host; to undo that: \($0.undo)" }
      default: break
      }
      let old = record.hostSide
      guard (hostSide.remark, hostSide.guardian, hostSide.hasLostIPv6) != (old.remark, old.guardian, old.hasLostIPv6) else { continue }
      if let remark = hostSide.remark { log.warning("port \(name): \(remark)") }
      state.ports[name]?.hostSide = hostSide
      state.readStatus(name)
    }
  }

  /// Restores interfaces that a killed daemon left guarded and that belong to no port now.
  func releaseLeftGuards() {
    let own = Set(state.ports.values.compactMap { $0.hostSide.guardian == nil ? nil : $0.link?.index })
    do throws(NetlinkError) {
      for link in try effects.netlink.links() where !own.contains(link.index) {
        guard let left = try HostStackGuard(leftOn: link, effects.netlink), let claim = try? InterfaceClaim(link) else { continue }
        try withExtendedLifetime(claim) { () throws(NetlinkError) in try left.remove(effects.netlink) }
        log.notice("\(link.name): a daemon that no longer runs kept the host's IP stack off it; restored")
      }
    } catch {
      log.warning("interfaces that a killed daemon may have left guarded: \(error)")
    }
  }
}
