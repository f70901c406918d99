// LiveTraceCommands: `vtepctl trace --live`.

import Encap
import VTEP
import VTEPControl

extension Daemon {
  nonisolated func addLiveTraceCommands(to commands: inout ControlCommands) {
    commands.add(StartLiveTrace.self, handle)
    commands.add(NextLiveTraces.self, handle)
  }

  func handle(_ request: StartLiveTrace) async throws(ControlError) -> LiveTraceStarted {
    let reconciler = try running()
    var filter = LiveTraceFilter(
      port: request.port, vni: try request.vni.converted { value throws(ControlError) in try VNI(parameter: value) })
    do {
      if let text = request.filter, !text.isEmpty { filter.filter = try await packetFilter(text) }
      let serial = try reconciler.startLiveTrace(filter, count: request.count)
      Task {
        repeat { try? await Task.sleep(for: .seconds(1)) } while !Task.isCancelled && !reconciler.endIdleLiveTrace(serial)
      }
      return LiveTraceStarted(trace: serial)
    } catch {
      throw Self.refusal(error)
    }
  }

  func handle(_ request: NextLiveTraces) async throws(ControlError) -> LiveTraces {
    let reconciler = try running()
    let isControlled = configuration.ovsdb != nil
    let isLast = request.stop == true
    do {
      return try await LongPoll.answer(within: isLast ? .zero : Self.wait, pause: .milliseconds(50)) {
        guard let (reports, isDone) = try reconciler.nextLiveTraces(request.trace) else {
          throw ControlError(.notFound, "there is no live trace \(request.trace): it has ended, since nobody asked for 5 s; start another")
        }
        if isLast { reconciler.endLiveTrace(request.trace) }
        let udpPort = reconciler.running.vxlanPort
        let rows = reports.map { LiveTraceRow($0, isControlled: isControlled, udpPort: udpPort) }
        return (LiveTraces(frames: rows, isDone: isDone || isLast), isNews: isDone || !rows.isEmpty)
      }
    } catch {
      throw Self.refusal(error)
    }
  }

  /// For frames.
  private static let wait = Duration.milliseconds(500)
}

extension LiveTraceRow {
  fileprivate init(_ report: LiveTraceReport, isControlled: Bool, udpPort: UInt16) {
    self.init(
      worker: report.worker, happened: report.happened,
      trace: report.report.map { TraceAnswer($0, isControlled: isControlled, udpPort: udpPort) }, agrees: report.agrees)
  }
}
