// DataplaneService: the data plane as a service: starts it, notifies the service manager, stops it.

import ServiceLifecycle

struct DataplaneService: Service {
  let daemon: Daemon

  func run() async throws {
    try await daemon.start()
    ServiceManager.notify("READY=1")
    try? await gracefulShutdown()
    ServiceManager.notify("STOPPING=1")
    await daemon.stop()
  }
}
