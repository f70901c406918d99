// LayerReader: one pass over the tables with logical switches, bindings and flood lists; a part of ControllerMapping.

import Encap
import OVSDBClient
import VTEP

struct LayerReader {
  private let replica: Replica
  private let switchName: String
  private(set) var layer = ControllerLayer()
  private(set) var vnis: [RowID: VNI] = [:]
  private(set) var faults = DatabaseFaults()
  private(set) var locators: LocatorReader
  private(set) var keyless: [String: RowID] = [:]
  private(set) var keylessBindings: [ControllerLayer.Binding: ControllerMapping.Keyless] = [:]

  init(_ replica: Replica, switchName: String, locators: LocatorReader) {
    self.replica = replica
    self.switchName = switchName
    self.locators = locators
  }

  mutating func read() {
    readSwitches()
    readMulticast()
    guard let own = replica.physicalSwitch(named: switchName) else { return }
    readPorts(own)
    readWhatWeLack(own)
  }

  /// A logical switch without a key, or with key 0, is not forwarded.
  private mutating func readSwitches() {
    let all = replica.all(HardwareVTEP.LogicalSwitch.self, in: .logicalSwitch).values.sorted { $0.id < $1.id }
    for row in all {
      guard let key = row.tunnelKey, key != 0 else {
        keyless[row.name] = row.id
        continue
      }
      guard let vni = VNI(key) else {
        faults.report(.unspecified, "logical switch '\(row.name)': tunnel key \(key) is not a VNI")
        continue
      }
      if let other = layer.switches[vni] {
        faults.report(.unspecified, "logical switch '\(row.name)': VNI \(vni) is already used by '\(other.name)'")
        continue
      }
      vnis[row.id] = vni
      layer.switches[vni] = LogicalSwitchSettings(name: row.name)
      layer.switches[vni]?.replication = row.replicationMode == .sourceNode ? .sourceNode : .serviceNode
    }
  }

  private mutating func readMulticast() {
    let all = replica.all(HardwareVTEP.McastMAC.self, in: .mcastMacsRemote).values.sorted { $0.id < $1.id }
    var seen: Set<ControllerMapping.AddressKey> = []
    for row in all {
      guard let vni = vnis[row.logicalSwitch] else { continue }
      let mac = row.isUnknownDestination ? MACAddress.broadcast : MACAddress(row.mac)
      guard let mac, mac.isMulticast else {
        faults.report(.unspecified, "Mcast_Macs_Remote: '\(row.mac)' is not a multicast address")
        continue
      }
      guard seen.insert(ControllerMapping.AddressKey(logicalSwitch: row.logicalSwitch, mac: mac)).inserted else {
        faults.report(
          .unspecified, "conflicting rows of Mcast_Macs_Remote for \(row.mac); using the one with the lowest UUID")
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
      faults.report(.unspecified, "Mcast_Macs_Remote: \(row.mac) has no locator set")
      return []
    }
    var found: Set<TunnelDestination> = []
    for id in set.locators.sorted() {
      switch locators.destination(id, replica, vni: vni) {
      case .success(let destination): found.insert(destination)
      case .failure(let reason): faults.report(.unspecified, "Mcast_Macs_Remote: \(row.mac): \(reason.text)")
      }
    }
    return Array(found).ordered(vni)
  }

  private mutating func readPorts(_ own: HardwareVTEP.PhysicalSwitch) {
    for port in replica.ports(of: own) {
      for (vlan, id) in port.vlanBindings.sorted(by: { $0.key < $1.key }) {
        let binding = ControllerLayer.Binding(port: port.name, vlan: vlan)
        if let vni = vnis[id] {
          layer.bindings[binding] = vni
        } else if let row = replica.one(HardwareVTEP.LogicalSwitch.self, in: .logicalSwitch, id) {
          guard keyless[row.name] == id else { continue }
          keylessBindings[binding] = ControllerMapping.Keyless(name: row.name, hasKeysOfLocators: hasKeysOfLocators(id))
        } else {
          faults.report(.invalidVLANMap, port: port.name, "VLAN \(vlan) is bound to logical switch \(id), which does not exist")
        }
      }
      for (vlan, id) in port.aclBindings.sorted(by: { $0.key < $1.key }) {
        faults.report(.invalidACLBinding, port: port.name, "VLAN \(vlan) has an ACL: filtering is not supported")
        faults.acls.insert(id)
      }
    }
  }

  /// Whether remote addresses of a logical switch use locators with tunnel keys of their own: the model with one key per logical
  /// switch and locator, vtep(5).
  private mutating func hasKeysOfLocators(_ logicalSwitch: RowID) -> Bool {
    guard !keyedLocators.isEmpty else { return false }
    let groups = replica.all(HardwareVTEP.McastMAC.self, in: .mcastMacsRemote).values
    let isGroup = groups.contains { row in
      row.logicalSwitch == logicalSwitch
        && replica.one(HardwareVTEP.LocatorSet.self, in: .locatorSet, row.locatorSet)?.locators.isDisjoint(with: keyedLocators) == false
    }
    return isGroup
      || replica.rows(HardwareVTEP.Table.ucastMacsRemote.rawValue).contains { id, row in
        HardwareVTEP.UcastMAC(id, row).map { $0.logicalSwitch == logicalSwitch && keyedLocators.contains($0.locator) } ?? false
      }
  }

  private lazy var keyedLocators: Set<RowID> = Set(
    replica.all(HardwareVTEP.Locator.self, in: .locator).filter { ($0.value.tunnelKey ?? 0) != 0 }.keys)

  /// Schema features that are not supported.
  private mutating func readWhatWeLack(_ own: HardwareVTEP.PhysicalSwitch) {
    let bound = Set(replica.ports(of: own).flatMap(\.vlanBindings.values))
    let isAlone = replica.rows(HardwareVTEP.Table.physicalSwitch.rawValue).count == 1
    for router in replica.all(HardwareVTEP.LogicalRouter.self, in: .logicalRouter).values
    where isAlone || router.switchBinding.values.contains(where: bound.contains) {
      faults.report(.routerSupport, "logical router '\(router.name)': routing is not supported")
      faults.routers.insert(router.id)
      if !router.aclBinding.isEmpty { faults.routersWithACLs.insert(router.id) }
    }
    for id in own.tunnels {
      guard let tunnel = replica.one(HardwareVTEP.Tunnel.self, in: .tunnel, id), tunnel.bfdParams["enable"] == "true" else { continue }
      faults.tunnels.insert(id)
      faults.messages.insert("tunnel \(id): BFD is not supported")
    }
  }
}

extension Replica {
  /// The row of a switch; nil: there is none yet.
  func physicalSwitch(named name: String) -> HardwareVTEP.PhysicalSwitch? {
    all(HardwareVTEP.PhysicalSwitch.self, in: .physicalSwitch).values.filter { $0.name == name }.min { $0.id < $1.id }
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
