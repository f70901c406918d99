// VLANMap: the bridge domain of each VLAN of a port. Snapshots refer to it.

import MACTable

/// VLAN identifier → domain for one port. Immutable once a snapshot refers to it.
final class VLANMap: Sendable {
  nonisolated(unsafe) let domains: UnsafePointer<DomainIndex>

  init(_ bindings: [UInt16: DomainIndex]) {
    let table = UnsafeMutablePointer<DomainIndex>.allocate(capacity: 4096)
    table.initialize(repeating: .absent, count: 4096)
    // 0 stands for untagged frames, which need no map.
    for (vlan, domain) in bindings where vlan != 0 { table[Int(vlan)] = domain }
    domains = UnsafePointer(table)
  }

  deinit { domains.deallocate() }
}
