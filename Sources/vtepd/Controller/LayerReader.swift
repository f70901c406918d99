// LayerReader: one pass over the tables with logical switches, bindings and flood lists; a part of ControllerMapping.

import Encap
import OVSDBClient
import VTEP

struct LayerReader {
  let replica: Replica
  private let own: HardwareVTEP.PhysicalSwitch?
  var layer = ControllerLayer()
  /// Logical switches that are forwarded.
  private(set) var vnis: [RowID: VNI] = [:]
  /// Logical switches without a key of their own, whatever becomes of them.
  private(set) var withoutKey: Set<RowID> = []
  /// Those of them whose locators have keys instead of them: the key of our own locator.
  var ownKeys: [RowID: VNI] = [:]
  /// Those without any key, which are bridged locally: VNIs that stand for them.
  var localVNIs: [RowID: VNI] = [:]
  var faults = DatabaseFaults()
  var locators: LocatorReader
  var keyless: [String: RowID] = [:]
  private(set) var keylessBindings: [ControllerLayer.Binding: String] = [:]
  /// Addresses in `tunnel_ips` of our switch.
  private(set) var ownAddresses: Set<IPAddress> = []
  /// Our ports by the logical switches that the controller binds them to, forwarded or not.
  private(set) var boundPorts: [RowID: Set<String>] = [:]
  /// Names of access control lists by their rows.
  private(set) var aclNames: [RowID: String] = [:]

  /// - Parameter own: our switch; nil: it is not in the database yet.
  init(_ replica: Replica, _ own: HardwareVTEP.PhysicalSwitch?, locators: LocatorReader) {
    self.replica = replica
    self.own = own
    self.locators = locators
  }

  mutating func read() {
    ownAddresses = Set(own?.tunnelIPs.compactMap { IPAddress(database: $0) } ?? [])
    let bound = Set(own.map { replica.ports(of: $0).flatMap(\.vlanBindings.values) } ?? [])
    readSwitches(bound: bound)
    readMulticast()
    guard let own else { return }
    readPorts(own)
    readACLs(own)
    readTunnels(own, replica)
    readRouters(bound: bound)
  }

  private mutating func readSwitches(bound: Set<RowID>) {
    let all = replica.all(HardwareVTEP.LogicalSwitch.self, in: .logicalSwitch).values.sorted { $0.id < $1.id }
    // Some controllers write 0 for "none".
    for row in all {
      guard let key = row.tunnelKey, key != 0 else { continue }
      guard let vni = VNI(key) else {
        faults.report(network: row.id, "logical switch '\(row.name)': tunnel key \(key) is not a VNI")
        continue
      }
      if let other = layer.switches[vni] {
        faults.report(network: row.id, "logical switch '\(row.name)': VNI \(vni) is already used by '\(other.name)'")
        continue
      }
      add(row, vni)
    }
    let rest = all.filter { ($0.tunnelKey ?? 0) == 0 }
    withoutKey = Set(rest.map(\.id))
    readKeyless(rest, bound: bound)
  }

  mutating func add(_ row: HardwareVTEP.LogicalSwitch, _ vni: VNI) {
    vnis[row.id] = vni
    var settings = LogicalSwitchSettings(name: row.name)
    if let text = row.otherConfig["neighbor-suppression"] {
      if let value = NeighborSuppression(rawValue: text.trimmed.lowercased()) {
        settings.neighborSuppression = value
      } else {
        faults.messages.insert("logical switch '\(row.name)': other_config:neighbor-suppression '\(text)' is neither off nor known")
      }
    }
    settings.replication = row.replicationMode == .sourceNode ? .sourceNode : .serviceNode
    layer.switches[vni] = settings
  }

