// OVSDBClient: keeps a replica of a database across connections. Reconnect decides when and where to connect, Connection carries
// bytes, Session turns them into events, and ClusterPolicy decides when to switch to another member.
// Aspects: +Connections (dialling, listening, serving).

import Logging
import NIOCore
import NIOPosix

/// A client of one OVSDB database, on one server or on the members of one cluster. `run` does the work; everything else may be
/// called at any time.
public actor OVSDBClient {
  /// The database's events, for one consumer. Ends when `run` ends. Events not taken in time are merged.
  public nonisolated var events: AsyncStream<ClientEvent> {
    AsyncStream { [mailbox] in await mailbox.next() }
  }

  let remotes: [Remote]
  let tls: TLSSettings?
  let database: String
  let dscp: Int
  let log: Logger
  let group: any EventLoopGroup
  let clock = ContinuousClock()
  let origin: ContinuousClock.Instant
  private nonisolated let mailbox = EventMailbox()

  var session: Session
  /// When to connect where: one for all remotes that we dial, and one for each that connects to us. Never empty.
  var schedules: [Reconnect]
  /// The schedule whose connection is open, or being opened: there is one at a time.
  var turn: Int? { didSet { if turn == nil { wakeWaiting() } } }
  /// The schedules that want it.
  var waiting: [CheckedContinuation<Void, Never>] = []
  var policy: ClusterPolicy
  /// The current connection.
  var channel: (any Channel)?
  /// The peer's address, for messages.
  var peer = ""
  /// The TLS files that the current connection uses.
  var material: TLSMaterial?
  /// The wait before the next attempt.
  private var pause: Task<Void, Never>?
  /// Why we closed the current connection.
  var plannedEnding: Reconnect.Ending?
  /// True after `connected`, until `disconnected`: consumers know that the replica is current.
  private var isReplicated = false
  private var transactions: [RequestID: CheckedContinuation<Result<[OperationResult], OVSDBError>, Never>] = [:]
  private var requests: [RequestID: CheckedContinuation<Result<JSONValue, OVSDBError>, Never>] = [:]

  /// - Parameters:
  ///   - remotes: at least one; several are the members of one cluster, or ways to it. The one that connects first is used until its
  ///     connection ends.
  ///   - tls: needed for `ssl:` and `pssl:`.
  ///   - columns: what to replicate: tables and their columns (empty list: all columns); nil: everything. Columns missing from the
  ///     server's schema are skipped.
  ///   - inactivityProbeSeconds: seconds of silence before the server is probed; after as many again without an answer, the
  ///     connection is closed. 0: never.
  ///   - longestPauseSeconds: between attempts to connect, at least 1.
  ///   - dscp: of our packets, 0 to 63.
  public init(
    remotes: [Remote], tls: TLSSettings?, database: String, columns: [String: [String]]?, inactivityProbeSeconds: Double = 5,
    longestPauseSeconds: Double = 8, dscp: Int = 48, logger: Logger
  ) {
    self.remotes = remotes
    self.tls = tls
    self.database = database
    self.dscp = dscp
    log = logger
    group = MultiThreadedEventLoopGroup.singleton
    origin = clock.now
    // With one remote there is no choice: any member forwards transactions to the leader.
    let requiresLeader = remotes.count > 1
    session = Session(
      SessionConfiguration(
        database: database, columns: columns, requiresLeader: requiresLeader,
        probeInterval: inactivityProbeSeconds > 0 ? .seconds(inactivityProbeSeconds) : nil))
    let active = remotes.filter { !$0.isPassive }
    schedules = active.isEmpty ? [] : [Reconnect(active, longestPause: longestPauseSeconds, now: 0)]
    schedules += remotes.filter(\.isPassive).map { Reconnect([$0], now: 0) }
    policy = ClusterPolicy(requiresLeader: requiresLeader)
  }

  /// Connects, and reconnects whenever the connection is lost, until the task is cancelled. Call it once.
  public func run() async {
    defer { mailbox.finish() }
    await withTaskGroup { tasks in
      for index in schedules.indices {
        let isPassive = schedules[index].currentRemote.isPassive
        tasks.addTask { if isPassive { await self.listen(index) } else { await self.dial(index) } }
      }
    }
  }

  func wait(_ seconds: Double) async {
    let pause = Task<Void, Never> { try? await Task.sleep(for: .seconds(seconds)) }
    self.pause = pause
    await withTaskCancellationHandler {
      await pause.value
    } onCancel: {
      pause.cancel()
    }
    self.pause = nil
  }

  /// Ends the pause between two attempts: the cause of the failure may be gone.
  public func connectNow() {
    for index in schedules.indices { schedules[index].endPause() }
    pause?.cancel()
  }

  /// The state of each remote, in the configured order.
  public var status: [RemoteStatus] {
    let all = schedules.indices.flatMap { index in
      schedules[index].status(now: now).map { status in
        // Whoever connects to us may still do so, but we dial nobody while another connection is in use.
        guard channel != nil, turn != index, !status.remote.isPassive else { return status }
        var status = status
        status.state = .void
        return status
      }
    }
    return remotes.compactMap { remote in all.first { $0.remote == remote } }
  }

  /// The last known contents of the database; nil before the first connection.
  public var replica: Replica? { session.replica }

  /// Runs operations on the server as one transaction: all or none.
  ///
  /// - Returns: one result for each operation.
  /// Cancelling the task asks the server to abandon a pending `wait`; the answer is awaited all the same.
  ///
  /// - Throws: `transaction` if the server rejects them; `notConnected` if they were not sent; `unknownOutcome` if the connection
  ///   is lost before the answer arrives.
  public func transact(_ operations: [OVSDBOperation]) async throws(OVSDBError) -> [OperationResult] {
    let id = try session.transact(operations)
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        transactions[id] = continuation
        sendOutput()
      }
    } onCancel: {
      Task { await self.cancel(id) }
    }
    return try result.get()
  }

  private func cancel(_ id: RequestID) {
    session.cancel(id)
    sendOutput()
  }

  /// Sends any request, for example `listDatabases`.
  ///
  /// - Returns: the result as the server sent it.
  /// - Throws: `refused` by the server; `notConnected` and `unknownOutcome` as for `transact`.
  public func request(_ request: OVSDBRequest) async throws(OVSDBError) -> JSONValue {
    let id = try session.send(request)
    let result = await withCheckedContinuation { continuation in
      requests[id] = continuation
      sendOutput()
    }
    return try result.get()
  }

  /// Requests a lock (RFC 7047 §4.1.8), now and on every later connection, until `unlock`.
  ///
  /// - Parameter steal: takes the lock from its owner.
  public func lock(_ name: String, steal: Bool = false) {
    session.lock(name, steal: steal)
    sendOutput()
  }

  /// Releases a lock and stops requesting it.
  public func unlock(_ name: String) {
    session.unlock(name)
    sendOutput()
  }

  /// Whether the server has granted us the lock.
  public func holds(lock name: String) -> Bool { session.holds(lock: name) }

  /// Rereads key and certificates. If they have changed and are valid, reconnects with them. The replica stays; the server is asked
  /// only for the difference.
  public func reloadCertificates() {
    guard let tls else { return }
    guard let material, let channel else { return connectNow() }
    do {
      let new = try TLSMaterial(reading: tls)
      guard new != material else { return }
      _ = try TLSContext(new)
      log.notice("OVSDB: key or certificates have changed, reconnecting")
      end(channel, .renewed("key or certificates have changed"))
    } catch {
      log.error("OVSDB: cannot use the new key or certificates, keeping the old ones: \(error)")
    }
  }

  // -- time ------------------------------------------------------------------------------------------------------------

  /// Seconds since this client was created.
  var now: Double { (clock.now - origin) / .seconds(1) }

  /// The session's next timer.
  var sessionDeadline: ContinuousClock.Instant { session.deadline ?? clock.now.advanced(by: .seconds(3600)) }

  // -- the session --------------------------------------------------------------------------------------------------------

  /// Acts on the session's events.
  func handle(_ events: [SessionEvent]) {
    for event in events {
      switch event {
      case .server(let row):
        if let objection = policy.objection(to: row, database), let channel { end(channel, .unsuitable(objection)) }
      case .connected(let replica):
        if let turn { schedules[turn].becameUseful(now: now) }
        log.notice("OVSDB: \(database) is replicated from \(peer)", metadata: ["rows": "\(replica.rowCount)"])
        isReplicated = true
        mailbox.post(.connected(replica))
      case .changed(let changes, let replica): mailbox.post(.changed(changes, replica))
      case .transaction(let id, let result): transactions.removeValue(forKey: id)?.resume(returning: result)
      case .failed(let error):
        if let channel { end(channel, .failed("\(error)")) }
      case .reply(let id, let result): requests.removeValue(forKey: id)?.resume(returning: result)
      case .lock, .notification: break
      }
    }
    sendOutput()
  }

  /// Tells the consumer that the replica is no longer updated.
  func disconnected(_ reason: String) {
    guard isReplicated else { return }
    isReplicated = false
    mailbox.post(.disconnected(reason))
  }

  func sendOutput() {
    let bytes = session.takeOutput()
    guard !bytes.isEmpty, let channel else { return }
    channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
  }

  /// Closes the current connection. The first reason counts.
  func end(_ channel: any Channel, _ ending: Reconnect.Ending) {
    if plannedEnding == nil { plannedEnding = ending }
    channel.close(promise: nil)
  }
}
