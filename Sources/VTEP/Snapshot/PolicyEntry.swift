// PolicyEntry: a port's policy as workers see it, in the snapshot beside the port's entry.

import CDPDK
import Encap

/// What a port may send and receive.
struct PolicyEntry {
  var isDisabled = false
  var antiSpoofing = false
  /// Range of `allowedSources`.
  var firstSource: UInt32 = 0
  var sourceCount: UInt32 = 0
  /// Learned addresses; 0: no limit.
  var macLimit: UInt32 = 0
  var ingress = RateEntry()
  var egress = RateEntry()
  var storm = StormEntry()
  /// The access control list of the port; absent: there is none.
  var acl = ACLIndex.absent
  /// The list of each binding, by VLAN (0 = untagged); nil: all bindings have `acl`.
  var vlanACLs: UnsafePointer<ACLIndex>?
  /// One of the lists has ingress entries.
  var filtersIngress = false

  init() {}

  init(_ settings: PortSettings) {
    let policy = settings.policy
    isDisabled = !settings.isEnabled
    antiSpoofing = policy.antiSpoofing
    macLimit = policy.macLimit
    ingress = RateEntry(policy.ingress)
    egress = RateEntry(policy.egress)
    storm = StormEntry(policy.storm)
  }
}

extension PolicyEntry {
  @inline(always)
  static func source(_ mac: MACAddress, vlan: UInt16) -> UInt64 {
    UInt64(vlan) << 48 | mac.bits
  }
}
