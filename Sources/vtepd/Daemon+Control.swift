// Daemon+Control: the commands of the control socket, answered from the data plane's reports.

import Encap
import MACTable
import VTEP
import VTEPControl

extension Daemon: ControlHandler {
  func handle(_ request: GetStatus) async throws(ControlError) -> DaemonStatus {
    let reconciler = try? running()
    let current = reconciler?.running
    return DaemonStatus(
      state: state, name: configuration.name, mode: configuration.mode.rawValue, version: Version.text,
      uptimeSeconds: Int(reconciler?.uptimeSeconds ?? 0), workers: configuration.dataplane.workers,
      ports: current?.configuration.ports.count ?? 0, unattached: current?.unattachedPorts() ?? [],
      vnis: current?.configuration.vnis.count ?? 0,
      macs: current?.macCount() ?? 0, problems: current?.problems() ?? [])
  }

  // -- show ------------------------------------------------------------------------------------------------------------

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
    return try running().running.dropReports(all: request.all).map { DropRow($0, isControlled: isControlled) }
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
          driver: underlay.settings.driver.rawValue, mtu: device.mtu, up: device.isUp,
          ignored: Dictionary(uniqueKeysWithValues: device.ignored.filter { $0.count > 0 }.map { ($0.cause.name, $0.count) }),
          missed: device.missed,
          destinations: vteps.filter { $0.address.isIPv4 == address.isIPv4 }.map(DestinationRow.init))
      }
    }
  }

  func handle(_ request: ShowWorkers) async throws(ControlError) -> [WorkerRow] {
    try running().running.workerReports().map(WorkerRow.init)
  }

  func handle(_ request: ShowOVSDB) async throws(ControlError) -> [OVSDBRemoteRow] {
    let (remotes, replica) = await ovsdb.status()
    let report = await controller.report()
    return remotes.map { OVSDBRemoteRow($0, replica, report) }
  }

  func handle(_ request: ReleaseHold) async throws(ControlError) -> ChangeAnswer {
    _ = try running()
    return ChangeAnswer(changed: await controller.releaseHold())
  }

  func handle(_ request: ShowTransactions) async throws(ControlError) -> [TransactionRow] {
    let entries = await controller.transactions.entries
    let now = await controller.now
    return entries.suffix(max(request.last ?? .max, 0)).map { TransactionRow($0, now: now) }
  }

  private static func range(_ request: some PagedRequest) -> Range<Int> {
    let start = min(Int(clamping: request.cursor ?? 0), Int.max / 2)
    return start..<start + min(max(request.limit ?? ControlLimits.pageRowCount, 0), Int.max / 2)
  }

  private static func page<Report>(_ all: [Report], _ request: some PagedRequest) -> Part<Report> {
    let range = range(request).clamped(to: 0..<all.count)
    return Part(Array(all[range]), end: range.upperBound, total: all.count)
  }

  /// A slice of a list's rows.
  private struct Part<Report> {
    private let reports: [Report]
    private let next: UInt64?

    /// - Parameter end: position in the whole list after the last of these.
    init(_ reports: [Report], end: Int, total: Int) {
      self.reports = reports
      next = end < total ? UInt64(end) : nil
    }

    func map<Row>(_ row: (Report) -> Row) -> Page<Row> { Page(reports.map(row), next: next) }
  }

  // -- change ----------------------------------------------------------------------------------------------------------

  func handle(_ request: AddMAC) async throws(ControlError) -> ChangeAnswer { try await change(request) }
  func handle(_ request: DeleteMAC) async throws(ControlError) -> ChangeAnswer {
    let reconciler = try running()
    let vni = try VNI(parameter: request.vni)
    let mac = try MACAddress(parameter: request.mac)
    let isStatic: Bool
    do {
      isStatic = try await reconciler.change { desired in
        var desired = desired
        _ = desired.removeStaticMAC(mac, vni: vni)
        return desired
      }
    } catch {
      throw Self.refusal(error)
    }
    let isLearned = await reconciler.forget(mac, vni: vni)
    guard isStatic || isLearned else { throw ControlError(.notFound, "VNI \(vni) has no entry for \(mac)") }
    return ChangeAnswer(changed: true)
  }

  func handle(_ request: FlushMACs) async throws(ControlError) -> ChangeAnswer {
    let reconciler = try running()
    let vni = try request.vni.converted { value throws(ControlError) in try VNI(parameter: value) }
    let vtep = try request.vtep.converted { text throws(ControlError) in try IPAddress(parameter: text, "vtep") }
    do {
      try await reconciler.flush(vni: vni, port: request.port, vtep: vtep)
    } catch {
      throw ControlError(.notFound, "\(error)")
    }
    return ChangeAnswer(changed: true)
  }

  func handle(_ request: AddVNI) async throws(ControlError) -> ChangeAnswer { try await change(request) }
  func handle(_ request: SetVNI) async throws(ControlError) -> ChangeAnswer { try await change(request) }
  func handle(_ request: DeleteVNI) async throws(ControlError) -> ChangeAnswer { try await change(request) }
  func handle(_ request: AddPeer) async throws(ControlError) -> ChangeAnswer { try await change(request) }
  func handle(_ request: DeletePeer) async throws(ControlError) -> ChangeAnswer { try await change(request) }

  func handle(_ request: AddPort) async throws(ControlError) -> ChangeAnswer {
    // The file may name an interface that appears later; a command must name an existing one.
    if case .text(let kind)? = request.settings["kind"], PortKind(rawValue: kind)?.awaitsInterface == true,
      case .text(let device)? = request.settings["device"], !(await (try running()).interfaceExists(device))
    {
      throw ControlError(.refused, "port \(request.name): there is no interface '\(device)'")
    }
    return try await change(request)
  }

  func handle(_ request: SetPort) async throws(ControlError) -> ChangeAnswer {
    var answer = try await change(request)
    // Enabling a port reopens it at once, even if a guard shut it.
    if request.settings["enabled"] == .flag(true), await (try running()).release(port: request.name) { answer.changed = true }
    return answer
  }

  func handle(_ request: PreparePort) async throws(ControlError) -> ChangeAnswer {
    let reconciler = try running()
    let vni = try VNI(parameter: request.vni)
    var vteps: [IPAddress] = []
    for text in request.vteps { vteps.append(try IPAddress(parameter: text, "vtep")) }
    guard (1...86400).contains(request.seconds) else {
      throw ControlError(.invalidParameters, "seconds must be from 1 to 86400, not \(request.seconds)")
    }
    do {
      return ChangeAnswer(changed: try await reconciler.prepare(vni: vni, vteps: vteps, seconds: request.seconds))
    } catch {
      throw Self.refusal(error)
    }
  }

  func handle(_ request: DeletePort) async throws(ControlError) -> ChangeAnswer { try await change(request) }
  func handle(_ request: AddBinding) async throws(ControlError) -> ChangeAnswer { try await change(request) }
  func handle(_ request: DeleteBinding) async throws(ControlError) -> ChangeAnswer { try await change(request) }

  // -- config -----------------------------------------------------------------------------------------------------------

  func handle(_ request: CheckConfiguration) async throws(ControlError) -> ConfigurationAnswer {
    let new = try Self.parse(request.text, file: request.file)
    return ConfigurationAnswer(
      changes: configuration.changes(to: new), needsRestart: configuration.keysNeedingRestart(for: new))
  }

  func handle(_ request: ApplyConfiguration) async throws(ControlError) -> ConfigurationAnswer {
    try await apply(try Self.parse(request.text, file: request.file))
  }

  func handle(_ request: ShowConfiguration) async throws(ControlError) -> ConfigurationText {
    var shown = configuration
    shown.desired = await (try running()).desired
    do {
      return ConfigurationText(text: try shown.yaml())
    } catch {
      throw ControlError(.internalError, "\(error)")
    }
  }

  private static func parse(_ text: String, file: String) throws(ControlError) -> Configuration {
    do {
      return try ConfigurationLoader().load(text: text, file: file)
    } catch {
      throw ControlError(error)
    }
  }
}
