// Publisher: from what this switch has to say, and what the database says, to the operations that make the second the first.
// I/O-free. Only the difference is written, and only what is ours: our Physical_Switch and its ports, local addresses with our
// locator, and the status columns of rows that concern us. Aspects: +Switch, +Addresses, +Status.

import Encap
import OVSDBClient
import VTEP

struct Publisher {
  /// Local addresses that we have published, or found published and known ourselves. Others with our locator are from before our
  /// start: they stay for a while, for the stations may not have spoken yet.
  var known: Set<ControllerMapping.Place> = []
  /// When addresses from before our start are given up, on the caller's clock.
  let adoptionEndSeconds: Double
  private var hasEndedAdoption = false
  /// What rows of counters had when we saw them first, less what we had counted: so that counters go on after a restart.
  var countersBefore: [RowID: SwitchState.Traffic] = [:]
  /// Bindings whose row of counters we have just inserted: it began with ours.
  var newCounters: Set<ControllerLayer.Binding> = []

  typealias Counters = [ControllerLayer.Binding: SwitchState.Traffic]

  init(adoptionEndSeconds: Double) {
    self.adoptionEndSeconds = adoptionEndSeconds
  }

  /// Whether addresses from before our start are to be given up now; true once.
  mutating func endAdoption(now: Double) -> Bool {
    guard !hasEndedAdoption, now >= adoptionEndSeconds else { return false }
    hasEndedAdoption = true
    return true
  }

  /// How long addresses from before our start stay: as long as an address is remembered that is silent.
  static let adoptionSeconds = 300.0

  /// Operations of one transaction.
  struct Plan {
    let state: SwitchState
    let replica: Replica
    /// Logical switches that are forwarded, with or without a key.
    let logicalSwitches: [VNI: RowID]
    /// The controller says that the address is elsewhere.
    let isRemote: (ControllerMapping.Place) -> Bool
    var operations: [OVSDBOperation] = []
    /// Our locator was inserted in this transaction.
    private var hasNewLocator = false

    init(_ state: SwitchState, _ replica: Replica, _ mapping: ControllerMapping) {
      self.state = state
      self.replica = replica
      logicalSwitches = Dictionary(mapping.vnis.map { ($0.value, $0.key) }) { first, _ in first }
        .merging(state.heldSwitches) { keyed, _ in keyed }
      isRemote = mapping.isRemote
    }

    /// Adds an operation, as far as the server's schema has what it needs.
    mutating func add(_ operation: OVSDBOperation?) {
      if let fitting = operation?.fitted(to: replica.schema) { operations.append(fitting) }
    }

    /// The locator that stands for us, from the database or made with this transaction. Nil: we have no address.
    mutating func ownLocator() -> OVSDBAtom? {
      guard let ip = state.tunnelAddress?.description else { return nil }
      if let id = ownLocatorIDs.min() { return .uuid(id) }
      if !hasNewLocator {
        hasNewLocator = true
        let row = HardwareVTEP.Locator(encapsulation: HardwareVTEP.Locator.vxlan, destinationIP: ip)
        add(row.insertion(into: .locator, name: "locator"))
      }
      return .named("locator")
    }

    /// Rows that say what our locator says.
    lazy var ownLocatorIDs: Set<RowID> = locators(of: state.tunnelIPs)

    /// Rows that say what our locator said, by the addresses that are still published.
    lazy var formerLocatorIDs: Set<RowID> = locators(
      of: replica.physicalSwitch(named: state.name)?.tunnelIPs.subtracting(state.tunnelIPs) ?? [])

    private func locators(of addresses: Set<String>) -> Set<RowID> {
      guard !addresses.isEmpty else { return [] }
      let rows = replica.all(HardwareVTEP.Locator.self, in: .locator)
      return Set(rows.values.filter { addresses.contains($0.destinationIP) && ($0.tunnelKey ?? 0) == 0 }.map(\.id))
    }
  }

  /// Operations of one transaction at most; what is left over comes with the next call.
  static let batch = 2000

  /// What takes all that is ours out of the database.
  func withdrawal(_ mapping: ControllerMapping) -> [OVSDBOperation] {
    guard let replica = mapping.replica, let own = replica.physicalSwitch(named: mapping.switchName) else { return [] }
    var state = SwitchState(name: own.name, description: own.description)
    state.tunnelAddress = own.tunnelIPs.compactMap(IPAddress.init).min()
    var plan = Plan(state, replica, mapping)
    withdrawAddresses(&plan)
    let list = OVSDBMutation("switches", .delete, OVSDBDatum(own.id))
    plan.add(.mutate(table: HardwareVTEP.Table.global.rawValue, where: [], mutations: [list]))
    return plan.operations
  }

  /// What is to be done; empty: the database says it all.
  ///
  /// - Parameters:
  ///   - mapping: has mapped `replica`.
  ///   - counters: of the bindings that the controller made; nil: they are not to be written now.
  ///   - now: in seconds, on the clock of `adoptionEndSeconds`.
  mutating func operations(
    _ state: SwitchState, _ mapping: ControllerMapping, counters: Counters? = nil, now: Double
  ) -> [OVSDBOperation] {
    guard let replica = mapping.replica else { return [] }
    var plan = Plan(state, replica, mapping)
    publishSwitch(&plan)
    publishAddresses(&plan, now: now)
    publishFloodSets(&plan)
    publishStatus(&plan)
    if let counters { publishCounters(counters, &plan) }
    return plan.operations
  }
}
