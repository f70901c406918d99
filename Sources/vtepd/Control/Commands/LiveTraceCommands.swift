// LiveTraceCommands: `vtepctl trace --live`.

import Encap
import VTEP
import VTEPControl

extension Daemon {
  nonisolated func addLiveTraceCommands(to commands: inout ControlCommands) {
    commands.add(StartLiveTrace.self, handle)
    commands.add(NextLiveTraces.self, handle)
    commands.add(EndLiveTrace.self, handle)
  }

  func handle(_ request: StartLiveTrace) async throws(ControlError) -> LiveTraceStarted {
    let reconciler = try running()
    let filter = LiveTraceFilter(
      port: request.port, vni: try request.vni.converted { value throws(ControlError) in try VNI(parameter: value) },
      source: try request.sourceMAC.converted { text throws(ControlError) in try MACAddress(parameter: text) },
      destination: try request.destinationMAC.converted { text throws(ControlError) in try MACAddress(parameter: text) })
    do {
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
    do {
      for look in 0...Self.looks {
        guard let (reports, isDone) = try reconciler.nextLiveTraces(request.trace) else {
          throw ControlError(.notFound, "there is no live trace \(request.trace): it has ended, since nobody asked for 5 s; start another")
        }
        if isDone || !reports.isEmpty || look == Self.looks {
          return LiveTraces(frames: reports.map { LiveTraceRow($0, isControlled: isControlled) }, isDone: isDone)
        }
        try? await Task.sleep(for: .milliseconds(50))
      }
    } catch {
      throw Self.refusal(error)
    }
    return LiveTraces(frames: [], isDone: false)
  }

  func handle(_ request: EndLiveTrace) async throws(ControlError) -> ChangeAnswer {
    try running().endLiveTrace(request.trace)
    return ChangeAnswer(changed: true)
  }

  private static let looks = 10
}

extension LiveTraceRow {
  fileprivate init(_ report: LiveTraceReport, isControlled: Bool) {
    self.init(
      worker: report.worker, happened: report.happened, trace: report.report.map { TraceAnswer($0, isControlled: isControlled) },
      agrees: report.agrees)
  }
}
