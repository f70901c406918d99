// ControllerMapping: maps rows of `hardware_vtep` to edits for the reconciler. I/O-free: the input is a replica and the changes
// that led to it. A changed remote address costs only that address. Logical switches, bindings and flood lists are few; if one
// changes, all of them are mapped again (LayerReader). The database may have any version and any contents: what cannot be
// understood is skipped and reported (`faults`).

import Encap
import OVSDBClient
import VTEP

struct ControllerMapping: Sendable {
  /// The key of a remote address.
  struct AddressKey: Hashable, Sendable {
    var logicalSwitch: RowID
    var mac: MACAddress
  }

  /// The name of our Physical_Switch.
  let switchName: String
  /// Our row of Physical_Switch from before a change of the name: its bindings count until there is a row of our name.
  let formerRow: RowID?
  /// Our VTEP addresses (`Replica.formerSwitch`).
  let addresses: [IPAddress]
  /// The database's contents, except remote unicast addresses.
  private(set) var layer = ControllerLayer()
  /// Logical switches that are forwarded.
  private(set) var vnis: [RowID: VNI] = [:]
  private(set) var replica: Replica?
  /// Those of them whose locators have keys instead of them: the key of our own locator.
  private(set) var ownKeys: [RowID: VNI] = [:]
  /// Names of access control lists in use, by their rows.
  private(set) var aclNames: [RowID: String] = [:]
  /// Logical switches without any key: at most bridged locally.
  private(set) var keyless: [String: RowID] = [:]
  /// Bindings of our ports to these, and their names.
  private(set) var keylessBindings: [ControllerLayer.Binding: String] = [:]

  /// Logical switches without a key of their own: what they get depends on their locators and bindings.
  private var withoutKey: Set<RowID> = []
  private var layerFaults = DatabaseFaults()
  /// The row of each remote address; if there are several, the one with the lowest UUID.
  private var rows: [AddressKey: RowID] = [:]
  /// All rows of addresses that have several.
  private var rivals: [AddressKey: Set<RowID>] = [:]
  /// Rows that cannot be understood.
  private var unreadable: [RowID: Useless] = [:]
  /// Rows with an unusable locator.
  private var unreachable: [RowID: Useless] = [:]
  /// Rows with an `ipaddr` that is no station's, and why.
  private var oddAddresses: [RowID: String] = [:]
  /// Our ports by the logical switches that the controller binds them to.
  private(set) var boundPorts: [RowID: Set<String>] = [:]
  /// Locators as last read.
  private var locators = LocatorReader()

  init(switchName: String, formerRow: RowID? = nil, addresses: [IPAddress] = []) {
    self.switchName = switchName
    self.formerRow = formerRow
    self.addresses = addresses
  }

  /// The database has no forwarded networks and no remote addresses, like a newly created one.
  var isEmpty: Bool { layer.switches.values.allSatisfy(\.isLocal) && !knowsRemotes }

  /// The database has remote addresses or flood sets.
  var knowsRemotes: Bool {
    !rows.isEmpty || replica?.rows(HardwareVTEP.Table.mcastMacsRemote.rawValue).isEmpty == false
  }

  /// Whether the database has this remote address.
  func isRemote(_ place: AddressKey) -> Bool { rows[place] != nil }

  /// How many remote addresses the database has.
  var addressCount: Int { rows.count }

  /// Requests that cannot be carried out.
  var faults: DatabaseFaults {
    var faults = layerFaults
    for (place, ids) in rivals where conflict(ids, vnis[place.logicalSwitch]) {
      let name = name(of: place.logicalSwitch)
      faults.report(
        network: place.logicalSwitch,
        "logical switch '\(name)': \(ids.count) conflicting rows of Ucast_Macs_Remote for \(place.mac); using the one with the lowest UUID")
    }
    // One message for each logical switch: there may be a hundred thousand rows.
    let useless = Dictionary(grouping: unreadable.merging(unreachable) { first, _ in first }) { $0.value.logicalSwitch }
    for (logicalSwitch, rows) in useless {
      guard let sample = rows.min(by: { $0.key < $1.key }) else { continue }
      let text = "\(rows.count) unusable rows of Ucast_Macs_Remote; \(sample.key): \(sample.value.text)"
      if let logicalSwitch, replica?[HardwareVTEP.Table.logicalSwitch.rawValue, logicalSwitch] != nil {
        faults.report(network: logicalSwitch, "logical switch '\(name(of: logicalSwitch))': \(text)")
      } else {
        // Of no network, so of no port; a fault of the switch would stop everybody's.
        faults.messages.insert(text)
      }
    }
    if let sample = oddAddresses.min(by: { $0.key < $1.key }) {
      // Frames reach the station all the same: no fault.
      faults.messages.insert("\(oddAddresses.count) rows of Ucast_Macs_Remote with an unusable ipaddr; \(sample.key): \(sample.value)")
    }
    faults.attribute(to: boundPorts)
    return faults
  }

