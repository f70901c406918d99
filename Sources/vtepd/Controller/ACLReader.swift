// ACLReader: access control lists of the database and what our ports bind them to (vtep(5), tables ACL and ACL_entry, and
// Physical_Port.acl_bindings); a part of LayerReader, which binds them to routers. An entry that cannot be is left out and reported in its
// own row; the rest of its list is in force.

import Encap
import OVSDBClient
import VTEP

struct ACLReader {
  /// By name.
  private(set) var lists: [String: ACLSettings] = [:]
  private(set) var bindings: [ControllerLayer.Binding: String] = [:]
  /// Names of the lists that are usable, by their rows. For whoever refers to them.
  private(set) var names: [RowID: String] = [:]
  private(set) var faults = DatabaseFaults()
  private let replica: Replica

  init(_ replica: Replica, _ own: HardwareVTEP.PhysicalSwitch) {
    self.replica = replica
    let ports = replica.ports(of: own)
    for id in Self.concerned(replica, ports).sorted() {
      if let row = replica.one(HardwareVTEP.ACL.self, in: .acl, id) { read(row) }
    }
    for port in ports {
      for (vlan, id) in port.aclBindings.sorted(by: { $0.key < $1.key }) {
        if let name = names[id] {
          bindings[ControllerLayer.Binding(port: port.name, vlan: vlan)] = name
        } else {
          faults.report(.invalidACLBinding, port: port.name, "VLAN \(vlan) is bound to ACL \(id), which cannot be used")
        }
      }
    }
  }

  /// The lists that our ports or routers use. Of a database that is ours alone, all: one that is wrong is reported before it is bound.
  private static func concerned(_ replica: Replica, _ ports: [HardwareVTEP.PhysicalPort]) -> Set<RowID> {
    if replica.rows(HardwareVTEP.Table.physicalSwitch.rawValue).count == 1 {
      return Set(replica.rows(HardwareVTEP.Table.acl.rawValue).map(\.key))
    }
    let bound = Set(ports.flatMap(\.vlanBindings.values))
    let routers = replica.all(HardwareVTEP.LogicalRouter.self, in: .logicalRouter).values.filter { $0.joins(bound) }
    return Set(ports.flatMap(\.aclBindings.values)).union(routers.flatMap(\.aclBinding.values))
  }

  private mutating func read(_ row: HardwareVTEP.ACL) {
    // No fault, until there is one: what was reported before is cleared.
    faults.acls[row.id] = []
    guard lists[row.name] == nil else {
      faults.acls[row.id] = [Self.unspecified]
      faults.messages.insert("ACL '\(row.name)': there is another of this name; using the one with the lowest UUID")
      return
    }
    var acl = ACLSettings(name: row.name)
    // Of entries with the same sequence, the one with the lowest UUID comes first.
    for id in row.entries.sorted() {
      guard let entry = replica.one(HardwareVTEP.ACLEntry.self, in: .aclEntry, id) else { continue }
      switch entry.filter {
      case .success(let filter):
        faults.aclEntries[id] = faults.aclEntries[id] ?? []
        acl.entries.append(filter)
      case .failure(let reason):
        faults.aclEntries[id] = ["invalid_acl_entry"]
        faults.acls[row.id] = ["invalid_acl"]
        faults.messages.insert("ACL '\(row.name)', entry \(entry.sequence): \(reason.text); it is left out")
      }
    }
    for direction in ACLEntry.Direction.allCases {
      let count = acl.entries.count { $0.direction == direction }
      guard count > ACLSettings.maximumEntries else { continue }
      faults.acls[row.id] = ["resource_shortage"]
      let limit = ACLSettings.maximumEntries
      faults.messages.insert(
        "ACL '\(row.name)' has \(count) \(direction.rawValue) entries; at most \(limit) are possible; it is not in force")
      return
    }
    lists[row.name] = acl
    names[row.id] = row.name
  }

  static let unspecified = "unspecified_fault"
}

