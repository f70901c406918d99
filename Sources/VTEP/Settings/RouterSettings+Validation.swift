// RouterSettings+Validation: validates a router's settings, alone and beside other routers.

import Encap

extension RouterSettings {
  /// Limits of a configuration: routers' interfaces, and routes of one router.
  public static let maximumInterfaces = 4096
  public static let maximumRoutes = 65_536

  func problems(in state: DesiredState, key: String) -> [DesiredState.Problem] {
    var problems: [DesiredState.Problem] = []
    func report(_ path: [String], _ message: String) {
      problems.append(DesiredState.Problem(.router(key), path, message))
    }
    if name != key { report(["name"], "settings of router '\(name)' stand under '\(key)'") }
    if name.isEmpty || name.utf8.count > 64 { report(["name"], "a router's name has 1 to 64 characters") }
    if let mac, let reason = mac.reasonAgainstStation { report(["mac"], "mac \(mac) is \(reason)") }
    if routes.count > Self.maximumRoutes { report(["routes"], "at most \(Self.maximumRoutes) routes, not \(routes.count)") }
    var seen: [(vni: VNI, address: RouterAddress)] = []
    for (vni, address) in addresses {
      let path = ["interfaces", "\(vni)", "\(address)"]
      if let reason = address.reasonAgainstRouter { report(path, "address \(address) is \(reason)") }
      // Further addresses in the same network are right in the same VNI.
      let other = seen.first {
        $0.address.address == address.address || $0.vni != vni && $0.address.prefix.overlaps(address.prefix)
      }
      if let other {
        report(path, "address \(address) overlaps \(other.address); the networks of a router in different VNIs must be apart")
      }
      seen.append((vni, address))
    }
    for (vni, list) in interfaces.sorted(by: { $0.key < $1.key }) {
      if list.isEmpty { report(["interfaces", "\(vni)"], "the interface in VNI \(vni) has no address") }
      // A controller's VNIs come and go.
      if state.vnis[vni] == nil, !state.hasController {
        report(["interfaces", "\(vni)"], "VNI \(vni) is not configured; add it to vnis")
      }
      if let owner = state.owner(of: effectiveMAC, vni, besides: key) {
        report(["interfaces", "\(vni)"], "mac \(effectiveMAC) of the router is that of \(owner) in VNI \(vni); set another mac")
      }
    }
    for (vni, acl) in acls.sorted(by: { $0.key < $1.key }) where state.acls[acl] == nil {
      report(["interfaces", "\(vni)", "acl"], "there is no access control list '\(acl)'; add it to acls")
    }
    for (prefix, next) in routes.sorted(by: { $0.key.address < $1.key.address }) {
      let path = ["routes", "\(prefix)"]
      if next.isIPv4 != prefix.address.isIPv4 {
        report(path, "next hop \(next) of \(prefix) is of the other address family")
      } else if addresses.contains(where: { $0.address.address == next }) {
        report(path, "next hop \(next) of \(prefix) is the router itself")
      } else if neighbor(on: next) == nil {
        report(path, "next hop \(next) of \(prefix) is in none of the router's networks")
      }
    }
    return problems
  }
}

extension RouterSettings {
  /// Takes out what a problem is about.
  ///
  /// - Returns: false: that is the router as a whole.
  mutating func remove(_ path: [String]) -> Bool {
    switch path.first {
    case "interfaces":
      guard path.count > 1, let vni = UInt32(path[1]).flatMap({ VNI($0) }) else { return false }
      if path.last == "acl" { return acls.removeValue(forKey: vni) != nil }
      if path.count > 2 { interfaces[vni]?.removeAll { "\($0)" == path[2] } } else { interfaces[vni] = nil }
      if interfaces[vni]?.isEmpty == true { interfaces[vni] = nil }
      if interfaces[vni] == nil { acls[vni] = nil }
      return true
    case "routes" where path.count > 1:
      guard let prefix = IPPrefix(path[1]) else { return false }
      return routes.removeValue(forKey: prefix) != nil
    default: return false
    }
  }
}

extension RouterAddress {
  /// Why a router cannot have the address; nil: it can.
  fileprivate var reasonAgainstRouter: String? {
    if address.isUnspecified { return "the unspecified address" }
    if address.isMulticast { return "a multicast address" }
    if address.isLoopback { return "a loopback address" }
    if address.isLinkLocal, !address.isIPv4 { return "a link-local address, which the router has by itself" }
    if reserved.contains(address) { return "the \(address == prefix.address ? "number" : "broadcast address") of its network" }
    return nil
  }
}

extension IPPrefix {
  func overlaps(_ other: IPPrefix) -> Bool { contains(other.address) || other.contains(address) }
}

extension DesiredState {
  /// Who else has a MAC address in a VNI.
  fileprivate func owner(of mac: MACAddress, _ vni: VNI, besides router: String) -> String? {
    if vnis[vni]?.macs[mac] != nil { return "a remote VTEP's station" }
    // Of two routers, the later one is at fault.
    let other = routers.first { $0.key < router && $0.value.interfaces[vni] != nil && $0.value.effectiveMAC == mac }
    if let other { return "router \(other.key)" }
    return ports.first { _, port in
      port.macsByVLAN.contains { vlan, macs in port.vni(vlan: vlan) == vni && macs.contains(mac) }
    }.map { "port \($0.key)" }
  }

  func routerProblems() -> [Problem] {
    let count = routers.values.reduce(0) { $0 + $1.interfaces.count }
    var problems = routers.sorted { $0.key < $1.key }.flatMap { $1.problems(in: self, key: $0) }
    if count > RouterSettings.maximumInterfaces, let last = routers.keys.max() {
      problems.append(
        Problem(.router(last), ["interfaces"], "at most \(RouterSettings.maximumInterfaces) interfaces of routers, not \(count)"))
    }
    return problems
  }
}
