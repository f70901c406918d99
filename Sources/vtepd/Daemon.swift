// Daemon: holds the configuration and the data plane together. Changes from the file, SIGHUP and vtepctl all become edits of one
// desired state, which the reconciler makes one after the other.

import Encap
import Logging
import VTEP
import VTEPControl

actor Daemon {
  let log: Logger
  /// The path of the configuration file.
  nonisolated let path: String
  /// The file as last read. Changes to the file are differences from this, so additions by vtepctl stay.
  private(set) var configuration: Configuration
  /// The connection to the controller's database.
  nonisolated let ovsdb: OVSDBService
  nonisolated let controller: ControllerAgent
  nonisolated let queriers = QuerierWatch()
  private var listening: Task<Void, Never>?
  nonisolated let metrics: MetricsServer
  private var reconciler: Reconciler?
  private(set) var state = DaemonStatus.State.starting

  init(configuration: Configuration, path: String, log: Logger) {
    self.configuration = configuration
    self.path = path
    self.log = log
    let agent = ControllerAgent(name: configuration.name, stateDirectory: configuration.stateDirectory, log: log)
    controller = agent
    metrics = MetricsServer(log: log)
    ovsdb = OVSDBService(configuration: configuration, columns: nil, log: log) { client, settings in
      await agent.follow(client, settings)
    }
  }

  func start() async throws {
    let reconciler = try await Reconciler(
      dataplane: configuration.dataplane, desired: configuration.desired, hostName: configuration.name,
      runDirectory: configuration.runDirectory, log: log)
    await controller.start(reconciler, restoring: configuration.ovsdb != nil)
    self.reconciler = reconciler
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
    listening?.cancel()
    await queriers.stop()
    await reconciler?.stop()
    log.notice("vtepd stopped")
  }

  /// The data plane.
  ///
  /// - Throws: `unavailable` while the daemon starts or stops.
  func running() throws(ControlError) -> Reconciler {
    guard state == .running, let reconciler else {
      throw ControlError(.unavailable, "the daemon is \(state.rawValue)")
    }
    return reconciler
  }

  /// Applies the difference between the last configuration and `new`.
  func apply(_ new: Configuration) async throws(ControlError) -> ConfigurationAnswer {
    let reconciler = try running()
    let old = configuration
    let differing = old.desired.differingVNIs(in: new.desired)
    do {
      try await ovsdb.check(new.ovsdb)
      try await metrics.open(new.metrics)
      try await reconciler.change { try $0.merging(from: old.desired, to: new.desired, differing: differing) }
    } catch {
      await metrics.apply(old.metrics)
      throw Self.refusal(error)
    }
    configuration = new
    await metrics.apply(new.metrics)
    if old.ovsdb != nil, new.ovsdb == nil { await controller.withdraw() }
    await ovsdb.apply(new.ovsdb)
    return ConfigurationAnswer(changes: old.changes(to: new, differing: differing), needsRestart: old.keysNeedingRestart(for: new))
  }

  /// Carries out a command that edits the desired state.
  func change(_ edit: some DesiredStateEdit) async throws(ControlError) -> ChangeAnswer {
    let reconciler = try running()
    do {
      return ChangeAnswer(changed: try await reconciler.change { try $0.applying(edit) })
    } catch {
      throw Self.refusal(error)
    }
  }

  static func refusal(_ error: any Error) -> ControlError {
    error as? ControlError ?? ControlError(.refused, "\(error)")
  }
}
