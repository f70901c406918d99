// VLANMap: the bridge domain of each VLAN of a port. Snapshots refer to it.

/// VLAN identifier → domain for one port. Immutable once a snapshot refers to it.
final class VLANMap: Sendable {
  nonisolated(unsafe) let domains: UnsafePointer<UInt16>

  init(_ bindings: [UInt16: UInt16]) {
    let table = UnsafeMutablePointer<UInt16>.allocate(capacity: 4096)
    table.initialize(repeating: Limits.none, count: 4096)
    // 0 stands for untagged frames, which need no map.
    for (vlan, domain) in bindings where vlan != 0 { table[Int(vlan)] = domain }
    domains = UnsafePointer(table)
  }

  deinit { domains.deallocate() }
}
