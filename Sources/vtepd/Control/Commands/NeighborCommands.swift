// NeighborCommands: `vtepctl show neighbors`.

import Encap
import VTEP
import VTEPControl

extension Daemon {
  nonisolated func addNeighborCommands(to commands: inout ControlCommands) { commands.add(ShowNeighbors.self, handle) }

  func handle(_ request: ShowNeighbors) async throws(ControlError) -> Page<NeighborRow> {
    let filter = RunningState.NeighborFilter(
      vni: try request.vni.converted { value throws(ControlError) in try VNI(parameter: value) },
      address: try request.address.converted { text throws(ControlError) in try IPAddress(parameter: text, "address") },
      mac: try request.mac.converted { text throws(ControlError) in try MACAddress(parameter: text) })
    let page = try running().running.neighborReports(
      filter, from: Int(clamping: request.cursor ?? 0), limit: request.limit ?? ControlLimits.pageRowCount)
    return Page(page.reports.map(NeighborRow.init), next: page.next.map(UInt64.init))
  }
}

extension NeighborRow {
  init(_ report: NeighborReport) {
    self.init(
      vni: report.vni.rawValue, address: "\(report.address)", mac: "\(report.mac)", state: report.isContested ? .contested : .known,
      sources: report.sources.map(\.rawValue), ageSeconds: report.ageSeconds, router: report.isRouter)
  }
}
