// RecordingHandler: replaces the daemon, so that the control server and vtepctl can be tested over a real socket
// without DPDK. Changes go through the same edits of the desired state as in the daemon.

import Encap
import Synchronization
import VTEP
import VTEPControl

@testable import vtepd

final class RecordingHandler: Sendable {
  let desired: Mutex<DesiredState>
  let daemonState = Mutex(DaemonStatus.State.running)
  /// Rows of a MAC table that never existed; row n is computed from n.
  let macCount: UInt64
  let largestPage = Mutex(0)

  convenience init(macCount: UInt64 = 0) throws {
    self.init(macCount: macCount, desired: try ConfigurationLoader(hostName: "h").load(text: fullConfigurationText, file: "f").desired)
  }

  init(macCount: UInt64 = 0, desired: DesiredState) {
    self.macCount = macCount
    self.desired = Mutex(desired)
  }

  static func row(_ number: UInt64) -> MACTableRow {
    let mac = MACAddress(bits: 0x0200_0000_0000 | number)
    return MACTableRow(vni: 5001, mac: "\(mac)", type: .learned, location: .vtep, vtep: "192.0.2.2", ageSeconds: 1, moves: 0)
  }

  var commands: ControlCommands {
    var commands = ControlCommands()
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
    commands.add(ShowTransactions.self, handle)
    commands.add(ReleaseHold.self, handle)
    commands.add(ShowOVSDB.self, handle)
    commands.add(ShowWorkers.self, handle)
    commands.add(ShowPlacement.self, handle)
    commands.add(RunDoctor.self, handle)
    commands.add(Monitor.self, handle)
    commands.add(Explain.self, handle)
    commands.add(Verify.self, handle)
    commands.add(RepairDifferences.self, handle)
    commands.add(DeleteMAC.self, handle)
    commands.add(FlushMACs.self, handle)
    commands.add(PreparePort.self, handle)
    commands.add(CheckConfiguration.self, handle)
    commands.add(ApplyConfiguration.self, handle)
    commands.add(ShowConfiguration.self, handle)
    commands.add(AddMAC.self, change)
    commands.add(AddVNI.self, change)
    commands.add(SetVNI.self, change)
    commands.add(DeleteVNI.self, change)
    commands.add(AddPeer.self, change)
    commands.add(DeletePeer.self, change)
    commands.add(AddPort.self, change)
    commands.add(SetPort.self, change)
    commands.add(DeletePort.self, change)
    commands.add(AddBinding.self, change)
    commands.add(DeleteBinding.self, change)
    return commands
  }

  private func change(_ edit: some DesiredStateEdit) throws(ControlError) -> ChangeAnswer {
    try desired.withLock { state throws(ControlError) in
      let next = try state.applying(edit)
      defer { state = next }
      return ChangeAnswer(changed: next != state)
    }
  }

  func handle(_ request: GetStatus) async throws(ControlError) -> DaemonStatus {
    DaemonStatus(
      state: daemonState.withLock { $0 }, name: "h", mode: "hypervisor", version: "0", uptimeSeconds: 1, workers: 1, ports: 2,
      vnis: 4, macs: Int(macCount))
  }
  func handle(_ request: ShowMACTable) async throws(ControlError) -> Page<MACTableRow> {
    guard let limit = request.limit else { throw ControlError(.internalError, "no limit") }
    largestPage.withLock { $0 = max($0, limit) }
    let start = request.cursor ?? 0
    guard start < macCount else { return Page([]) }
    let end = min(start + UInt64(limit), macCount)
    return Page((start..<end).map(Self.row), next: end < macCount ? end : nil)
  }
  func handle(_ request: ShowMACMoves) async throws(ControlError) -> Page<MACMoveRow> {
    Page([MACMoveRow(vni: 5001, mac: "02:00:00:00:00:01", state: .moved, first: "port a", second: "vtep 192.0.2.2", moves: 1)])
  }
  func handle(_ request: ShowVNIs) async throws(ControlError) -> Page<VNIRow> {
    Page([VNIRow(vni: 5001, source: .config, flood: "multicast", group: "239.1.1.1")])
  }
  func handle(_ request: Monitor) async throws(ControlError) -> EventPage {
    _ = try EventFilter(request)
    return EventPage(events: [], last: request.since ?? 0, began: 1)
  }

  func handle(_ request: Explain) async throws(ControlError) -> Explanation {
    let (vni, mac) = (try VNI(parameter: request.vni), try MACAddress(parameter: request.mac))
    return Explanation(
      vni: vni.rawValue, mac: "\(mac)", entry: nil, frozen: nil, sources: [], past: [], events: [], limits: [], outcomes: [],
      omittedOutcomes: 0)
  }