  private func name(of logicalSwitch: RowID) -> String {
    replica?.one(HardwareVTEP.LogicalSwitch.self, in: .logicalSwitch, logicalSwitch)?.name ?? "\(logicalSwitch)"
  }

  /// Our ports that the controller binds to a VNI.
  func ports(of vni: VNI) -> Set<String> {
    vnis.filter { $0.value == vni }.reduce(into: []) { $0.formUnion(boundPorts[$1.key] ?? []) }
  }

  /// Whether rows for one address say different things: not if they only give it several IP addresses, or spell its VTEP's differently.
  private func conflict(_ ids: Set<RowID>, _ vni: VNI?) -> Bool {
    guard let replica else { return false }
    let locators = Set(ids.compactMap { replica.one(HardwareVTEP.UcastMAC.self, in: .ucastMacsRemote, $0)?.locator })
    guard locators.count > 1 else { return false }
    return Set(locators.map { LocatorReader.read($0, replica, vni: vni) }).count > 1
  }

  // -- all at once -------------------------------------------------------------------------------------------------------

  /// Starts again from a snapshot. The edit contains everything.
  mutating func load(_ replica: Replica) -> ControllerEdit {
    self = ControllerMapping(switchName: switchName, formerRow: formerRow, addresses: addresses)
    self.replica = replica
    remap(replica)
    for (id, row) in replica.rows(HardwareVTEP.Table.ucastMacsRemote.rawValue) { _ = follow(id, row) }
    return everything()
  }

  /// An edit that contains everything.
  mutating func everything() -> ControllerEdit {
    ControllerEdit(layer: layer, addresses: rows.keys.compactMap { address(of: $0) }, complete: Set(layer.switches.keys))
  }

  // -- what has changed ----------------------------------------------------------------------------------------------------

  /// Follows changes that led to `replica`.
  mutating func update(_ changes: [TableChange], _ replica: Replica) -> ControllerEdit {
    self.replica = replica
    var touched: Set<AddressKey> = []
    var changedLocators: Set<RowID> = []
    var needsLayer = false
    for change in changes {
      switch HardwareVTEP.Table(rawValue: change.table) {
      case .ucastMacsRemote:
        if let old = change.old, let place = forget(change.id, old) { touched.insert(place) }
        if let new = change.new, let place = follow(change.id, new) { touched.insert(place) }
        needsLayer = needsLayer || choosesKeys && [change.old, change.new].contains { isWithoutKey(change.id, $0) }
      case .locator:
        locators.forget(change.id)
        // A locator inserted with its first reference is read then; one that is deleted has no references left.
        let isMissed = !unreachable.isEmpty || !layerFaults.messages.isEmpty || choosesKeys
        if change.new != nil, change.old != nil || isMissed { changedLocators.insert(change.id) }
      case .physicalPort: needsLayer = needsLayer || change.concerns(["name", "vlan_bindings", "acl_bindings"])
      case .physicalSwitch: needsLayer = needsLayer || change.concerns(["name", "ports", "tunnels", "tunnel_ips"])
      case .logicalRouter: needsLayer = needsLayer || change.concerns(["name", "switch_binding", "static_routes", "acl_binding"])
      case .acl: needsLayer = needsLayer || change.concerns(["acl_name", "acl_entries"])
      case .aclEntry: needsLayer = needsLayer || change.concerns(Set(change.changedColumns).subtracting(["acle_fault_status"]))
      case .arpSourcesRemote: needsLayer = true
      case .tunnel: needsLayer = needsLayer || change.concerns(["bfd_params", "bfd_config_remote", "remote"])
      case .logicalSwitch, .mcastMacsRemote, .locatorSet: needsLayer = true
      case .mcastMacsLocal: needsLayer = needsLayer || choosesKeys
      default: break
      }
    }
    var edit = ControllerEdit()
    if needsLayer || !changedLocators.isEmpty {
      let (oldLayer, oldVNIs) = (layer, vnis)
      remap(replica)
      if layer != oldLayer { edit.layer = layer }
      // All addresses of a logical switch whose VNI or name has changed: to the data plane it is a different one.
      let moved = Set(
        vnis.filter { oldVNIs[$0.key] != $0.value || oldLayer.switches[$0.value]?.name != layer.switches[$0.value]?.name }.keys)
      if !moved.isEmpty {
        touched.formUnion(rows.keys.filter { moved.contains($0.logicalSwitch) })
        edit.complete = Set(moved.compactMap { vnis[$0] })
      }
    }
    if !changedLocators.isEmpty {
      for (place, id) in rows {
        if let locator = replica.one(HardwareVTEP.UcastMAC.self, in: .ucastMacsRemote, id)?.locator, changedLocators.contains(locator) {
          touched.insert(place)
        }
      }
    }
    edit.addresses = touched.compactMap { address(of: $0) }
    return edit
  }

  /// There are logical switches whose key depends on their locators.
  private var choosesKeys: Bool { !withoutKey.isEmpty }

