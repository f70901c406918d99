// ControllerAgent: connects the controller's database and the data plane. It maps the database's content to edits for the
// reconciler, compares the switch's state with the database and writes the difference (+Publish). Without a connection, forwarding
// continues on the last known state, which a file preserves across restarts.

import Encap
import Logging
import OVSDBClient
import VTEP
import VTEPControl

actor ControllerAgent {
  let log: Logger
  /// The name of our Physical_Switch.
  let name: String
  private let file: ControllerStateFile
  private let clock = ContinuousClock()
  private let origin: ContinuousClock.Instant
  private(set) var reconciler: Reconciler?
  private(set) var settings = OVSDBSettings()

  // From the database.
  var mapping: ControllerMapping
  private(set) var hold = ControllerHold(emptySeconds: 300)
  /// The controller's requests that cannot be met, for the operator.
  private(set) var told: Set<String> = []

  // To the database.
  var publisher: Publisher
  var identity: SwitchIdentity
  private(set) var transactions = TransactionLog()
  /// The current connection, while its replica is updated.
  var client: OVSDBClient?
  /// The database has changed since the last comparison with the state to publish.
  var hasNews = false
  /// The state to publish at that comparison.
  var compared: SwitchState?
  var stations: (version: Reconciler.StationsVersion, all: Set<LocalStation>)?
  /// The part of the state to publish that depends only on the desired state.
  var described: (revision: UInt64, state: SwitchState)?
  var nextCounters = 0.0
  /// Seconds on our clock; no transaction before.
  var pauseEnd = 0.0
  /// The rows that we inserted last; while one is missing from the replica, the replica is behind.
  var awaited: (rows: [RowID], until: Double)?
  var isPublishing = false
  /// Our rows are removed from the database; nothing more is written.
  var isWithdrawn = false

  // The saved state.
  private var isUnsaved = false
  private var nextSave = 0.0

  init(name: String, addresses: [IPAddress], stateDirectory: String, log: Logger) {
    self.name = name
    self.log = log
    origin = clock.now
    identity = SwitchIdentity(stateDirectory: stateDirectory)
    mapping = ControllerMapping(switchName: name, formerRow: identity.row, addresses: addresses)
    publisher = Publisher(adoptionEndSeconds: Publisher.adoptionSeconds)
    file = ControllerStateFile(stateDirectory: stateDirectory)
    if let problem = identity.problem { log.warning("controller: \(problem)") }
  }

  /// Seconds since the agent was created.
  var now: Double { (clock.now - origin) / .seconds(1) }

  /// Sets the data plane and restores the controller's state from before the last stop.
  func start(_ reconciler: Reconciler, restoring: Bool) async {
    if restoring {
      do {
        if let edit = try file.load() {
          await reconciler.follow(edit)
          log.notice(
            "controller: restored the saved state",
            metadata: ["logical_switches": "\(edit.layer?.switches.count ?? 0)", "addresses": "\(edit.addresses.count)"])
        }
      } catch {
        log.error("controller: cannot restore the saved state: \(error)")
      }
    }
    self.reconciler = reconciler
  }

  /// Follows a database until the task is cancelled.
  func follow(_ client: OVSDBClient, _ settings: OVSDBSettings) async {
    hold.emptySeconds = Double(settings.staleHoldSeconds)
    self.settings = settings
    described = nil
    isWithdrawn = false
    await withTaskGroup { group in
      group.addTask {
        guard let reconciler = await self.startedReconciler() else { return }
        for await event in client.events { await self.handle(event, client, reconciler) }
      }
      group.addTask {
        while let reconciler = await self.startedReconciler() { await self.tick(reconciler) }
      }
    }
    self.client = nil
    if let reconciler { await save(reconciler) }
  }

  /// Waits for the data plane to start, checking five times per second; nil if the task is cancelled.
  private func startedReconciler() async -> Reconciler? {
    while !Task.isCancelled {
      try? await Task.sleep(for: .milliseconds(200))
      if let reconciler, !Task.isCancelled { return reconciler }
    }
    return nil
  }

  // -- from the database ---------------------------------------------------------------------------------------------------

  private func handle(_ event: ClientEvent, _ client: OVSDBClient, _ reconciler: Reconciler) async {
    guard !isWithdrawn else { return }
    switch event {
    case .connected(let replica):
      self.client = client
      reconciler.events.note(.controllerUp, "the session with the controller's database is up")
      await apply(mapping.load(replica), isSnapshot: true, reconciler)
    case .changed(let changes, let replica):
      await apply(mapping.update(changes, replica), isSnapshot: false, reconciler)
    case .disconnected(let reason):
      self.client = nil
      log.warning("controller: connection lost, forwarding on the last known state: \(reason)")
      reconciler.events.note(.controllerDown, "connection lost, forwarding on the last known state: \(reason)")
    }
  }

  private func apply(_ edit: ControllerEdit, isSnapshot: Bool, _ reconciler: Reconciler) async {
    hasNews = true
    let running = await reconciler.desired.controller
    let (softened, added) = hold.follow(edit, mapping, running: running, isSnapshot: isSnapshot, now: now)
    tell(added)
    await carryOut(softened, reconciler)
  }

  private func carryOut(_ edit: ControllerEdit, _ reconciler: Reconciler) async {
    guard edit.layer != nil || !edit.addresses.isEmpty || !edit.complete.isEmpty else { return }
    await reconciler.follow(edit)
    isUnsaved = true
  }

  private func tick(_ reconciler: Reconciler) async {
    let ended = hold.expire(isConnected: client != nil, now: now)
    if !ended.isEmpty {
      let gone = ended.filter { !$0.value.hasReturned }
      if !gone.isEmpty { log.warning("controller: no longer forwarded: \(Self.names(gone))") }
      await applyAll(reconciler)
    }
    await publish(reconciler)
    if now >= nextSave { await save(reconciler) }
  }

  /// Applies the whole database.
  func applyAll(_ reconciler: Reconciler) async {
    hasNews = true
    await carryOut(hold.soften(mapping.everything(), mapping), reconciler)
  }

  /// Ends the hold of networks at once.
  ///
  /// - Returns: whether any was held.
  func releaseHold() async -> Bool {
    guard let reconciler, !hold.isEmpty else { return false }
    log.warning("controller: hold released by the operator: \(Self.names(hold.networks))")
    hold.release()
    await applyAll(reconciler)
    return true
  }

  /// Saves the controller's state; the larger it is, the less often.
  private func save(_ reconciler: Reconciler) async {
    guard isUnsaved else { return }
    isUnsaved = false
    let state = await reconciler.controllerState()
    let start = now
    do {
      let lasting = hold.lasting(state.layer)
      try file.save(lasting, state.addresses(of: lasting.switches.keys))
    } catch {
      log.error("controller: cannot save its state to \(file.path): \(error)")
    }
    nextSave = now + max(0.5, 20 * (now - start))
  }

  /// The operator has removed the controller: removes our rows from the database, if it is reachable, and the controller's state
  /// from the data plane.
  func withdraw() async {
    isWithdrawn = true
    if let client {
      let operations = publisher.withdrawal(mapping)
      if !operations.isEmpty { await transact(operations, client) }
    }
    client = nil
    hold.release()
    mapping = ControllerMapping(switchName: name)
    publisher = Publisher(adoptionEndSeconds: 0)
    tell([])
    guard let reconciler else { return }
    await reconciler.follow(ControllerEdit(layer: ControllerLayer()))
    isUnsaved = true
    await save(reconciler)
  }

  // -- for the operator ----------------------------------------------------------------------------------------------------

  /// The controller's current holds and faults.
  struct Report: Sendable {
    var tunnelAddress: IPAddress?
    var held: [HeldNetworkRow]
    var faults: [String]
  }

  func report() async -> Report {
    let held = hold.networks.sorted { $0.key < $1.key }.map { vni, network in
      HeldNetworkRow(
        logicalSwitch: network.settings.name, vni: vni.rawValue, reason: network.reason.rawValue,
        secondsLeft: Int(max(network.endSeconds - now, 0).rounded(.up)))
    }
    let conflicts = await reconciler?.controllerReport().conflicts ?? []
    return Report(
      tunnelAddress: compared?.tunnelAddress, held: held, faults: told.sorted() + conflicts.map(\.description))
  }

  /// Logs newly held networks.
  private func tell(_ held: [VNI: ControllerHold.Network]) {
    let withdrawn = held.filter { $0.value.reason == .withdrawn }
    if !withdrawn.isEmpty {
      log.warning(
        "controller: tunnel key withdrawn; still forwarding for \(Int(hold.graceSeconds)) s: \(Self.names(withdrawn))")
    }
    let wiped = held.filter { $0.value.reason == .databaseEmpty }
    if !wiped.isEmpty {
      log.warning(
        """
        controller: the database is empty; still forwarding for \(Int(hold.emptySeconds)) s: \(Self.names(wiped)) \
        (vtepctl ovsdb release-hold ends that)
        """)
    }
  }

  private static func names(_ networks: [VNI: ControllerHold.Network]) -> String {
    let sorted = networks.sorted { $0.key < $1.key }
    let first = sorted.prefix(10).map { "\($0.value.settings.name) (VNI \($0.key))" }.joined(separator: ", ")
    return sorted.count > 10 ? "\(first) and \(sorted.count - 10) more" : first
  }

  /// Logs new faults, and those that are resolved.
  func tell(_ messages: Set<String>) {
    for message in messages.subtracting(told).sorted() {
      log.warning("controller: \(message)")
      reconciler?.events.note(.controllerRefused, message)
    }
    for message in told.subtracting(messages).sorted() {
      log.notice("controller: resolved: \(message)")
      reconciler?.events.note(.controllerResolved, message)
    }
    told = messages
  }

  /// An event about the database server that vtepd runs.
  func note(server message: String) { reconciler?.events.note(.controllerError, message) }

  func record(_ transaction: TransactionLog.Entry) {
    transactions.add(transaction)
    guard let error = transaction.error else { return }
    log.warning("controller: \(transaction.summary): \(error)")
    reconciler?.events.note(.controllerError, "\(transaction.summary): \(error)")
  }
}