  private mutating func readMulticast() {
    let all = replica.all(HardwareVTEP.McastMAC.self, in: .mcastMacsRemote).values.sorted { $0.id < $1.id }
    var seen: Set<ControllerMapping.AddressKey> = []
    for row in all {
      guard let vni = vnis[row.logicalSwitch] else { continue }
      let mac = row.isUnknownDestination ? MACAddress.broadcast : MACAddress(database: row.mac)
      guard let mac, mac.isMulticast else {
        faults.report(network: row.logicalSwitch, "\(subject(vni)): '\(row.mac)' is not a multicast address")
        continue
      }
      guard seen.insert(ControllerMapping.AddressKey(logicalSwitch: row.logicalSwitch, mac: mac)).inserted else {
        faults.report(network: row.logicalSwitch, "\(subject(vni)): several rows for \(row.mac); using the one with the lowest UUID")
        continue
      }
      let destinations = destinations(row, vni)
      if mac == .broadcast {
        layer.switches[vni]?.flood = destinations
      } else {
        layer.switches[vni]?.groups[mac] = destinations
      }
    }
  }

  private mutating func destinations(_ row: HardwareVTEP.McastMAC, _ vni: VNI) -> [TunnelDestination] {
    guard let set = replica.one(HardwareVTEP.LocatorSet.self, in: .locatorSet, row.locatorSet) else {
      faults.report(network: row.logicalSwitch, "\(subject(vni)): \(row.mac) has no locator set")
      return []
    }
    var found: Set<TunnelDestination> = []
    for id in set.locators.sorted() {
      switch locators.destination(id, replica, vni: vni) {
      case .success(let destination): found.insert(destination)
      case .failure(let reason): faults.report(network: row.logicalSwitch, "\(subject(vni)): \(row.mac): \(reason.text)")
      }
    }
    return Array(found).ordered(vni)
  }

  private func subject(_ vni: VNI) -> String { "logical switch '\(layer.switches[vni]?.name ?? "")': Mcast_Macs_Remote" }

  private mutating func readPorts(_ own: HardwareVTEP.PhysicalSwitch) {
    for port in replica.ports(of: own) {
      for (vlan, id) in port.vlanBindings.sorted(by: { $0.key < $1.key }) {
        let binding = ControllerLayer.Binding(port: port.name, vlan: vlan)
        boundPorts[id, default: []].insert(port.name)
        if let vni = vnis[id] {
          layer.bindings[binding] = vni
        } else if let row = replica.one(HardwareVTEP.LogicalSwitch.self, in: .logicalSwitch, id) {
          guard keyless[row.name] == id else { continue }
          keylessBindings[binding] = row.name
          if let vni = localVNIs[id] { layer.bindings[binding] = vni }
        } else {
          faults.report(.invalidVLANMap, port: port.name, "VLAN \(vlan) is bound to logical switch \(id), which does not exist")
        }
      }
    }
  }

  private mutating func readACLs(_ own: HardwareVTEP.PhysicalSwitch) {
    let acls = ACLReader(replica, own)
    (layer.acls, layer.aclBindings, aclNames) = (acls.lists, acls.bindings, acls.names)
    faults = faults.union(acls.faults)
  }
}

extension Replica {
  /// The row of a switch; nil: there is none yet.
  func physicalSwitch(named name: String) -> HardwareVTEP.PhysicalSwitch? {
    all(HardwareVTEP.PhysicalSwitch.self, in: .physicalSwitch).values.filter { $0.name == name }.min { $0.id < $1.id }
  }

  /// Our row of Physical_Switch from before a change of the name. Without a tunnel address in common it is none of ours: the state may be a
  /// copy of another host's.
  ///
  /// - Parameters:
  ///   - id: nil: we know of none.
  ///   - addresses: ours.
  func formerSwitch(_ id: RowID?, addresses: [IPAddress]) -> HardwareVTEP.PhysicalSwitch? {
    guard let id, let row = one(HardwareVTEP.PhysicalSwitch.self, in: .physicalSwitch, id) else { return nil }
    return row.tunnelIPs.compactMap { IPAddress(database: $0) }.contains(where: addresses.contains) ? row : nil
  }

  /// The ports of a switch by name; of ports with the same name, the one with the lowest UUID.
  func ports(of owner: HardwareVTEP.PhysicalSwitch) -> [HardwareVTEP.PhysicalPort] {
    var ports: [HardwareVTEP.PhysicalPort] = []
    for id in owner.ports.sorted() {
      guard let port = one(HardwareVTEP.PhysicalPort.self, in: .physicalPort, id), !ports.contains(where: { $0.name == port.name }) else {
        continue
      }
      ports.append(port)
    }
    return ports.sorted { $0.name < $1.name }
  }
}
