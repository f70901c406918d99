// ACLMap: the access control list of each VLAN of a port that has lists for single VLANs. Snapshots refer to it.

/// VLAN identifier (0 = untagged) → list for one port. Immutable once a snapshot refers to it.
final class ACLMap: Sendable {
  nonisolated(unsafe) let lists: UnsafePointer<ACLIndex>

  /// - Parameter ofPort: the list of VLANs that have none of their own.
  init(_ lists: [UInt16: ACLIndex], ofPort: ACLIndex) {
    let table = UnsafeMutablePointer<ACLIndex>.allocate(capacity: 4096)
    table.initialize(repeating: ofPort, count: 4096)
    for (vlan, index) in lists { table[Int(vlan & 0xfff)] = index }
    self.lists = UnsafePointer(table)
  }

  deinit { lists.deallocate() }
}
