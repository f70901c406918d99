// RunningState+ACLs: `vtepctl show acls`: the access control lists in force, what they are bound to, and what each entry has matched.

import Encap

/// An access control list in force.
public struct ACLReport: Sendable {
  /// An entry, and the frames that it has decided about.
  public struct Entry: Sendable {
    /// Nil: frames of this direction that no entry has matched, and which therefore pass.
    public var entry: ACLEntry?
    public var direction: ACLEntry.Direction
    public var packets: UInt64
    /// Of frames without the binding's tag.
    public var bytes: UInt64
  }

  public var name: String
  public var isController: Bool
  /// Ports, and VLANs of ports (nil: all that have no list of their own).
  public var bindings: [(port: String, vlan: UInt16?)]
  /// Interfaces of routers.
  public var routers: [(router: String, vni: VNI)]
  /// By direction, in the order in which they are asked.
  public var entries: [Entry]
}

extension RunningState {
  /// - Parameter name: only this one; nil: all.
  public func aclReports(name: String? = nil) -> [ACLReport] {
    acls.records.filter { name == nil || $0.key == name }.sorted { $0.key < $1.key }.map { key, record in
      let entries = record.entries.map { entry in
        let matched = baselines.matched(aclEntry: entry.slot, counters)
        return ACLReport.Entry(entry: entry.entry, direction: entry.direction, packets: matched.packets, bytes: matched.bytes)
      }
      return ACLReport(
        name: key, isController: configuration.controlledACLs.contains(key), bindings: aclBindings(key),
        routers: routerBindings(key), entries: entries)
    }
  }

  private func aclBindings(_ name: String) -> [(port: String, vlan: UInt16?)] {
    configuration.ports.values.sorted { $0.name < $1.name }.flatMap { port in
      (port.acl == name ? [(port.name, nil)] : [])
        + port.vlanACLs.filter { $0.value == name }.keys.sorted().map { (port: port.name, vlan: UInt16?($0)) }
    }
  }

  private func routerBindings(_ name: String) -> [(router: String, vni: VNI)] {
    configuration.routers.values.sorted { $0.name < $1.name }.flatMap { router in
      router.acls.filter { $0.value == name }.keys.sorted().map { (router.name, $0) }
    }
  }

  /// The entry that a counter belongs to, nil for frames that no entry has matched, with its list; nil: nobody has it.
  func aclEntry(slot: UInt32) -> (acl: String, direction: ACLEntry.Direction, entry: ACLEntry?)? {
    for (name, record) in acls.records where record.slots.values.contains(where: { $0.contains(slot) }) {
      guard let found = record.entries.first(where: { $0.slot == slot }) else { continue }
      return (name, found.direction, found.entry)
    }
    return nil
  }
}
