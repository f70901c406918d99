// ControllerAgent+Publish: publishes the switch's state when the state or the database changes. One transaction at a time.

import Encap
import OVSDBClient
import VTEP
import VTEPControl

extension ControllerAgent {
  /// Seconds between updates of binding counters.
  private static let counterSeconds = 5.0
  /// Seconds to wait after the server rejects a transaction.
  private static let retrySeconds = 1.0
  /// Longest wait, in seconds, for an inserted row to appear in the replica.
  private static let echoSeconds = 2.0

  func publish(_ reconciler: Reconciler) async {
    guard !isPublishing, !isWithdrawn, client != nil, now >= pauseEnd else { return }
    isPublishing = true
    defer { isPublishing = false }
    let state = await state(reconciler)
    let counters = now >= nextCounters ? await counters(reconciler) : nil
    if publisher.endAdoption(now: now) { hasNews = true }
    guard let client, let replica = mapping.replica, hasEchoes(in: replica), hasNews || counters != nil || state != compared else {
      return
    }
    remember(state, replica)
    if counters != nil { nextCounters = now + Self.counterSeconds }
    let operations = publisher.operations(state, mapping, counters: counters, now: now)
    compared = state
    // There may be more than fits into one transaction.
    hasNews = operations.count >= Publisher.batch
    if !operations.isEmpty { await transact(operations, client) }
  }

  /// Notes our row in the database, once none of another name is left to be renamed or removed.
  private func remember(_ state: SwitchState, _ replica: Replica) {
    guard state.formerRow == nil || replica.physicalSwitch(named: name)?.id != state.formerRow else { return }
    var plan = Publisher.Plan(state, replica, mapping)
    if let former = plan.formerSwitch {
      log.notice("controller: this switch was '\(former.name)' in the database, and becomes '\(name)'")
      return
    }
    guard let own = replica.physicalSwitch(named: name) else { return }
    do {
      try identity.remember(own.id)
      described = nil
    } catch {
      log.error("controller: cannot write \(identity.path): \(error)")
    }
  }

  /// Whether the replica contains the rows that we inserted last. Otherwise they would be inserted twice.
  private func hasEchoes(in replica: Replica) -> Bool {
    guard let awaited, now < awaited.until else { return true }
    return awaited.rows.allSatisfy { id in replica.tables.values.contains { $0[id] != nil } }
  }

  func transact(_ operations: [OVSDBOperation], _ client: OVSDBClient) async {
    let start = now
    var entry = TransactionLog.Entry(
      atSeconds: start, milliseconds: 0, operationCount: operations.count, summary: TransactionLog.summary(operations))
    do {
      let results = try await client.transact(operations)
      awaited = (results.compactMap(\.insertedID), now + Self.echoSeconds)
    } catch {
      entry.error = "\(error)"
      compared = nil
      publisher.reportedFaults = [:]
      pauseEnd = now + Self.retrySeconds
    }
    entry.milliseconds = (now - start) * 1000
    record(entry)
  }

  /// The state to publish; nil: there is no data plane yet.
  func currentState() async -> SwitchState? {
    guard let reconciler else { return nil }
    return await state(reconciler)
  }

  /// The state to publish.
  private func state(_ reconciler: Reconciler) async -> SwitchState {
    if let news = await reconciler.localStations(unlike: stations?.version) { stations = (news.version, Set(news.stations)) }
    var state = await description(reconciler)
    state.stations = (stations?.all ?? []).union(state.routers)
    state.heldSwitches = hold.rows(mapping)
    let report = await reconciler.controllerReport()
    state.tunnels.remotes = report.destinations
    if !mapping.layer.bfd.isEmpty {
      for session in reconciler.running.bfdReports() { state.tunnels.status[session.address] = session.status }
    }
    state.faults = mapping.faults.union(faults(report)).union(keyFaults)
    if let message = familyNote(report, state.tunnelAddress, await reconciler.desired.underlay.addresses) {
      state.faults.messages.insert(message)
    }
    tell(state.faults.messages)
    return state
  }

  /// The part that depends only on the desired state.
  private func description(_ reconciler: Reconciler) async -> SwitchState {
    let revision = await reconciler.revision
    if let described, described.revision == revision { return described.state }
    let desired = await reconciler.desired
    var state = SwitchState(name: name, formerRow: identity.row, description: "vtepd \(Version.text)")
    state.tunnelAddress = settings.tunnelAddress(among: desired.underlay.addresses)
    state.managementIPs = HostAddresses.management(besides: desired.underlay.addresses)
    state.ports = desired.ports.mapValues { SwitchState.Port(description: "\($0.kind.rawValue) \($0.attachment.place)") }
    state.boundVNIs = Set(await reconciler.controlledBindings().values)
    let routers = await reconciler.routersOfController()
    state.boundVNIs.formUnion(routers.vnis)
    state.routers = routers.stations
    state.arpSource = routers.requestMAC
    described = (revision, state)
    return state
  }

