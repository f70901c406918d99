// ControllerStateFile+Routers: the records of logical routers. A name comes last, since it may contain spaces.

import Encap
import VTEP

extension ControllerStateFile {
  static func routerRecords(_ layer: ControllerLayer) -> [String] {
    var records: [String] = []
    let lists = aclNames(layer)
    for (name, router) in layer.routers.sorted(by: { $0.key < $1.key }) {
      let name = String(name.map { $0.isNewline ? " " : $0 })
      records.append("router - - \(name)")
      for (vni, addresses) in router.interfaces.sorted(by: { $0.key < $1.key }) {
        for address in addresses { records.append("interface \(vni) \(address) \(name)") }
        if let number = lists.firstIndex(where: { $0 == router.acls[vni] }) { records.append("router-filter \(vni) \(number) \(name)") }
      }
      for (prefix, next) in router.routes.sorted(by: { ($0.key.address, $0.key.length) < ($1.key.address, $1.key.length) }) {
        records.append("route \(prefix) \(next) \(name)")
      }
    }
    records += layer.routedVNIs.sorted().map { "routed \($0) -" }
    records += layer.arpSources.sorted { $0.key < $1.key }.map { "arp-source \($0) \($1)" }
    return records
  }

  /// - Returns: whether the record can be read; nil: it is another kind of record.
  static func readRouter(_ words: [String], _ layer: inout ControllerLayer) -> Bool? {
    let name = words.count == 4 ? words[3] : ""
    switch words[0] {
    case "router": layer.routers[name] = RouterSettings(name: name)
    case "interface":
      guard let vni = vni(words[1]), let address = RouterAddress(words[2]) else { return false }
      layer.routers[name]?.interfaces[vni, default: []].append(address)
    case "route":
      guard let prefix = IPPrefix(words[1]), let next = IPAddress(words[2]) else { return false }
      layer.routers[name]?.routes[prefix] = next
    case "routed":
      guard let vni = vni(words[1]) else { return false }
      layer.routedVNIs.insert(vni)
    case "arp-source":
      guard let mac = MACAddress(words[1]), let vtep = IPAddress(words[2]) else { return false }
      layer.arpSources[mac] = vtep
    default: return nil
    }
    return true
  }
}
