// Daemon: holds the configuration and the data plane together. Changes from the file, SIGHUP and vtepctl all become edits of one
// desired state, which the reconciler makes one after the other. Daemon+Configurations changes the configuration as a whole.

import Encap
import Logging
import NIOPosix
import Synchronization
import VTEP
import VTEPControl

actor Daemon {
  let log: Logger
  /// The path of the configuration file.
  nonisolated let path: String
  /// The file as last read. Changes to the file are differences from this, so additions by vtepctl stay.
  var configuration: Configuration
  /// What to start with, besides the file.
  let initialState: DesiredState
  /// The connection to the controller's database.
  nonisolated let ovsdb: OVSDBService
  nonisolated let controller: ControllerAgent
  nonisolated let queriers = QuerierWatch()
  private var listening: Task<Void, Never>?
  nonisolated let metrics: MetricsServer
  private nonisolated let keeper: StateKeeper
  private var reconciler: Reconciler?
  /// Nil before the data plane starts.
  private nonisolated let events = Mutex<EventLog?>(nil)
  private(set) var state = DaemonStatus.State.starting

  // -- earlier configurations: Daemon+Configurations --
  let history: HistoryFolder
  /// The state-dir in force: that of the configuration at the start.
  let stateDirectory: String
  /// The latest entry of the history; nil: there is none yet.
  var recorded: ConfigurationState?
  /// A change that waits for confirmation.
  var trial: PendingTrial?
  /// The text of the file, when it was last known to be in force or undone; nil: never.
  var knownFileText: String?
  private var isChanging = false
  private var waiting: [CheckedContinuation<Void, Never>] = []

  /// - Parameters:
  ///   - desired: what to start with; nil: what the configuration says.
  ///   - fileText: what the file at `path` says; nil: unknown.
  init(configuration: Configuration, desired: DesiredState? = nil, fileText: String? = nil, path: String, log: Logger) {
    self.configuration = configuration
    initialState = desired ?? configuration.desired
    knownFileText = fileText
    stateDirectory = configuration.stateDirectory
    var history = HistoryFolder(stateDirectory: configuration.stateDirectory)
    history.warn = { log.error("\($0)") }
    self.history = history
    self.path = path
    self.log = log
    keeper = StateKeeper(stateDirectory: configuration.stateDirectory, log: log)
    let agent = ControllerAgent(
      name: configuration.name, addresses: initialState.underlay.addresses, stateDirectory: configuration.stateDirectory, log: log)
    controller = agent
    metrics = MetricsServer(log: log)
    ovsdb = OVSDBService(
      configuration: configuration, columns: nil, log: log, consumer: { client, settings in await agent.follow(client, settings) },
      serverReport: { await agent.note(server: $0) })
  }

  func start() async throws {
    let loading = Task.detached { [keeper] in keeper.file.load() }
    let reconciler = try await Reconciler(
      dataplane: configuration.dataplane, desired: initialState, hostName: configuration.name,
      runDirectory: configuration.runDirectory, loading: loading, tapStore: ServiceManager.tapStore, log: log)
    events.withLock { $0 = reconciler.events }
    await controller.start(reconciler, restoring: configuration.ovsdb != nil)
    if let restored = try await reconciler.begin() { log.notice("\(restored.text)") }
    await keeper.start(reconciler)
    self.reconciler = reconciler
    await recordStart()
    state = .running
    listening = Task { [weak self] in
      while !Task.isCancelled {
        await self?.listenForQueriers()
        try? await Task.sleep(for: .seconds(QuerierWatch.interval))
      }
    }
    log.notice("vtepd \(Version.text) is running", metadata: ["name": "\(configuration.name)"])
  }

  func stop() async {
    state = .stopping
    endTrial()
    listening?.cancel()
    await queriers.stop()
    await keeper.stop()
    await reconciler?.stop { [keeper, log] state in
      do {
        try keeper.file.save(state.bytes(boot: RestartFile.boot))
      } catch {
        log.error("learned addresses and counters are not saved, and the next run does not know them: \(error)")
      }
    }
    log.notice("vtepd stopped")
  }

  /// Reports an event of the configuration; the log has it already.
  nonisolated func note(_ type: EventType, _ text: String) { events.withLock(\.self)?.note(type, text) }

  /// A change that somebody has asked for, or that was refused.
  nonisolated func noteChange(_ text: String, isRefused: Bool) { note(isRefused ? .configRefused : .configApplied, text) }

  /// The data plane.
  ///
  /// - Throws: `unavailable` while the daemon starts or stops.
  func running() throws(ControlError) -> Reconciler {
    guard state == .running, let reconciler else {
      throw ControlError(.unavailable, "the daemon is \(state.rawValue)")
    }
    return reconciler
  }

  /// Makes `new` the configuration, and what `edit` makes of the running state the running state; all of it or nothing.
  ///
  /// - Parameter isTolerant: for a return to what has run before: as for `Reconciler.apply`.
  func change(
    to new: Configuration, isTolerant: Bool = false, _ edit: @escaping @Sendable (DesiredState) throws -> DesiredState
  ) async throws(ControlError) {
    let reconciler = try running()
    do {
      if !isTolerant { try await ovsdb.check(new.ovsdb) }
      // What cannot be listened on must not hold up a return to what has run before.
      do { try await metrics.open(new.metrics) } catch { if !isTolerant { throw error } }
      try await reconciler.change(isTolerant: isTolerant, edit)
    } catch {
      await metrics.apply(configuration.metrics)
      throw Self.refusal(error)
    }
    let old = configuration
    configuration = new
    await metrics.apply(new.metrics)
    if old.ovsdb != nil, new.ovsdb == nil { await controller.withdraw() }
    await ovsdb.apply(new.ovsdb)
  }

  /// Carries out a command that edits the desired state.
  func change(_ command: some DesiredStateEdit) async throws(ControlError) -> ChangeAnswer {
    try await edit { state throws(ControlError) in try state.applying(command) }
  }

  /// Edits the desired state.
  func edit(_ body: @escaping @Sendable (DesiredState) throws(ControlError) -> DesiredState) async throws(ControlError) -> ChangeAnswer {
    try await oneAtATime { () async throws(ControlError) in
      let reconciler = try running()
      do {
        return ChangeAnswer(changed: try await reconciler.change { try body($0) })
      } catch {
        throw Self.refusal(error)
      }
    }
  }

  /// Runs `body` when no other change is under way: a change of the configuration has several steps.
  func oneAtATime<Result: Sendable>(_ body: () async throws(ControlError) -> Result) async throws(ControlError) -> Result {
    while isChanging { await withCheckedContinuation { waiting.append($0) } }
    isChanging = true
    defer {
      isChanging = false
      if !waiting.isEmpty { waiting.removeFirst().resume() }
    }
    return try await body()
  }

  /// Runs what waits for a disk on a thread that may.
  nonisolated func onThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await NIOThreadPool.singleton.runIfActive(body)
  }

  static func refusal(_ error: any Error) -> ControlError {
    error as? ControlError ?? ControlError(.refused, "\(error)")
  }
}