  /// Counters of the controller's bindings.
  private func counters(_ reconciler: Reconciler) async -> Publisher.Counters {
    var counters: Publisher.Counters = [:]
    let bindings = await reconciler.controlledBindings()
    for report in reconciler.running.bindingReports() {
      let binding = ControllerLayer.Binding(port: report.port, vlan: report.vlan)
      if bindings[binding] == report.vni { counters[binding] = SwitchState.Traffic(report.traffic) }
    }
    return counters
  }

  /// Bindings to logical switches without a key. Told, but no fault: many controllers bind first and set the key later, and local ports
  /// reach each other.
  private var keyFaults: DatabaseFaults {
    var faults = DatabaseFaults()
    let held = Set(hold.networks.values.map(\.settings.name))
    for (binding, name) in mapping.keylessBindings where !held.contains(name) {
      faults.messages.insert(
        """
        port \(binding.port): VLAN \(binding.vlan) is bound to logical switch '\(name)', which has no tunnel_key: bridged between local \
        ports only, until the controller sets it (vtep-ctl set Logical_Switch \(name) tunnel_key=VNI)
        """)
    }
    return faults
  }

  /// Destinations of the other address family cannot use the published address.
  private func familyNote(_ report: ControllerReport, _ published: IPAddress?, _ addresses: [IPAddress]) -> String? {
    guard let published else { return nil }
    let count = published.isIPv4 ? report.ipv6Destinations : report.ipv4Destinations
    guard count > 0 else { return nil }
    let family = published.isIPv4 ? "IPv6" : "IPv4"
    let remedy = addresses.first { $0.isIPv4 != published.isIPv4 }.map { "; ovsdb.tunnel-address: \($0) publishes the other" } ?? ""
    return "\(count) VTEPs of the controller have \(family) addresses, but tunnel_ips publishes \(published)\(remedy)"
  }

  /// Requests that the data plane could not fulfil.
  private func faults(_ report: ControllerReport) -> DatabaseFaults {
    var faults = DatabaseFaults()
    // The reconciler has already logged the conflicts.
    for conflict in report.conflicts {
      switch conflict.subject {
      case .vni(let vni): for port in mapping.ports(of: vni) { faults.ofPorts[port, default: []].insert(.invalidVLANMap) }
      case .destination(let vni): for port in mapping.ports(of: vni) { faults.ofPorts[port, default: []].insert(.unspecified) }
      case .router(let name): faults.ofRouters[name, default: []].insert("unspecified_fault")
      case .routerACL(let name, _): faults.ofRouters[name, default: []].insert("invalid_ACL_binding")
      case .arpSource: for name in mapping.layer.routers.keys { faults.ofRouters[name, default: []].insert("unspecified_fault") }
      case .acl(let name):
        guard let id = mapping.aclNames.first(where: { $0.value == name })?.key else { continue }
        faults.acls[id] = [conflict.isShortage ? "resource_shortage" : ACLReader.unspecified]
      case .aclBinding(let binding): faults.ofPorts[binding.port, default: []].insert(.invalidACLBinding)
      case .binding(let binding): faults.ofPorts[binding.port, default: []].insert(.invalidVLANMap)
      }
    }
    for (text, vnis) in report.uselessDestinations {
      faults.messages.insert("remote addresses: \(text)")
      for port in vnis.reduce(into: Set<String>(), { $0.formUnion(mapping.ports(of: $1)) }) {
        faults.ofPorts[port, default: []].insert(.unspecified)
      }
    }
    if report.addressesWithoutRoom > 0 {
      faults.report(.macTableExhaustion, "the MAC table has no room for all remote addresses; raise dataplane.mac-table-size")
    }
    if report.destinationsWithoutRoom > 0 { faults.report(.tunnelExhaustion, "too many VTEPs for the data plane") }
    return faults
  }
}

extension SwitchState.Traffic {
  fileprivate init(_ report: TrafficReport) {
    self.init(
      packetsFromLocal: Int64(clamping: report.rxPackets), bytesFromLocal: Int64(clamping: report.rxBytes),
      packetsToLocal: Int64(clamping: report.txPackets), bytesToLocal: Int64(clamping: report.txBytes))
  }
}
