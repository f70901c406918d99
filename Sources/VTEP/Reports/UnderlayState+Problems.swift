// UnderlayState+Problems: text about what keeps the underlay from working.

import Encap
import Glibc
import Netlink

extension RunningState {
  /// What keeps the underlay or a worker from working, for `vtepctl status`; empty: nothing.
  public func problems() -> [String] {
    var problems = underlay.missingAddresses.sorted().map(UnderlayState.text(missing:))
    for device in underlay.devices where !device.isUp {
      problems.append(device.fault ?? "\(device.uplink.subject): \(device.downText)")
    }
    return problems + policyProblems + watchdog.problems
  }

  /// IPsec policies that match packets to VTEPs, which do not pass them.
  public var policyProblems: [String] {
    guard !underlay.reportedPolicies.isEmpty else { return [] }
    var seen: Set<UInt32> = []
    return underlay.vteps.keys.sorted().compactMap { address in
      guard let policy = underlay.restricting(address, configuration.underlay), seen.insert(policy.index).inserted else { return nil }
      return UnderlayState.policyText(policy, address, configuration.underlay)
    }
  }
}

extension UnderlayDevice {
  /// Why it is not up.
  fileprivate var downText: String {
    guard link != nil else { return "no such interface" }
    guard let nic, !nic.hasLink else { return "down" }
    return "the NIC \(nic.name) has no link"
  }
}

extension UnderlayState {
  static func text(missing address: IPAddress) -> String {
    "underlay.addresses \(address): this host does not have it, so nothing is sent with it; waiting for it "
      + "(ip address add \(address)/\(address.isIPv4 ? 32 : 128) dev lo, or on the uplink)"
  }

  /// Why nothing can be sent to a VTEP, for the operator; nil: it can.
  func obstacleText(_ record: VTEPRecord, _ settings: UnderlaySettings) -> String? {
    switch obstacle(record) {
    case nil: return nil
    case .noRoute(let text): return text
    case .ipsecPolicy:
      return "an IPsec policy of this host matches: \(restricting(record.address, settings).map(\.description) ?? "")"
    case .ownAddressMissing(let address): return "this host does not have \(address)"
    case .deviceDown(let names): return "\(names.joined(separator: ", ")) down, or the next hops dead"
    case .routeNotUnderlay(let index):
      let key = settings.ownsNICs ? "underlay.tap" : "underlay.device"
      return "the route leaves by \(Self.interfaceName(index) ?? "interface \(index)"), which is not in \(key)"
    }
  }

  private static func interfaceName(_ index: Int32) -> String? {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(IF_NAMESIZE)) { name in
      guard let base = name.baseAddress, if_indextoname(UInt32(index), base) != nil else { return nil }
      return String(cString: base)
    }
  }

  static func policyText(_ policy: IPsecPolicy, _ address: IPAddress, _ settings: UnderlaySettings) -> String {
    "the IPsec policy \(policy) matches packets to or from VTEP \(address), which do not pass it: they travel "
      + "\(settings.ipsecPolicy == .refuse ? "not at all (underlay.ipsec-policy)" : "unprotected")"
  }
}
