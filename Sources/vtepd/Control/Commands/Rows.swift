// Rows: converts the data plane's reports to the control socket's rows.

import Encap
import MACTable
import MulticastLearn
import OVSDBClient
import VTEP
import VTEPControl

extension MACEntryType {
  init(_ kind: MACTableRow.Kind) {
    switch kind {
    case .learned: self = .learned
    case .static: self = .static
    case .controller: self = .controller
    }
  }
}

extension MACTableRow {
  init(_ report: MACReport) {
    let type = Kind(report.type)
    switch report.place {
    case .port(let name, let vlan):
      self.init(
        vni: report.vni.rawValue, mac: "\(report.mac)", type: type, location: .port, port: name,
        vlan: vlan == 0 ? nil : vlan, ageSeconds: report.ageSeconds, moves: UInt32(report.moves))
    case .vtep(let address):
      self.init(
        vni: report.vni.rawValue, mac: "\(report.mac)", type: type, location: .vtep, vtep: "\(address)",
        ageSeconds: report.ageSeconds, moves: UInt32(report.moves))
    case .vteps(let addresses):
      self.init(
        vni: report.vni.rawValue, mac: "\(report.mac)", type: type, location: .vtep,
        vtep: addresses.map(\.description).joined(separator: ", "), moves: UInt32(report.moves))
    }
  }
}

extension MACMoveRow {
  init(_ report: MACMoveReport) {
    self.init(
      vni: report.vni.rawValue, mac: "\(report.mac)", state: report.frozenSeconds == nil ? .moved : .frozen,
      first: "\(report.first)", second: "\(report.second)", moves: report.moves, frozenSeconds: report.frozenSeconds,
      releaseSeconds: report.releaseSeconds)
  }
}

extension VNIRow {
  init(_ report: VNIReport) {
    let settings = report.settings
    var flood = "none"
    var group: String?
    var peers: [String] = []
    switch settings.flood {
    case .multicast(let address):
      flood = "multicast"
      group = "\(address)"
    case .replicate(let addresses):
      flood = "replicate"
      peers = addresses.map(\.description)
    case .none: break
    }
    self.init(
      vni: settings.vni.rawValue, source: settings.logicalSwitch == nil ? .config : .ovsdb,
      logicalSwitch: settings.logicalSwitch?.name, flood: flood, group: group, peers: peers, ports: report.ports,
      macs: report.macs, learning: settings.learning, acceptFrom: settings.acceptFrom.rawValue,
      innerVLAN: settings.innerVLAN.rawValue, ageingSeconds: settings.ageingSeconds, macLimit: settings.macLimit,
      rxPackets: report.traffic.rxPackets, rxBytes: report.traffic.rxBytes, txPackets: report.traffic.txPackets,
      txBytes: report.traffic.txBytes, flooded: report.flooded,
      neighborSuppression: settings.neighborSuppression.rawValue, neighborAnswers: report.neighborAnswers,
      neighborPasses: report.neighborPasses,
      storm: VNIStorm(
        broadcast: settings.storm.broadcast, unknownUnicast: settings.storm.unknownUnicast,
        unknownMulticast: settings.storm.unknownMulticast,
        drops: Dictionary(uniqueKeysWithValues: report.stormDrops.filter { $0.count > 0 }.map { ($0.reason.name, $0.count) })),
      learnRefusals: report.learnRefusals,
      preparedSeconds: report.preparedSeconds)
  }
}

extension NextHopRow {
  init(_ report: NextHopReport) {
    let state = report.mac != nil ? "resolved" : report.isFailed ? "failed" : "resolving"
    self.init(
      address: "\(report.address)", device: report.device, mac: report.mac.map(\.description), state: state)
  }
}

extension ReachabilityState {
  init(_ nextHops: [NextHopReport]) {
    if nextHops.contains(where: { $0.mac != nil }) {
      self = .resolved
    } else {
      self = nextHops.contains { !$0.isFailed } ? .resolving : .unreachable
    }
  }
}

