// OVSDBClient: keeps a replica of a database across connections. Combines the parts: Reconnect decides when and where to connect,
// Connection carries bytes, Session turns them into events, ClusterPolicy decides when to move on to another member.
// Aspects: +Connections (dialling, listening, serving).

import Logging
import NIOCore
import NIOPosix

/// A client of one OVSDB database, on one server or on the members of one cluster. `run` does the work; everything else may
/// be called at any time.
public actor OVSDBClient {
  /// The database's events, for one consumer. Ends when `run` has ended. Events that are not taken in time are merged.
  public nonisolated var events: AsyncStream<ClientEvent> {
    AsyncStream { [mailbox] in await mailbox.next() }
  }

  let remotes: [Remote]
  let tls: TLSSettings?
  let database: String
  let log: Logger
  let group: any EventLoopGroup
  let clock = ContinuousClock()
  let origin: ContinuousClock.Instant
  private nonisolated let mailbox = EventMailbox()

  var session: Session
  var reconnect: Reconnect
  var policy: ClusterPolicy
  /// The connection in use.
  var channel: (any Channel)?
  /// Its peer, for messages.
  var peer = ""
  /// The TLS settings of the connection in use.
  var material: TLSMaterial?
  /// The wait before the next attempt.
  private var pause: Task<Void, Never>?
  /// Why we have closed the connection in use.
  var plannedEnding: Reconnect.Ending?
  /// The events say that the replica is kept up to date.
  private var isReplicated = false
  private var transactions: [RequestID: CheckedContinuation<Result<[OperationResult], OVSDBError>, Never>] = [:]
  private var requests: [RequestID: CheckedContinuation<Result<JSONValue, OVSDBError>, Never>] = [:]

  /// - Parameters:
  ///   - remotes: at least one; several are the members of one cluster. One that the server connects to stands alone.
  ///   - tls: needed for `ssl:` and `pssl:`.
  ///   - columns: what to replicate: tables with their columns (an empty list: all); nil: everything. What the server's schema
  ///     lacks is left out.
  ///   - inactivityProbeSeconds: silence after which the server is probed, and after as long again without an answer the
  ///     connection is closed; 0: never.
  public init(
    remotes: [Remote], tls: TLSSettings?, database: String, columns: [String: [String]]?, inactivityProbeSeconds: Double = 5,
    logger: Logger
  ) {
    self.remotes = remotes
    self.tls = tls
    self.database = database
    log = logger
    group = MultiThreadedEventLoopGroup.singleton
    origin = clock.now
    // With one remote there is nothing to choose: any member passes transactions on to the leader.
    let requiresLeader = remotes.count > 1
    session = Session(
      SessionConfiguration(
        database: database, columns: columns, requiresLeader: requiresLeader,
        probeInterval: inactivityProbeSeconds > 0 ? .seconds(inactivityProbeSeconds) : nil))
    reconnect = Reconnect(remotes, now: 0)
    policy = ClusterPolicy(requiresLeader: requiresLeader)
  }

  /// Connects, and again whenever the connection is lost, until the task is cancelled. Call it once.
  public func run() async {
    defer { mailbox.finish() }
    while !Task.isCancelled {
      switch reconnect.next(now: now) {
      case .wait(let until): await wait(until - now)
      case .connect(let remote):
        if remote.isPassive {
          await listen(remote)
        } else {
          await dial(remote)
        }
      }
    }
  }

  private func wait(_ seconds: Double) async {
    let pause = Task<Void, Never> { try? await Task.sleep(for: .seconds(seconds)) }
    self.pause = pause
    await withTaskCancellationHandler {
      await pause.value
    } onCancel: {
      pause.cancel()
    }
    self.pause = nil
  }

  /// Ends the pause between two attempts, since the cause of the failure may be gone.
  public func connectNow() {
    reconnect.endPause()
    pause?.cancel()
  }

  /// State of each remote.
  public var status: [RemoteStatus] { reconnect.status(now: now) }

  /// What the database contains, as far as it is known; nil before the first connection.
  public var replica: Replica? { session.replica }

  /// Runs operations on the server, all or none of them.
  ///
  /// - Returns: one result for each operation.
  /// Cancelling the task asks the server to give up a `wait` among them; the answer is awaited all the same.
  ///
  /// - Throws: `transaction` when the server refuses them; `notConnected` when they were not sent; `unknownOutcome` when the connection
  ///   was lost before the answer.
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

  /// Asks the server anything, for example `listDatabases`.
  ///
  /// - Returns: the result, as the server gave it.
  /// - Throws: `refused` by the server; `notConnected`, `unknownOutcome` as with `transact`.
  public func request(_ request: OVSDBRequest) async throws(OVSDBError) -> JSONValue {
    let id = try session.send(request)
    let result = await withCheckedContinuation { continuation in
      requests[id] = continuation
      sendOutput()
    }
    return try result.get()
  }

  /// Requests a lock (RFC 7047 §4.1.8), from now on and across connections, until `unlock`.
  ///
  /// - Parameter steal: takes the lock from its holder.
  public func lock(_ name: String, steal: Bool = false) {
    session.lock(name, steal: steal)
    sendOutput()
  }

  /// Releases a lock, and no longer requests it.
  public func unlock(_ name: String) {
    session.unlock(name)
    sendOutput()
  }

  /// Whether the server says that the lock is ours.
  public func holds(lock name: String) -> Bool { session.holds(lock: name) }

  /// Rereads key and certificates. If they have changed and are valid, it reconnects with them, keeps the replica, and asks the server
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

  /// Seconds since this client was made.
  var now: Double { (clock.now - origin) / .seconds(1) }

  /// The session's next timer.
  var sessionDeadline: ContinuousClock.Instant { session.deadline ?? clock.now.advanced(by: .seconds(3600)) }

  // -- the session --------------------------------------------------------------------------------------------------------

  /// Acts on what the session says.
  func handle(_ events: [SessionEvent]) {
    for event in events {
      switch event {
      case .server(let row):
        if let objection = policy.objection(to: row, database), let channel { end(channel, .unsuitable(objection)) }
      case .connected(let replica):
        reconnect.becameUseful(now: now)
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

  /// Tells the consumer that the replica is no longer kept up to date.
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

  /// Closes the connection in use, with the reason. The first reason counts.
  func end(_ channel: any Channel, _ ending: Reconnect.Ending) {
    if plannedEnding == nil { plannedEnding = ending }
    channel.close(promise: nil)
  }
}