  func handle(_ request: ShowVTEPs) async throws(ControlError) -> Page<VTEPRow> { Page([]) }
  func handle(_ request: ShowPorts) async throws(ControlError) -> [PortRow] {
    [
      PortRow(
        PortState(name: "vm1", kind: "tap", device: "tap-vm1", state: .up),
        settings: ["vlans": .map(["100": .number(5001)]), "vni": .number(5002), "tpid": .text("any"), "isolated": .flag(false)])
    ]
  }
  func handle(_ request: ShowBindings) async throws(ControlError) -> Page<BindingRow> {
    Page([
      BindingRow(port: "bm1", vlan: 100, vni: 5001, source: .config, rxPackets: 3), BindingRow(port: "bm1", vni: 5002, source: .config),
    ])
  }
  func handle(_ request: ShowDrops) async throws(ControlError) -> [DropRow] {
    request.all ? [DropRow(reason: "runt", place: "port vm1", count: 0, description: "too short")] : []
  }
  func handle(_ request: ShowDroppedFrames) async throws(ControlError) -> DroppedFramesAnswer {
    let octets: [UInt8] = [0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x81, 0, 0xf0, 0x4d, 0x86, 0xdd, 0x60, 1]
    return DroppedFramesAnswer(
      reason: request.reason, description: "not bound", count: 7,
      frames: [
        DroppedFrameRow(microseconds: 1_000_000_000_000_007, port: "vm1", vni: 5001, vtep: nil, length: 90, octets: octets)
      ], note: "some were never read", vxlanPort: 4789)
  }
  func handle(_ request: ShowMulticast) async throws(ControlError) -> [MulticastRow] { [] }
  func handle(_ request: ShowUnderlay) async throws(ControlError) -> [UnderlayRow] {
    let hop = NextHopRow(address: "192.0.2.254", device: "eth0", mac: "02:00:00:00:00:fe", state: "reachable")
    let destination = DestinationRow(address: "198.51.100.1", state: .resolved, nextHops: [hop])
    return [UnderlayRow(address: "192.0.2.1", device: "eth0", driver: "af_packet", mtu: 1500, destinations: [destination])]
  }
  func handle(_ request: ShowTransactions) async throws(ControlError) -> [TransactionRow] { [] }
  func handle(_ request: ReleaseHold) async throws(ControlError) -> ChangeAnswer { ChangeAnswer(changed: false) }
  func handle(_ request: ShowOVSDB) async throws(ControlError) -> [OVSDBRemoteRow] {
    [OVSDBRemoteRow(remote: "ssl:192.0.2.1:6640", state: "BACKOFF", sinceSeconds: 3, lastError: "it has expired")]
  }
  func handle(_ request: ShowWorkers) async throws(ControlError) -> [WorkerRow] {
    // JSON cannot represent this: the answer cannot be encoded.
    [WorkerRow(worker: 0, busyPercent: .infinity)]
  }
  func handle(_ request: ShowPlacement) async throws(ControlError) -> PlacementAnswer {
    let queue = PlacedQueue(device: "eth0", queue: 0, kind: "packet-socket", socket: 1, reason: "the only worker", crossesSockets: true)
    return PlacementAnswer(
      sockets: [MachineSocket(socket: 0, cpus: "0-3", isolated: "2-3"), MachineSocket(socket: 1, cpus: "4-7")],
      pools: [PlacedPool(socket: 1, reason: "eth0 is there")],
      workers: [PlacedWorker(worker: 0, cpus: "2", socket: 0, reason: "dataplane.cores, isolated", queues: [queue])],
      ioCores: [PlacedWorker(worker: 0, cpus: "1", socket: 0, reason: "dataplane.io-cores")],
      warnings: ["all packets cross sockets"])
  }
  func handle(_ request: RunDoctor) async throws(ControlError) -> [DoctorFinding] {
    [
      DoctorFinding(check: "kernel", found: "Linux 6.18: offers all that is made use of"),
      DoctorFinding(check: "mtu", subject: "vm1", status: .warning, found: "MTU 1500", cause: "too large", remedy: "lower it"),
    ]
  }
  func handle(_ request: Verify) async throws(ControlError) -> [DifferenceRow] {
    [DifferenceRow(place: "kernel", subject: "port vm1", intended: "attached to tap1", actual: "the tap is gone")]
  }
  func handle(_ request: RepairDifferences) async throws(ControlError) -> [DifferenceRow] {
    [DifferenceRow(place: "kernel", subject: "port vm1", intended: "attached to tap1", actual: "the tap is gone", repaired: true)]
  }
  func handle(_ request: DeleteMAC) async throws(ControlError) -> ChangeAnswer { throw ControlError(.notFound, "no such entry") }
  func handle(_ request: FlushMACs) async throws(ControlError) -> ChangeAnswer { ChangeAnswer(changed: true) }
  func handle(_ request: PreparePort) async throws(ControlError) -> ChangeAnswer { ChangeAnswer(changed: true) }
  func handle(_ request: CheckConfiguration) async throws(ControlError) -> ConfigurationAnswer {
    do throws(ConfigurationError) {
      _ = try ConfigurationLoader(hostName: "h").load(text: request.text, file: request.file)
    } catch {
      throw ControlError(error)
    }
    return ConfigurationAnswer()
  }
  func handle(_ request: ApplyConfiguration) async throws(ControlError) -> ConfigurationAnswer {
    _ = try await handle(CheckConfiguration(file: request.file, text: request.text))
    return ConfigurationAnswer(changes: ["vni 5001: added"], needsRestart: ["dataplane.workers"])
  }
  func handle(_ request: ShowConfiguration) async throws(ControlError) -> ConfigurationText { ConfigurationText(text: "name: h\n") }
}