extension HardwareVTEP.ACLEntry {
  fileprivate struct Unusable: Error {
    var text: String
  }

  /// The row in the data plane's form.
  fileprivate var filter: Result<ACLEntry, Unusable> {
    do throws(Unusable) {
      return .success(try converted())
    } catch {
      return .failure(error)
    }
  }

  private func converted() throws(Unusable) -> ACLEntry {
    guard let direction = ACLEntry.Direction(rawValue: direction) else { throw Unusable(text: "direction '\(direction)' is unknown") }
    guard let action = ACLEntry.Action(rawValue: action) else { throw Unusable(text: "action '\(action)' is unknown") }
    var entry = ACLEntry(sequence: sequence, direction: direction, action: action)
    try set(.sourceMAC, "source_mac", sourceMAC, &entry)
    try set(.destinationMAC, "dest_mac", destinationMAC, &entry)
    try set(.etherType, "ethertype", etherType, &entry)
    try set(.source, "source_ip", sourceIP, mask: sourceMask, &entry)
    try set(.destination, "dest_ip", destinationIP, mask: destinationMask, &entry)
    entry.protocolNumber = try number("protocol", protocolNumber)
    entry.sourcePorts = try ports("source_port", sourcePortMinimum, sourcePortMaximum)
    entry.destinationPorts = try ports("dest_port", destinationPortMinimum, destinationPortMaximum)
    let all = Int64(ACLEntry.TCPFlags.all)
    let (flags, mask): (UInt16?, UInt16?) = (
      try number("tcp_flags", tcpFlags, limit: all), try number("tcp_flags_mask", tcpFlagsMask, limit: all)
    )
    if mask != nil, flags == nil { throw Unusable(text: "tcp_flags_mask without tcp_flags") }
    entry.tcpFlags = flags.map { ACLEntry.TCPFlags($0, mask: mask ?? ACLEntry.TCPFlags.all) }
    entry.icmpType = try number("icmp_type", icmpType)
    entry.icmpCode = try number("icmp_code", icmpCode)
    if let contradiction = entry.contradiction { throw Unusable(text: contradiction.message) }
    return entry
  }

  private func set(
    _ key: ACLEntry.Key, _ column: String, _ text: String?, mask: String? = nil, _ entry: inout ACLEntry
  ) throws(Unusable) {
    guard let text else {
      if let mask { throw Unusable(text: "\(column): there is no address for the mask '\(mask)'") }
      return
    }
    let whole = mask.map { "\(text)/\($0)" } ?? text
    let parts = whole.split(separator: "/", omittingEmptySubsequences: false).map { String($0).trimmed }
    let isMAC = key == .sourceMAC || key == .destinationMAC
    let spelled = isMAC ? parts.map { MACAddress(database: $0)?.description ?? $0 } : parts
    guard entry.set(key, spelled.joined(separator: "/")) else { throw Unusable(text: "\(column) must be \(key.form), not '\(whole)'") }
  }

  private func number<Value: FixedWidthInteger>(_ column: String, _ value: Int64?, limit: Int64 = 255) throws(Unusable) -> Value? {
    guard let value else { return nil }
    guard (0...limit).contains(value) else { throw Unusable(text: "\(column) \(value) is not from 0 to \(limit)") }
    return Value(value)
  }

  /// A bound that is missing leaves that end open.
  private func ports(_ columns: String, _ low: Int64?, _ high: Int64?) throws(Unusable) -> ClosedRange<UInt16>? {
    let first: UInt16? = try number(columns + "_min", low, limit: 65535)
    let last: UInt16? = try number(columns + "_max", high, limit: 65535)
    guard first != nil || last != nil else { return nil }
    guard first ?? 0 <= last ?? .max else { throw Unusable(text: "\(columns)_min \(first ?? 0) is above \(columns)_max \(last ?? .max)") }
    return (first ?? 0)...(last ?? .max)
  }
}
