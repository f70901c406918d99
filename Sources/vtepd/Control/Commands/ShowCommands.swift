// ShowCommands: `vtepctl status` and `vtepctl show …`: the data plane's reports.

import Encap
import MACTable
import VTEP
import VTEPControl

extension Daemon {
  nonisolated func addShowCommands(to commands: inout ControlCommands) {
    commands.add(GetStatus.self, handle)
    commands.add(ShowMACTable.self, handle)
    commands.add(ShowMACMoves.self, handle)
    commands.add(ShowVNIs.self, handle)
    commands.add(ShowVTEPs.self, handle)
    commands.add(ShowPorts.self, handle)
    commands.add(ShowBindings.self, handle)
    commands.add(ShowDrops.self, handle)
    commands.add(ShowDroppedFrames.self, handle)
    commands.add(ShowMulticast.self, handle)
    commands.add(ShowUnderlay.self, handle)
    commands.add(ShowWorkers.self, handle)
    commands.add(ShowPlacement.self, handle)
    addBFDCommands(to: &commands)
  }

  /// Answered in every state of the daemon.
  func handle(_ request: GetStatus) async throws(ControlError) -> DaemonStatus {
    let reconciler = try? running()
    let current = reconciler?.running
    return DaemonStatus(
      state: state, name: configuration.name, mode: configuration.mode.rawValue, version: Version.text,
      uptimeSeconds: Int(reconciler?.uptimeSeconds ?? 0), countedSeconds: Int(reconciler?.countedSeconds ?? 0),
      workers: configuration.dataplane.workers,
      ports: current?.configuration.ports.count ?? 0, unattached: current?.unattachedPorts() ?? [],
      vnis: current?.configuration.vnis.count ?? 0,
      macs: current?.macCount() ?? 0, problems: current?.problems() ?? [],
      unconfirmed: trial.map { UnconfirmedChange(action: $0.description.action, secondsLeft: $0.secondsLeft) })
  }

  func handle(_ request: ShowMACTable) async throws(ControlError) -> Page<MACTableRow> {
    let filter = RunningState.MACFilter(
      vni: try request.vni.converted { value throws(ControlError) in try VNI(parameter: value) }, port: request.port,
      vtep: try request.vtep.converted { text throws(ControlError) in try IPAddress(parameter: text, "vtep") },
      mac: try request.mac.converted { text throws(ControlError) in try MACAddress(parameter: text) },
      type: request.type.map(MACEntryType.init))
    let page = try running().running.macReports(
      filter, from: Int(clamping: request.cursor ?? 0), limit: request.limit ?? ControlLimits.pageRowCount)
    return Page(page.reports.map(MACTableRow.init), next: page.next.map(UInt64.init))
  }

  func handle(_ request: ShowMACMoves) async throws(ControlError) -> Page<MACMoveRow> {
    Self.page(try running().running.moveReports(), request).map(MACMoveRow.init)
  }

  func handle(_ request: ShowVNIs) async throws(ControlError) -> Page<VNIRow> {
    let range = Self.range(request)
    let (reports, total) = try running().running.vniReports(range)
    return Part(reports, end: range.upperBound, total: total).map(VNIRow.init)
  }

  func handle(_ request: ShowVTEPs) async throws(ControlError) -> Page<VTEPRow> {
    let range = Self.range(request)
    let (reports, total) = try running().running.vtepReports(range)
    return Part(reports, end: range.upperBound, total: total).map(VTEPRow.init)
  }

  func handle(_ request: ShowPorts) async throws(ControlError) -> [PortRow] {
    try running().running.portReports().map(PortRow.init)
  }

  func handle(_ request: ShowBindings) async throws(ControlError) -> Page<BindingRow> {
    let vni = try request.vni.converted { value throws(ControlError) in try VNI(parameter: value) }
    return Self.page(try running().running.bindingReports(port: request.port, vni: vni), request).map(BindingRow.init)
  }

  func handle(_ request: ShowDrops) async throws(ControlError) -> [DropRow] {
    let isControlled = configuration.ovsdb != nil
    return try running().running.dropReports(by: request.by.map(DropPlaceKind.init) ?? .port, all: request.all).map {
      DropRow($0, isControlled: isControlled)
    }
  }

  func handle(_ request: ShowDroppedFrames) async throws(ControlError) -> DroppedFramesAnswer {
    guard let reason = DropReason(name: request.reason) else {
      throw ControlError(
        .invalidParameters, "reason: there is no drop reason '\(request.reason)'; vtepctl show drops --all lists them")
    }
    guard request.limit.map({ $0 > 0 }) ?? true else {
      throw ControlError(.invalidParameters, "limit: must be 1 or more, not \(request.limit ?? 0)")
    }
    let current = try running().running
    let count = current.dropTotal(reason)
    let frames = current.droppedFrames(reason, limit: min(request.limit ?? 64, 64))
    return DroppedFramesAnswer(
      reason: reason.name, description: configuration.ovsdb != nil ? reason.descriptionUnderController : reason.description, count: count,
      frames: frames.map(DroppedFrameRow.init),
      note: count > UInt64(frames.count) ? reason.unseenFrames : nil, vxlanPort: current.vxlanPort)
  }

  func handle(_ request: ShowMulticast) async throws(ControlError) -> [MulticastRow] {
    await (try running()).groupReports().map(MulticastRow.init)
  }

  func handle(_ request: ShowUnderlay) async throws(ControlError) -> [UnderlayRow] {
    let current = try running().running
    let underlay = current.underlayReport()
    let vteps = current.vtepReports().reports + current.vtepReports(groups: true).reports
    return underlay.settings.addresses.flatMap { address in
      underlay.devices.map { device in
        UnderlayRow(
          address: "\(address)", present: !underlay.missingAddresses.contains(address), device: device.name,
          driver: device.driver, dpdk: device.devargs, mtu: device.mtu, up: device.isUp,
          ignored: Dictionary(uniqueKeysWithValues: device.ignored.filter { $0.count > 0 }.map { ($0.cause.name, $0.count) }),
          missed: device.missed, rxPackets: device.traffic.rxPackets, txPackets: device.traffic.txPackets,
          features: device.features, offloads: device.offloads, notes: device.notes,
          classes: device.classes.map { $0.map(HostClassRow.init) },
          destinations: vteps.filter { $0.address.isIPv4 == address.isIPv4 }.map(DestinationRow.init))
      }
    }
  }

  func handle(_ request: ShowWorkers) async throws(ControlError) -> [WorkerRow] {
    try running().running.workerReports().map(WorkerRow.init)
  }

  func handle(_ request: ShowPlacement) async throws(ControlError) -> PlacementAnswer {
    PlacementAnswer(try running().running.placementReport())
  }

  private static func range(_ request: some PagedRequest) -> Range<Int> {
    let start = min(Int(clamping: request.cursor ?? 0), Int.max / 2)
    return start..<start + min(max(request.limit ?? ControlLimits.pageRowCount, 0), Int.max / 2)
  }

  static func page<Report>(_ all: [Report], _ request: some PagedRequest) -> Part<Report> {
    let range = range(request).clamped(to: 0..<all.count)
    return Part(Array(all[range]), end: range.upperBound, total: all.count)
  }

  /// A slice of a list's rows.
  struct Part<Report> {
    private let reports: [Report]
    private let next: UInt64?

    /// - Parameter end: position in the whole list after the last of these.
    init(_ reports: [Report], end: Int, total: Int) {
      self.reports = reports
      next = end < total ? UInt64(end) : nil
    }

    func map<Row>(_ row: (Report) -> Row) -> Page<Row> { Page(reports.map(row), next: next) }
  }
}
