// Watchdog: notices within a second when a worker or io-core does not finish its round. Each counts the time of its rounds, and sleeps for
// a quarter of a second at most: one whose time does not change is stuck. A signal then makes that thread itself write down where it is.

import CDPDK
import Glibc
import Synchronization

final class Watchdog: Sendable {
  private struct Thread: Sendable {
    var name: String
    nonisolated(unsafe) var activity: UnsafeMutablePointer<ActivityCounters>
  }

  private struct Look {
    var cycles: UInt64 = 0
    /// Looks in a row at which the time had not changed.
    var standstills = 0
    var stuckSince: Double?
  }

  private let threads: [Thread]
  private let events: EventLog
  private let stopEvent = cdpdk_event_create()
  private let looks: Mutex<[Look]>

  private static let lookMilliseconds: Int32 = 250
  /// Looks without a change after which a thread counts as stuck: a second, or a moment less.
  private static let patience = 4

  /// - Parameter threads: workers and then io-cores.
  init(_ threads: [(name: String, activity: UnsafeMutablePointer<ActivityCounters>)], _ events: EventLog) {
    self.threads = threads.map { Thread(name: $0.name, activity: $0.activity) }
    self.events = events
    looks = Mutex(Array(repeating: Look(), count: threads.count))
    Backtrace.prepare()
  }

  /// A worker or io-core begins: for its own thread.
  static func enroll(_ activity: UnsafeMutablePointer<ActivityCounters>) {
    Backtrace.admitSignals()
    activity.pointee.thread.set(UInt64(cdpdk_thread_id()))
  }

  /// The thread's function.
  func run() {
    while true {
      var descriptor = pollfd(fd: stopEvent, events: Int16(POLLIN), revents: 0)
      if poll(&descriptor, 1, Self.lookMilliseconds) > 0 { return }
      for index in threads.indices { look(at: index) }
    }
  }

  func stop() { cdpdk_event_signal(stopEvent) }

  private func look(at index: Int) {
    let (name, activity) = (threads[index].name, threads[index].activity)
    // It has not begun, or it is about to.
    guard activity.pointee.thread.value != 0 else { return }
    let now = MonotonicClock.preciseSeconds()
    enum News { case stuck, turning(seconds: Int) }
    let news = looks.withLock { looks -> News? in
      let cycles = activity.pointee.totalCycles.value
      if cycles != looks[index].cycles {
        let since = looks[index].stuckSince
        looks[index] = Look(cycles: cycles)
        return since.map { .turning(seconds: Int((now - $0).rounded())) }
      }
      looks[index].standstills += 1
      guard looks[index].standstills == Self.patience else { return nil }
      looks[index].stuckSince = now - Double(Self.patience) * Double(Self.lookMilliseconds) / 1000
      return .stuck
    }
    switch news {
    case .stuck:
      let frames = Backtrace.take(thread: Int32(activity.pointee.thread.value))
      let places = frames.isEmpty ? "where it is cannot be told: the thread does not run" : "it is at: " + frames.joined(separator: ", ")
      events.report(.workerStuck, "\(name) has not finished its round for a second: nothing is forwarded by it; \(places)")
    case .turning(let seconds): events.report(.workerTurning, "\(name) goes on after \(seconds) s")
    case nil: break
    }
  }

  /// - Parameter index: workers come first, then io-cores.
  func isStuck(_ index: Int) -> Bool { looks.withLock { $0[index].stuckSince != nil } }

  /// For `vtepctl status`.
  var problems: [String] {
    let now = MonotonicClock.preciseSeconds()
    return looks.withLock { looks in
      threads.indices.compactMap { index in
        looks[index].stuckSince.map {
          "\(threads[index].name) has been stuck for \(Int(now - $0)) s: nothing is forwarded by it (the log says where it is)"
        }
      }
    }
  }
}

/// Where a thread of ours is, told by itself in a signal handler.
private enum Backtrace {
  private static let depth: Int32 = 48
  /// What the handler writes to. Set before the handler is installed, since it must not allocate.
  private nonisolated(unsafe) static var frames: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
  /// -1: none was taken.
  private nonisolated(unsafe) static var count: UnsafeMutablePointer<Atomic<Int32>>?
  private static var number: Int32 { cdpdk_realtime_signal(4) }

  /// Only calls that are safe in a handler: `backtrace` is, once it has been called before.
  private static let handler: @convention(c) (Int32) -> Void = { _ in
    guard let frames, let count else { return }
    count.pointee.store(cdpdk_backtrace(frames, depth), ordering: .releasing)
  }

  /// Installs the handler; once is enough for a process.
  static func prepare() {
    guard frames == nil else { return }
    let memory = UnsafeMutablePointer<UnsafeMutableRawPointer?>.allocate(capacity: Int(depth))
    memory.initialize(repeating: nil, count: Int(depth))
    _ = cdpdk_backtrace(memory, depth)
    let written = UnsafeMutablePointer<Atomic<Int32>>.allocate(capacity: 1)
    written.initialize(to: Atomic(-1))
    (frames, count) = (memory, written)
    install(number, handler)
    installTestHandler()
  }

  /// Threads of DPDK inherit the signal mask of a thread of libdispatch, which blocks everything.
  static func admitSignals() {
    var set = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, number)
    sigaddset(&set, cdpdk_realtime_signal(5))
    pthread_sigmask(SIG_UNBLOCK, &set, nil)
  }

  private static func install(_ number: Int32, _ handler: @escaping @convention(c) (Int32) -> Void) {
    var action = sigaction()
    action.__sigaction_handler.sa_handler = handler
    action.sa_flags = Int32(SA_RESTART)
    sigaction(number, &action, nil)
  }

  /// Names or addresses, innermost first, the handler's own included; empty: the thread did not answer.
  static func take(thread: Int32) -> [String] {
    guard let frames, let count else { return [] }
    count.pointee.store(-1, ordering: .relaxed)
    guard cdpdk_thread_signal(thread, number) == 0 else { return [] }
    for _ in 0..<100 where count.pointee.load(ordering: .acquiring) < 0 { usleep(1000) }
    let found = count.pointee.load(ordering: .acquiring)
    guard found > 0, let names = cdpdk_backtrace_names(frames, found) else { return [] }
    defer { free(names) }
    return (0..<Int(found)).compactMap { names[$0].map { String(cString: $0) } }
  }

  // -- for tests -----------------------------------------------------------------------------------------------------------

  /// With VTEPD_TEST_STUCK in the daemon's environment, the next signal makes the thread that gets it spin for three seconds.
  private static func installTestHandler() {
    guard getenv("VTEPD_TEST_STUCK") != nil else { return }
    install(cdpdk_realtime_signal(5)) { _ in
      let end = cdpdk_cycles() &+ 3 &* cdpdk_cycles_per_second()
      while cdpdk_cycles() < end {}
    }
  }
}
