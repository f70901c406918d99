// Signals: what each of them does, from our first instruction on. SIGHUP, SIGTERM and SIGINT are blocked in every thread and taken by
// one of their own, so that none is lost and none ends us in the middle of the start. Others that would end a process for nothing are
// ignored. Programs that we start get their defaults back (ChildProcess).

import Glibc
import ServiceLifecycle
import Synchronization
import VTEP

enum Signals {
  private static let followed = [SIGHUP, SIGTERM, SIGINT]
  private static let ignored = [SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGPIPE]

  /// Yields when the configuration file is to be read again.
  static let reloads = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
  /// Yields when the daemon is to stop.
  static let stops = AsyncStream.makeStream(of: Int32.self, bufferingPolicy: .bufferingNewest(1))
  /// Nothing has been made yet that would have to be undone.
  private static let mayExit = Atomic(true)

  /// To be called before there is any other thread: they inherit what is blocked.
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

  /// From here on whoever stops us waits for `stops`.
  static func keepForServices() { mayExit.store(false, ordering: .sequentiallyConsistent) }

  private static var set: sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    for number in followed { sigaddset(&set, number) }
    return set
  }

  private static func take() {
    var all = set
    var number: Int32 = 0
    guard sigwait(&all, &number) == 0 else { return }
    if number == SIGHUP {
      reloads.continuation.yield()
    } else if mayExit.load(ordering: .sequentiallyConsistent) {
      _exit(CommandLine.arguments.contains("--check") ? 128 + number : 0)
    } else {
      stops.continuation.yield(number)
    }
  }
}

/// Ends when the daemon is to stop; that ends the others.
struct StopService: Service {
  func run() async throws {
    for await _ in Signals.stops.stream.cancelOnGracefulShutdown() { return }
  }
}