  /// Whether a remote address belongs to one of these.
  private func isWithoutKey(_ id: RowID, _ row: OVSDBRow?) -> Bool {
    row.flatMap { HardwareVTEP.UcastMAC(id, $0)?.logicalSwitch }.map(withoutKey.contains) ?? false
  }

  /// Reads logical switches, bindings and flood lists.
  private mutating func remap(_ replica: Replica) {
    let own = replica.physicalSwitch(named: switchName) ?? replica.formerSwitch(formerRow, addresses: addresses)
    var reader = LayerReader(replica, own, locators: locators)
    reader.read()
    (layer, vnis, layerFaults, locators) = (reader.layer, reader.vnis, reader.faults, reader.locators)
    (withoutKey, ownKeys, keyless, keylessBindings) = (reader.withoutKey, reader.ownKeys, reader.keyless, reader.keylessBindings)
    (boundPorts, aclNames) = (reader.boundPorts, reader.aclNames)
  }

  // -- remote addresses --------------------------------------------------------------------------------------------------

  /// Notes a row.
  ///
  /// - Returns: the address that the row describes; nil: it cannot be read.
  private mutating func follow(_ id: RowID, _ row: OVSDBRow) -> AddressKey? {
    switch Self.place(id, row) {
    case .failure(let reason):
      unreadable[id] = reason
      return nil
    case .success(let place):
      guard let other = rows[place], other != id else {
        rows[place] = id
        return place
      }
      rivals[place, default: [other]].insert(id)
      rows[place] = min(other, id)
      return place
    }
  }

  /// Forgets a row as it was.
  private mutating func forget(_ id: RowID, _ row: OVSDBRow) -> AddressKey? {
    unreadable[id] = nil
    unreachable[id] = nil
    oddAddresses[id] = nil
    guard case .success(let place) = Self.place(id, row) else { return nil }
    if var ids = rivals[place] {
      ids.remove(id)
      rivals[place] = ids.count > 1 ? ids : nil
      rows[place] = ids.min()
    } else if rows[place] == id {
      rows[place] = nil
    }
    return place
  }

  /// Why a row cannot be used.
  private struct Useless: Error {
    var text: String
    /// The one that it names; nil: none.
    var logicalSwitch: RowID?
  }

  private static func place(_ id: RowID, _ row: OVSDBRow) -> Result<AddressKey, Useless> {
    guard let typed = HardwareVTEP.UcastMAC(id, row) else {
      return .failure(Useless(text: "its address, logical switch or locator is missing", logicalSwitch: nil))
    }
    func failure(_ text: String) -> Result<AddressKey, Useless> { .failure(Useless(text: text, logicalSwitch: typed.logicalSwitch)) }
    guard let mac = MACAddress(database: typed.mac) else { return failure("'\(typed.mac)' is not a MAC address") }
    if let reason = mac.reasonAgainstStation { return failure("\(mac) is \(reason)") }
    return .success(AddressKey(logicalSwitch: typed.logicalSwitch, mac: mac))
  }

  /// The address in the data plane's form; nil if its logical switch is not forwarded.
  private mutating func address(of place: AddressKey) -> ControllerEdit.Address? {
    guard let vni = vnis[place.logicalSwitch] else {
      if let id = rows[place], let replica, replica[HardwareVTEP.Table.logicalSwitch.rawValue, place.logicalSwitch] == nil {
        unreachable[id] = Useless(text: "there is no logical switch \(place.logicalSwitch)", logicalSwitch: place.logicalSwitch)
      }
      return nil
    }
    var destination: TunnelDestination?
    if let id = rows[place], let replica, let row = replica.one(HardwareVTEP.UcastMAC.self, in: .ucastMacsRemote, id) {
      switch locators.destination(row.locator, replica, vni: vni) {
      case .success(let found):
        destination = found
        unreachable[id] = nil
      case .failure(let reason): unreachable[id] = Useless(text: reason.text, logicalSwitch: place.logicalSwitch)
      }
    }
    return ControllerEdit.Address(vni: vni, mac: place.mac, destination: destination, addresses: ipAddresses(of: place))
  }

  /// What `ipaddr` says, in all rows of the address.
  private mutating func ipAddresses(of place: AddressKey) -> [IPAddress] {
    var found: Set<IPAddress> = []
    for id in rivals[place] ?? Set([rows[place]].compactMap(\.self)) {
      let text = replica?.one(HardwareVTEP.UcastMAC.self, in: .ucastMacsRemote, id)?.ipAddress.trimmed ?? ""
      oddAddresses[id] = nil
      guard !text.isEmpty else { continue }
      if let address = IPAddress(database: text) {
        if let reason = address.reasonAgainstHost { oddAddresses[id] = "\(address) is \(reason)" } else { found.insert(address) }
      } else {
        oddAddresses[id] = "'\(text)' is not an IP address"
      }
    }
    return found.sorted()
  }
}

extension TableChange {
  /// The row was inserted or deleted, or one of these columns changed.
  fileprivate func concerns(_ columns: Set<String>) -> Bool {
    old == nil || new == nil || changedColumns.contains { columns.contains($0) }
  }
}
