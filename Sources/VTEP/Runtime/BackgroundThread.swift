// BackgroundThread: a named thread for blocking work, which must not run on the Swift concurrency pool.

import CDPDK
import Glibc
import Synchronization

/// A thread that can be joined once.
public final class BackgroundThread: Sendable {
  private let handle: pthread_t

  private final class Body: Sendable {
    let name: String
    let run: @Sendable () -> Void

    init(name: String, run: @escaping @Sendable () -> Void) {
      self.name = name
      self.run = run
    }
  }

  /// - Parameter name: at most 15 bytes, shown by `ps -L`.
  public init(name: String, _ run: @escaping @Sendable () -> Void) throws(VTEPError) {
    let body = Unmanaged.passRetained(Body(name: name, run: run))
    var handle = pthread_t()
    let code = pthread_create(
      &handle, nil,
      { argument in
        guard let argument else { return nil }
        let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
        _ = cdpdk_thread_set_name(body.name)
        body.run()
        return nil
      }, body.toOpaque())
    guard code == 0 else {
      body.release()
      throw VTEPError(.environment, "thread \(name)", VTEPError.errnoText(code))
    }
    self.handle = handle
  }

  func join() {
    pthread_join(handle, nil)
  }
}
extension BackgroundThread {
  /// Runs `body` with each element, on several threads if there are several elements, and returns when all are done. For calls that
  /// wait for the kernel.
  static func forEach<Element: Sendable>(_ elements: [Element], _ body: @escaping @Sendable (Element) -> Void) {
    let next = SharedIndex()
    @Sendable func work() {
      while true {
        let index = next.value.add(1, ordering: .relaxed).oldValue
        guard index < elements.count else { return }
        body(elements[index])
      }
    }
    // More wait for the kernel no faster (docs/decisions/0026).
    let count = elements.count > 1 ? min(elements.count, 64) : 0
    let threads = (0..<count).compactMap { _ in try? BackgroundThread(name: "vtepd-close", work) }
    work()
    for thread in threads { thread.join() }
  }

  private final class SharedIndex: Sendable {
    let value = Atomic<Int>(0)
  }
}