extension VTEPRow {
  init(_ report: VTEPReport) {
    self.init(
      address: "\(report.address)", state: ReachabilityState(report.nextHops), reason: report.obstacle, vnis: report.vnis.map(\.rawValue),
      macs: report.macs, nextHops: report.nextHops.map(NextHopRow.init), mtu: report.mtu,
      pathMTU: report.mtu.flatMap { PathMTURow(mtu: $0, report.pathMTU) },
      rxPackets: report.traffic.rxPackets, rxBytes: report.traffic.rxBytes, txPackets: report.traffic.txPackets,
      txBytes: report.traffic.txBytes, bfd: report.bfd?.state.name, bfdIgnored: report.bfdIgnored)
  }
}

extension PathMTURow {
  /// Nil without a reason.
  init?(mtu: Int, _ reason: PathMTUReason?) {
    switch reason {
    case nil: return nil
    case .route: self.init(mtu: mtu, origin: .route)
    case .icmp(let reporter, let seconds): self.init(mtu: mtu, origin: .icmp, reporter: "\(reporter)", expiresSeconds: max(seconds, 0))
    }
  }
}

extension DestinationRow {
  init(_ report: VTEPReport) {
    self.init(
      address: "\(report.address)", state: ReachabilityState(report.nextHops),
      nextHops: report.nextHops.map(NextHopRow.init))
  }
}

extension PortRow {
  init(_ report: PortReport) {
    let state: PortState.Link =
      switch report.status.state {
      case .up: .up
      case .down: .down
      case .waiting: .waiting
      }
    self.init(
      PortState(
        name: report.settings.name, kind: report.settings.kind.rawValue, device: report.settings.attachment.place, state: state,
        mac: report.mac.map(\.description), mtu: report.mtu, limits: PortLimits(report), rxPackets: report.traffic.rxPackets,
        rxBytes: report.traffic.rxBytes, txPackets: report.traffic.txPackets, txBytes: report.traffic.txBytes, drops: report.drops,
        features: report.status.features, queues: min(report.status.receiveQueues, report.status.transmitQueues),
        guestMTU: report.status.guestMTU, puntTap: report.settings.puntTapName, shut: report.shutReason, shutSeconds: report.shutSeconds,
        notes: report.notes),
      settings: report.settings.shown { $0 != .none && $0 != .limits })
  }
}

extension PortSettings {
  /// Values in force, of the keys that are displayed in a certain way.
  fileprivate func shown(_ isShown: (PortKey.Display) -> Bool) -> [String: SettingValue] {
    let values = PortField.all.filter { isShown($0.key.display) }.map { ($0.key.name, $0.effective(self)) }
    return Dictionary(uniqueKeysWithValues: values).compactMapValues(\.self)
  }
}

extension BindingRow {
  init(_ report: BindingReport) {
    self.init(
      port: report.port, vlan: report.vlan == 0 ? nil : report.vlan, vni: report.vni.rawValue,
      source: report.isController ? .ovsdb : .config, rxPackets: report.traffic.rxPackets, rxBytes: report.traffic.rxBytes,
      txPackets: report.traffic.txPackets,
      txBytes: report.traffic.txBytes)
  }
}

extension PortLimits {
  init(_ report: PortReport) {
    let drops = report.policyDrops.filter { $0.count > 0 }.map { ($0.reason.name, $0.count) }
    self.init(
      settings: report.settings.shown { $0 == .limits }, macs: report.learnedMACs, drops: Dictionary(uniqueKeysWithValues: drops))
  }
}

extension DropRow {
  /// - Parameter isControlled: a controller owns the bindings.
  init(_ report: DropReport, isControlled: Bool) {
    let reason = report.reason
    self.init(
      reason: reason.name, place: report.place, count: report.count,
      description: isControlled ? reason.descriptionUnderController : reason.description)
  }
}

