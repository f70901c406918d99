// RunningState+Fixture: what reports would know of a data-plane fixture: its ports and uplinks are called by their places.

import Encap
import MACTable

@testable import VTEP

extension RunningState {
  init(_ plane: DataplaneFixture, routers: RouterTable = RouterTable()) throws {
    let test = plane.test
    var ports: [String: Port] = [:]
    var underlay = UnderlayState()
    for place in Place.allCases {
      if place.isUplink {
        underlay.devices.append(UnderlayDevice(name: "\(place)", portIndex: place.rawValue))
        continue
      }
      var record = PortRecord(settings: PortSettings(name: "\(place)", kind: .tap, device: "\(place)"), index: place.rawValue)
      record.bound = [plane.attachment.vlan: Topology.domain]
      ports["\(place)"] = Port(record)
    }
    let learner = Learner(
      table: plane.table, shared: test.shared, rings: test.learnRings, reportUnknownVTEP: { _ in }, reportMove: { _ in })
    self.init(
      configuration: DesiredState(underlay: Topology.settings()), dataplane: DataplaneSettings(), runtime: test.runtime,
      placement: Placement(workers: 1), placedQueues: [:], ports: ports,
      domains: [Topology.vni: DomainRecord(index: Topology.domain), Topology.otherVNI: DomainRecord(index: Topology.otherDomain)],
      underlay: underlay, model: plane.model, baselines: CounterBaselines(), acls: ACLTable(), tunnels: [:], routers: routers,
      ticks: 0, puntFaults: [:], preparations: [:],
      activity: [], contexts: [], ioContexts: [], counters: [test.counters[0]], learner: learner, bfd: Self.bfd,
      watchdog: Watchdog([], learner.events))
  }

  /// One for all: its counters live as long as the process.
  private static let bfd: BFDService = {
    let test = try! TestRuntime.shared()
    return try! BFDService(
      shared: test.shared, reader: UInt32(TestRuntime.workers + 1), pool: test.runtime.pool, arrivals: test.bfdArrivals,
      departures: test.bfdDepartures, workerCounters: test.counters, mailbox: Mailbox(), wakeWorker: {})
  }()
}
