// OVSDBService: the connection to the controller's database as a service. Starts it from the `ovsdb:` section (with our own server
// if it names no remotes), restarts it when the section changes, and stops it. Without the section it only waits.

import Logging
import OVSDBClient
import ServiceLifecycle

/// Consumes the database's events while the settings stay the same.
typealias OVSDBConsumer = @Sendable (OVSDBClient, OVSDBSettings) async -> Void

actor OVSDBService: Service {
  private let runDirectory: String
  private let stateDirectory: String
  private let columns: [String: [String]]?
  private let log: Logger
  private let consumer: OVSDBConsumer
  private let serverReport: @Sendable (String) async -> Void
  private var settings: OVSDBSettings?
  private var client: OVSDBClient?
  /// Yields when `settings` have changed.
  private let changes: AsyncStream<Void>
  private let change: AsyncStream<Void>.Continuation

  /// - Parameters:
  ///   - columns: what to replicate of the database; nil: all of it.
  ///   - consumer: takes the client's events; cancelled when the settings change, and at the end.
  ///   - serverReport: takes what our own server's end was.
  init(
    configuration: Configuration, columns: [String: [String]]?, log: Logger, consumer: @escaping OVSDBConsumer,
    serverReport: @escaping @Sendable (String) async -> Void = { _ in }
  ) {
    settings = configuration.ovsdb
    runDirectory = configuration.runDirectory
    stateDirectory = configuration.stateDirectory
    self.columns = columns
    self.log = log
    self.consumer = consumer
    self.serverReport = serverReport
    (changes, change) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
  }

  func run() async throws {
    await cancelWhenGracefulShutdown { await self.follow() }
  }

  /// Applies a new `ovsdb:` section; nil: it was removed.
  func apply(_ new: OVSDBSettings?) {
    guard new != settings else { return }
    settings = new
    change.yield()
  }

  /// Files with keys and certificates may have changed.
  func reloadCertificates() async {
    await client?.reloadCertificates()
  }

  /// The state of each remote and of the database; nothing without an `ovsdb:` section.
  func status() async -> (remotes: [RemoteStatus], replica: Replica?) {
    guard let client else { return ([], nil) }
    return await (client.status, client.replica)
  }

  /// Checks whether our own server can run, if these settings ask for it.
  ///
  /// - Throws: what is missing, and what to install.
  func check(_ settings: OVSDBSettings?) throws(EmbeddedServerError) {
    guard let settings, settings.isEmbedded else { return }
    try server(settings).check()
  }

  private func follow() async {
    while !Task.isCancelled {
      let settings = settings
      await withTaskGroup(of: Void.self) { tasks in
        if let settings { tasks.addTask { await self.connect(settings) } }
        tasks.addTask { for await _ in self.changes { return } }
        // The connection ends only when cancelled, so this is a change of the settings, or the end.
        await tasks.next()
        tasks.cancelAll()
      }
    }
  }

  private func connect(_ settings: OVSDBSettings) async {
    let server = settings.isEmbedded ? server(settings) : nil
    let client = OVSDBClient(
      remotes: server.map { [$0.remote] } ?? settings.remotes, tls: settings.tls, database: DatabaseFile.name, columns: columns,
      inactivityProbeSeconds: Double(settings.inactivityProbeSeconds), longestPauseSeconds: Double(settings.maxBackoffSeconds),
      dscp: settings.dscp, logger: log)
    self.client = client
    defer { self.client = nil }
    let consumer = consumer
    await withTaskGroup(of: Void.self) { tasks in
      tasks.addTask { await consumer(client, settings) }
      if let server {
        let (starts, start) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        tasks.addTask {
          await server.run {
            start.yield()
            await client.connectNow()
          }
        }
        // Not before there is a server to connect to.
        for await _ in starts { break }
      }
      tasks.addTask { await client.run() }
      await tasks.waitForAll()
    }
  }

  private func server(_ settings: OVSDBSettings) -> EmbeddedServer {
    EmbeddedServer(
      runDirectory: runDirectory, stateDirectory: stateDirectory, tls: settings.tls,
      probeSeconds: settings.inactivityProbeSeconds, log: log, report: serverReport)
  }
}
