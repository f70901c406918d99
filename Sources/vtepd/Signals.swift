// Signals: what each signal does, from our first instruction on. SIGHUP, SIGTERM and SIGINT are blocked in every thread and taken
// by a dedicated one, so none is lost and none kills us during the start. Signals that would kill the process for no reason are
// ignored. Child processes get the defaults back (ChildProcess).

import Glibc
import ServiceLifecycle
import Synchronization
import VTEP

enum Signals {
  private static let followed = [SIGHUP, SIGTERM, SIGINT]
  private static let ignored = [SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGPIPE]

  /// Who sent a signal.
  struct Sender: Sendable {
    var process: pid_t
    var user: uid_t
  }

  /// Yields when the configuration file must be reread.
  static let reloads = AsyncStream.makeStream(of: Sender.self, bufferingPolicy: .bufferingNewest(1))
  /// Yields when the daemon must stop.
  static let stops = AsyncStream.makeStream(of: Int32.self, bufferingPolicy: .bufferingNewest(1))
  /// Nothing has been created yet that would need cleaning up.
  private static let mayExit = Atomic(true)

  /// Call this before any other thread exists: threads inherit the blocked signals.
  static func prepare() {
    for number in ignored { signal(number, SIG_IGN) }
    var all = set
    pthread_sigmask(SIG_BLOCK, &all, nil)
    do {
      _ = try BackgroundThread(name: "vtepd-signals") { while true { take() } }
    } catch {
      pthread_sigmask(SIG_UNBLOCK, &all, nil)
    }
  }

  /// From here on, stop requests go through `stops`.
  static func keepForServices() { mayExit.store(false, ordering: .sequentiallyConsistent) }

  private static var set: sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    for number in followed { sigaddset(&set, number) }
    return set
  }

  private static func take() {
    var all = set
    var information = siginfo_t()
    let number = sigwaitinfo(&all, &information)
    guard number > 0 else { return }
    if number == SIGHUP {
      let sender = information._sifields._kill
      reloads.continuation.yield(Sender(process: sender.si_pid, user: sender.si_uid))
    } else if mayExit.load(ordering: .sequentiallyConsistent) {
      _exit(CommandLine.arguments.contains("--check") ? 128 + number : 0)
    } else {
      stops.continuation.yield(number)
    }
  }
}

/// Returns when the daemon must stop; that ends the other services.
struct StopService: Service {
  func run() async throws {
    for await _ in Signals.stops.stream.cancelOnGracefulShutdown() { return }
  }
}
