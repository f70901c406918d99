// ControllerStateFile+ACLs: a controller's access control lists in the saved state, so that after a restart no frame passes unfiltered
// before the controller answers. `acl N - NAME`, its entries `entry N SEQUENCE DIRECTION ACTION KEY VALUE …`, and bindings
// `filter VLAN N PORT` or, among the records of routers, `router-filter VNI N ROUTER`; N counts lists.

import VTEP

extension ControllerStateFile {
  /// Their order numbers them.
  static func aclNames(_ layer: ControllerLayer) -> [String] { layer.acls.keys.sorted() }

  static func aclLines(_ layer: ControllerLayer) -> [String] {
    var lines: [String] = []
    let names = aclNames(layer)
    for (number, name) in names.enumerated() {
      lines.append("acl \(number) - \(String(name.map { $0.isNewline ? " " : $0 }))")
      for entry in layer.acls[name]?.entries ?? [] {
        let matches = entry.matches.map { " \($0.key.rawValue) \($0.text)" }.joined()
        lines.append("entry \(number) \(entry.sequence) \(entry.direction.rawValue) \(entry.action.rawValue)\(matches)")
      }
    }
    for (binding, name) in layer.aclBindings.sorted(by: { $0.key < $1.key }) {
      if let number = names.firstIndex(of: name) { lines.append("filter \(binding.vlan) \(number) \(binding.port)") }
    }
    return lines
  }

  /// Reads one line.
  ///
  /// - Parameters:
  ///   - words: at most four; the last one has all the rest.
  ///   - names: of the lists read so far, by number.
  /// - Returns: nil: it is none of these; false: it cannot be parsed.
  static func readACL(_ words: [String], _ layer: inout ControllerLayer, _ names: inout [String]) -> Bool? {
    switch words[0] {
    case "acl":
      guard words.count == 4, Int(words[1]) == names.count else { return false }
      names.append(words[3])
      layer.acls[words[3]] = ACLSettings(name: words[3])
      return true
    case "entry":
      let rest = words.count == 4 ? words[3].split(separator: " ").map(String.init) : []
      guard let number = Int(words[1]), names.indices.contains(number), let sequence = Int64(words[2]), rest.count >= 2,
        rest.count % 2 == 0, let direction = ACLEntry.Direction(rawValue: rest[0]), let action = ACLEntry.Action(rawValue: rest[1])
      else { return false }
      var entry = ACLEntry(sequence: sequence, direction: direction, action: action)
      for position in stride(from: 2, to: rest.count, by: 2) {
        guard let key = ACLEntry.Key(rawValue: rest[position]), entry.set(key, rest[position + 1]) else { return false }
      }
      layer.acls[names[number]]?.entries.append(entry)
      return true
    case "filter":
      guard words.count == 4, let vlan = UInt16(words[1]), let number = Int(words[2]), names.indices.contains(number)
      else { return false }
      layer.aclBindings[ControllerLayer.Binding(port: words[3], vlan: vlan)] = names[number]
      return true
    case "router-filter":
      guard words.count == 4, let vni = vni(words[1]), let number = Int(words[2]), names.indices.contains(number) else { return false }
      layer.routers[words[3]]?.acls[vni] = names[number]
      return true
    default: return nil
    }
  }
}
