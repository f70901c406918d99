// DoctorCommands: `vtepctl doctor`: the host as the daemon sees it, from its own namespace and with its own rights.

import Dispatch
import VTEP
import VTEPControl

extension Daemon {
  nonisolated func addDoctorCommands(to commands: inout ControlCommands) {
    commands.add(RunDoctor.self, handle)
  }

  func handle(_ request: RunDoctor) async throws(ControlError) -> [DoctorFinding] {
    Doctor.findings(await doctorFacts(try running()))
  }

  private func doctorFacts(_ reconciler: Reconciler) async -> DoctorFacts {
    var shown = configuration
    shown.desired = await reconciler.desired
    let asked = shown
    var facts = await withCheckedContinuation { continuation in
      DispatchQueue.global(qos: .utility).async { continuation.resume(returning: DoctorFacts.gather(asked, isRunning: true)) }
    }
    facts.groups = await reconciler.groupReports()
    facts.take(reconciler.running)
    await listenForQueriers()
    for position in facts.uplinks.indices { facts.uplinks[position].igmp = await queriers.querier(on: facts.uplinks[position].name) }
    return facts
  }

  /// Hears queriers of the interfaces where groups are joined.
  func listenForQueriers() async {
    guard let current = (try? running())?.running else { return }
    let usesGroups = current.configuration.vnis.values.contains { $0.flood.group?.isIPv4 == true }
    await queriers.listen(on: usesGroups ? current.configuration.underlay.devices : [])
  }
}

extension DoctorFacts {
  /// What the data plane says of ports, uplinks and paths.
  mutating func take(_ current: RunningState) {
    let unattached = Set(current.unattachedPorts())
    ports = current.portReports().map { report in
      Port(
        name: report.settings.name, kind: report.settings.kind, mtu: report.mtu, vnis: report.settings.boundVNIs,
        isUnattached: unattached.contains(report.settings.name), notes: report.notes)
    }
    for device in current.underlayReport().devices {
      guard let position = uplinks.firstIndex(where: { $0.name == device.name }) else { continue }
      uplinks[position].driverInUse = device.driver
      uplinks[position].notes = device.notes
    }
    paths = (current.vtepReports().reports + current.vtepReports(groups: true).reports).map { report in
      let dead = report.nextHops.filter { $0.mac == nil && $0.isFailed }.map { "\($0.address)%\($0.device)" }
      return Path(
        address: report.address, obstacle: report.obstacle, deadHops: dead, hasOtherHops: dead.count < report.nextHops.count,
        mtu: report.mtu, mtuReason: report.pathMTU.map(Self.text),
        vnis: Set(report.vnis), bfdProblem: report.bfd.flatMap { $0.state == .up ? nil : "\($0.state.name), \($0.diagnostic.text)" })
    }
    policyProblems = current.policyProblems
    let vteps = paths.filter { !$0.address.isMulticast }
    for position in neighborTables.indices {
      neighborTables[position].vteps = vteps.count { $0.address.isIPv4 == neighborTables[position].isIPv4 }
    }
  }

  private static func text(_ reason: PathMTUReason) -> String {
    switch reason {
    case .route: "the route's MTU"
    case .icmp(let reporter, let secondsLeft): "reported by \(reporter), for \(secondsLeft) s"
    }
  }
}
