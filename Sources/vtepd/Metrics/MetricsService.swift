// MetricsService: answers requests for metrics, and those of snmpd, while the daemon runs.

import Logging
import ServiceLifecycle

struct MetricsService: Service {
  let daemon: Daemon
  let log: Logger

  func run() async throws {
    await daemon.metrics.serve(MetricsCollector(daemon: daemon))
    await daemon.metrics.apply(daemon.configuration.metrics)
    await cancelWhenGracefulShutdown { await runAgents() }
    await daemon.metrics.apply(MetricsSettings())
  }

  /// The sub-agent of whatever snmpd the configuration names.
  private func runAgents() async {
    var paths = daemon.metrics.agents.makeAsyncIterator()
    var path: String?
    var agent: Task<Void, Never>?
    while !Task.isCancelled, let next = await paths.next() {
      guard next != path else { continue }
      agent?.cancel()
      await agent?.value
      path = next
      agent = next.map { path in Task { await AgentXAgent(path: path, daemon: daemon, log: log).run() } }
    }
    agent?.cancel()
    await agent?.value
  }
}
