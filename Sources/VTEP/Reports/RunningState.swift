// RunningState: what the reconciler last settled on, for reports. They are made from this copy, from counters and from the MAC table, on
// whatever thread asks: no report waits for the reconciler, and none delays it.

import Encap
import MACTable

/// The state behind the data plane at one moment. Its arrays and dictionaries are shared with the reconciler until that changes them.
public struct RunningState: @unchecked Sendable {
  /// A port, without what only the reconciler may use.
  struct Port {
    var settings: PortSettings
    var index: PortIndex
    var status: PortStatus
    var mac: MACAddress?
    /// VLAN (0 = untagged) → domain index.
    var bound: [UInt16: DomainIndex]
    var fault: PortFault?
    /// Something else is in its place, or nothing is there yet.
    var isUnattached: Bool

    init(_ record: PortRecord) {
      settings = record.settings
      index = record.index
      status = record.status
      mac = record.device?.mac
      bound = record.bound
      fault = record.fault
      isUnattached = record.device == nil && record.fault?.cause == .attachment && record.settings.wantsDevice
    }
  }

  /// What runs: the part of the operator and that of the controller.
  public let configuration: DesiredState
  let dataplane: DataplaneSettings
  let runtime: DPDKRuntime
  /// Where workers run, and where each receive queue went, by its serial.
  let placement: Placement
  let placedQueues: [UInt32: Placement.Queue]
  let ports: [String: Port]
  let domains: [VNI: DomainRecord]
  let underlay: UnderlayState
  let model: ForwardingModel
  let baselines: CounterBaselines
  let acls: ACLTable
  /// VTEP indexes of tunnels with keys of their own.
  let tunnels: [TunnelDestination: VTEPIndex]
  let routers: RouterTable
  let ticks: Int
  let puntFaults: [String: String]
  let preparations: [VNI: Preparation]
  let activity: [(before: WorkerActivity, latest: WorkerActivity)]
  let contexts: [UnsafeMutablePointer<WorkerContext>]
  let ioContexts: [UnsafeMutablePointer<IOContext>]
  /// Of the workers and of the slow path.
  let counters: [WorkerCounters]
  let learner: Learner
  let bfd: BFDService
  let watchdog: Watchdog
}

extension Reconciler {
  /// What runs now. Every change that was answered is in it.
  public nonisolated var running: RunningState {
    guard let state = published.withLock({ $0 }) else { preconditionFailure("nothing reads the state before it was settled once") }
    return state
  }

  /// The daemon's latest events.
  public nonisolated var events: EventLog { learner.events }

  /// The records as they are at this moment.
  var runningState: RunningState {
    RunningState(
      configuration: state.running, dataplane: dataplane, runtime: effects.runtime, placement: state.placement,
      placedQueues: state.placedQueues,
      ports: state.ports.byName.mapValues(RunningState.Port.init),
      domains: state.domains.records, underlay: state.underlay, model: state.model, baselines: state.baselines, acls: state.acls,
      tunnels: state.controller.tunnels, routers: state.routers, ticks: state.ticks, puntFaults: effects.puntFaults,
      preparations: state.preparations, activity: activity, contexts: contexts, ioContexts: ioContexts, counters: effects.counters,
      learner: learner, bfd: bfd, watchdog: watchdog)
  }

  /// Makes the records visible to reports.
  func publishReports() {
    let state = runningState
    published.withLock { $0 = state }
    observer.look(at: self.state, learner.events)
  }
}