extension DropPlaceKind {
  init(_ grouping: DropGrouping) {
    switch grouping {
    case .port: self = .port
    case .vni: self = .vni
    case .vtep: self = .vtep
    }
  }
}

extension DroppedFrameRow {
  init(_ report: DroppedFrameReport) {
    self.init(
      microseconds: report.microseconds, port: report.port, vni: report.vni?.rawValue, vtep: report.vtep.map { "\($0)" },
      length: report.byteCount, octets: report.octets)
  }
}

extension HostClassRow {
  init(_ report: HostClassReport) {
    self.init(
      name: report.kind.name, limit: UInt64(report.limit), toHost: report.toHost, fromHost: report.fromHost, dropped: report.dropped)
  }
}

extension MulticastRow {
  init(_ report: GroupReport) {
    self.init(
      group: "\(report.group)", vnis: report.vnis.map(\.rawValue), interface: report.interface, joined: report.isJoined,
      error: report.error)
  }
}

extension WorkerRow {
  init(_ report: WorkerReport) {
    let recent = report.recent
    let cycles = recent.packets == 0 ? nil : Double(recent.busyCycles) / Double(recent.packets)
    let busy = recent.totalCycles == 0 ? nil : 100 * Double(recent.busyCycles) / Double(recent.totalCycles)
    self.init(
      worker: report.worker, role: report.isIOCore ? "io" : "worker", core: report.core, queues: report.queues,
      packets: report.total.packets,
      cyclesPerPacket: cycles, busyPercent: busy, learnEventsLost: report.learnEventsLost)
  }
}

extension PlacementAnswer {
  init(_ report: PlacementReport) {
    let placement = report.placement
    self.init(
      sockets: placement.sockets.map { socket in
        MachineSocket(
          socket: socket.socket, cpus: Machine.list(socket.cpus), isolated: Machine.list(placement.isolated.filter(socket.cpus.contains)))
      },
      pools: placement.pools.map { PlacedPool(socket: $0.socket, reason: $0.reason) },
      workers: Self.threads(placement.workers, report.queues), ioCores: Self.threads(placement.ioCores, report.ioQueues),
      warnings: placement.warnings)
  }

  private static func threads(_ threads: [Placement.Worker], _ queues: [[PlacementReport.Queue]]) -> [PlacedWorker] {
    zip(threads, queues).enumerated().map { number, pair in
      PlacedWorker(
        worker: number, cpus: Machine.list(pair.0.cpus), socket: pair.0.socket, reason: pair.0.reason,
        queues: pair.1.map { queue in
          PlacedQueue(
            device: queue.device, queue: Int(queue.queue), kind: queue.kind, socket: queue.place.socket, reason: queue.place.reason,
            crossesSockets: queue.place.crossesSockets)
        })
    }
  }
}

extension OVSDBRemoteRow {
  /// - Parameters:
  ///   - replica: what is known of the database, whichever member of the cluster it is from.
  ///   - report: what is held and what is wrong, whichever member told us.
  init(_ status: RemoteStatus, _ replica: Replica?, _ report: ControllerAgent.Report) {
    self.init(
      remote: "\(status.remote)", state: status.state.rawValue, sinceSeconds: Int(status.sinceSeconds), lastError: status.lastError,
      logicalSwitches: replica?.rows("Logical_Switch").count, ucastRemote: replica?.rows("Ucast_Macs_Remote").count,
      ucastLocal: replica?.rows("Ucast_Macs_Local").count, tunnelAddress: report.tunnelAddress.map { "\($0)" },
      holdSeconds: report.held.map(\.secondsLeft).max(), held: report.held, faults: report.faults)
  }
}

extension TransactionRow {
  init(_ entry: TransactionLog.Entry, now: Double) {
    self.init(
      ageSeconds: Int(max(now - entry.atSeconds, 0)), summary: entry.summary, operations: entry.operationCount,
      result: entry.error ?? "committed", milliseconds: entry.milliseconds)
  }
}
