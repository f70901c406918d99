// Publisher: compares this switch's state with the database and produces the operations that update the database. I/O-free. It
// writes only differences, and only our part: our Physical_Switch and its ports, local addresses with our locator, and the status
// columns of rows that concern us. Aspects: +Switch, +Addresses, +Tunnels, +Routers, +Faults, +Counters.

import Encap
import OVSDBClient
import VTEP

struct Publisher {
  /// Local addresses that we have published, or found published and confirmed. Others with our locator are from before our start:
  /// they stay for a while, because the stations may not have sent anything yet.
  var known: Set<ControllerMapping.AddressKey> = []
  /// VTEPs that have had a Tunnel row since our start.
  var knownTunnels: Set<IPAddress> = []
  /// When to remove addresses from before our start, on the caller's clock.
  let adoptionEndSeconds: Double
  private var hasEndedAdoption = false
  /// Values of counter rows when first seen, minus our own counts at that time, so counters continue after a restart.
  var countersBefore: [RowID: SwitchState.Traffic] = [:]
  /// Bindings whose counter row we have just inserted with our own counts.
  var newCounters: Set<ControllerLayer.Binding> = []

  /// Faults that we have reported, by row; other switches may report in the same rows. An empty set: the row concerns us, without a fault.
  var reportedFaults: [RowID: Set<String>] = [:]

  typealias Counters = [ControllerLayer.Binding: SwitchState.Traffic]

  init(adoptionEndSeconds: Double) {
    self.adoptionEndSeconds = adoptionEndSeconds
  }

  /// Whether to remove addresses from before our start now; true once.
  mutating func endAdoption(now: Double) -> Bool {
    guard !hasEndedAdoption, now >= adoptionEndSeconds else { return false }
    hasEndedAdoption = true
    return true
  }

  /// How long addresses from before our start stay, in seconds: the ageing time.
  static let adoptionSeconds = 300.0

  /// The operations of one transaction.
  struct Plan {
    let state: SwitchState
    let replica: Replica
    /// Logical switches that are forwarded, with or without a key.
    let logicalSwitches: [VNI: RowID]
    /// Whether the controller places the address elsewhere.
    let isRemote: (ControllerMapping.AddressKey) -> Bool
    var operations: [OVSDBOperation] = []
    /// The keys of our locators for logical switches without a key of their own.
    let ownKeys: [RowID: VNI]
    /// Locators that were inserted in this transaction; 0: the one without a key.
    private var newLocators: Set<UInt32> = []

    init(_ state: SwitchState, _ replica: Replica, _ mapping: ControllerMapping) {
      self.state = state
      self.replica = replica
      logicalSwitches = Dictionary(mapping.vnis.map { ($0.value, $0.key) }) { first, _ in first }
        .merging(state.heldSwitches) { keyed, _ in keyed }
      isRemote = mapping.isRemote
      ownKeys = mapping.ownKeys
    }

    /// Adds an operation, limited to what the server's schema supports.
    mutating func add(_ operation: OVSDBOperation?) {
      if let fitting = operation?.fitted(to: replica.schema) { operations.append(fitting) }
    }

    /// Our row of Physical_Switch from before a change of the name.
    lazy var formerSwitch: HardwareVTEP.PhysicalSwitch? = {
      let row = replica.formerSwitch(state.formerRow, addresses: [state.tunnelAddress].compactMap(\.self))
      return row?.name == state.name ? nil : row
    }()

    /// Our locator for a logical switch, from the database or inserted by this transaction. Nil: we have no address.
    ///
    /// - Parameter logicalSwitch: nil: the locator of tunnels and of routers, which has no key.
    mutating func ownLocator(for logicalSwitch: RowID?) -> OVSDBAtom? {
      guard let ip = state.tunnelAddress?.description else { return nil }
      let key = logicalSwitch.flatMap { ownKeys[$0] }
      if let id = ownLocatorIDs.filter({ isOurs($0, for: logicalSwitch) }).min() { return .uuid(id) }
      let name = "locator" + (key?.description ?? "")
      if newLocators.insert(key?.rawValue ?? 0).inserted {
        let row = HardwareVTEP.Locator(
          encapsulation: HardwareVTEP.Locator.vxlan, destinationIP: ip, tunnelKey: key.map { Int64($0.rawValue) })
        add(row.insertion(into: .locator, name: name))
      }
      return .named(name)
    }

    /// Whether a locator with our address has the key that a logical switch has here.
    func isOurs(_ locator: RowID, for logicalSwitch: RowID?) -> Bool {
      let key = replica.one(HardwareVTEP.Locator.self, in: .locator, locator)?.tunnelKey ?? 0
      return key == logicalSwitch.flatMap { ownKeys[$0] }.map { Int64($0.rawValue) } ?? 0
    }

    /// Rows with our address.
    lazy var ownLocatorIDs: Set<RowID> = locators(of: state.tunnelIPs)

    /// Rows of our former locators, by the addresses that are still published.
    lazy var formerLocatorIDs: Set<RowID> = locators(
      of: (replica.physicalSwitch(named: state.name) ?? formerSwitch)?.tunnelIPs.subtracting(state.tunnelIPs) ?? [])

    private func locators(of addresses: Set<String>) -> Set<RowID> {
      guard !addresses.isEmpty else { return [] }
      let rows = replica.all(HardwareVTEP.Locator.self, in: .locator)
      return Set(rows.values.filter { addresses.contains($0.destinationIP) }.map(\.id))
    }
  }

  /// Most operations in one transaction; the next call returns the rest.
  static let batch = 2000

  /// The operations that remove all our rows from the database.
  func withdrawal(_ mapping: ControllerMapping) -> [OVSDBOperation] {
    guard let replica = mapping.replica, let own = replica.physicalSwitch(named: mapping.switchName) else { return [] }
    var state = SwitchState(name: own.name, description: own.description)
    state.tunnelAddress = own.tunnelIPs.compactMap { IPAddress(database: $0) }.min()
    var plan = Plan(state, replica, mapping)
    withdrawAddresses(&plan)
    publishARPSource(nil, &plan)
    let list = OVSDBMutation("switches", .delete, OVSDBDatum(own.id))
    plan.add(.mutate(table: HardwareVTEP.Table.global.rawValue, where: [], mutations: [list]))
    return plan.operations
  }

  /// The operations to run; empty: the database is up to date.
  ///
  /// - Parameters:
  ///   - mapping: has mapped `replica`.
  ///   - counters: of the controller's bindings; nil: do not write them now.
  ///   - now: in seconds, on the clock of `adoptionEndSeconds`.
  mutating func operations(
    _ state: SwitchState, _ mapping: ControllerMapping, counters: Counters? = nil, now: Double
  ) -> [OVSDBOperation] {
    guard let replica = mapping.replica else { return [] }
    var plan = Plan(state, replica, mapping)
    publishSwitch(&plan)
    publishAddresses(&plan, now: now)
    publishFloodSets(&plan)
    publishTunnels(&plan, now: now)
    publishARPSource(state.arpSource, &plan)
    publishFaults(&plan)
    if let counters { publishCounters(counters, &plan) }
    return plan.operations
  }
}
