// RecordedEffects: the reconciler's effects without DPDK, kernel or threads. They are written down, and two rules are checked with each:
// what the MAC table names is known to every worker, and a device that is closed is used by none.

import Encap
import Logging
import MACTable
import Netlink
import Synchronization
import Testing

@testable import VTEP

final class RecordedEffects: ReconcilerEffects {
  enum Effect: Equatable {
    case publish, wait, write, slowPath
    case open(String), close(String), carrier(String, Bool)
    case join(IPAddress, VNI), leave(IPAddress, VNI)
    case request(IPAddress), release(IPAddress)
    case freed([MACAddress])
  }

  var effects: [Effect] = []
  /// What workers may use: all that was published since they were last waited for, and what was current then.
  private(set) var models = [ForwardingModel(workers: 1)]
  let table: MACTable
  let events: EventLog
  let neighborTable: NeighborTable? = try! NeighborTable(capacity: 1024)
  var nowSeconds: UInt32 = 1000
  let lines = LogLines()
  var log: Logger { Logger(label: "test") { [lines] _ in KeepingLog(lines) } }
  /// The kernel's answer to requests of neighbours.
  var refusal: NetlinkError?
  let counters = [try! WorkerCounters()]

  /// MTU of the routes to all VTEPs.
  var routeMTU: Int?
  /// Interfaces of their next hops.
  var routeInterfaces: [Int32] = [1]

  /// What devices say, by their ports' names; others are up.
  var statuses: [String: PortStatus] = [:]
  /// Ports that cannot be opened.
  var broken: Set<String> = []
  /// Ports are taps, and not devices of DPDK.
  var opensTaps = false
  /// Of devices of DPDK.
  var deviceQueues = 1
  private var nextDevice: UInt16 = 0

  deinit { for counters in counters { counters.deallocate() } }

  init() throws {
    table = try MACTable(capacity: 1024, portCount: Limits.ports, vtepCount: Limits.vteps, domainCount: Limits.domains)
    events = EventLog(ring: table.events)
  }

  /// Returns what has happened since the last call.
  func take() -> [Effect] {
    defer { effects = [] }
    return effects
  }

  func count(_ effect: Effect) -> Int { effects.count { $0 == effect } }

  // -- workers and MAC table ---------------------------------------------------------------------------------------------

  func publish(_ model: ForwardingModel) {
    effects.append(.publish)
    models.append(model)
    // What the table still names may be gone, but it must not be something else.
    for entry in entries {
      #expect(Set(models.compactMap { vni(entry, $0) }).count <= 1, "\(entry) is in a domain that has become another's")
      #expect(Set(models.compactMap { address(entry, $0) }).count <= 1, "\(entry) is behind a VTEP that has become another")
    }
  }

  func waitForWorkers() {
    effects.append(.wait)
    models.removeFirst(models.count - 1)
  }

  func write<Result>(_ body: (MACTable) -> sending Result) -> Result {
    effects.append(.write)
    let result = body(table)
    checkTable()
    return result
  }

  /// Workers look an address up in the table, and its index in whatever snapshot they have.
  private func checkTable() {
    for entry in entries {
      #expect(models.allSatisfy { vni(entry, $0) != nil }, "\(entry) is in a domain that a worker does not know")
      guard entry.location.isVTEP else { continue }
      #expect(models.allSatisfy { address(entry, $0) != nil }, "\(entry) is behind a VTEP that a worker does not know")
    }
  }

  private var entries: [MACTable.Entry] {
    var cursor = 0
    return table.entries(from: &cursor, limit: .max)
  }

  private func vni(_ entry: MACTable.Entry, _ model: ForwardingModel) -> VNI? {
    let index = Int(entry.key.domain)
    return index < model.domains.count && model.domains[index].entry.isInUse ? model.domains[index].entry.vni : nil
  }

  private func address(_ entry: MACTable.Entry, _ model: ForwardingModel) -> IPAddress? {
    guard entry.location.isVTEP else { return nil }
    let index = Int(entry.location.vtep)
    return index < model.vteps.count && model.vteps[index].entry.isInUse ? model.vteps[index].entry.address : nil
  }

  func enter(_ entries: [(key: MACKey, index: VTEPIndex)]) {
    for (key, index) in entries { _ = table.learn(key, at: .vtep(index), nowSeconds: nowSeconds) }
    checkTable()
  }

  func post(released moves: [MACMove]) { effects.append(.freed(moves.map(\.key.mac))) }
  func resetLimits(port: PortIndex) {}
  func resetLimits(domain: DomainIndex) {}

  // -- devices -----------------------------------------------------------------------------------------------------------

  func open(_ settings: PortSettings, guestMTU: Int, ownSockets: Set<String>) throws(VTEPError) -> OpenedPort? {
    openedTogether.append(opensTogether)
    guard !broken.contains(settings.name) else { throw VTEPError(.environment, "port \(settings.name)", "broken") }
    effects.append(.open(settings.name))
    let device = opensTaps ? makeTap() : makeDevice()
    return OpenedPort(device: device, link: link(settings.attachment.device ?? ""))
  }

  var opensTogether = false
  /// Whether ports were opened so.
  private(set) var openedTogether: [Bool] = []

  func open(_ backEnd: BackEnd) throws(VTEPError) -> FrameDevice { makeDevice() }

  func openUnderlay(_ uplink: UnderlaySettings.Uplink, udpPort: UInt16) throws(VTEPError) -> OpenedUplink {
    guard !broken.contains(uplink.device) else { throw VTEPError(.environment, uplink.subject, "broken") }
    let device = rings.map { .ring($0) } ?? makeDevice()
    var opened = OpenedUplink(link: link(uplink.device), device: device)
    if let nic = uplink.nic, let ethernet = device.ethernet ?? rings?.nic, case .tap(let tap) = makeTap() {
      opened.nic = OwnedNIC(
        name: DPDKDevice.name(nic), device: ethernet, tap: tap, hasLink: true, mac: opened.link.mac, mtu: opened.link.mtu)
    }
    return opened
  }

  func chooseOffloads(_ nics: [OwnedNIC], _ mode: UnderlaySettings.OffloadMode, udpPort: UInt16) throws(VTEPError) -> [OwnedNIC] {
    nics.map { nic in
      var nic = nic
      nic.device.offloads = NICOffloads(
        offered: offeredOffloads, namesTunnels: true, driver: "net_test", mode: mode, finding: .tested(failures: failedOffloads))
      return nic
    }
  }
  /// What NICs offer, and what of it fails.
  var offeredOffloads: Set<NICOffload> = []
  var failedOffloads: [NICOffload: String] = [:]

  /// Whether NICs have a link, by their names; others do.
  var links: [String: Bool] = [:]

  func hasLink(_ nic: OwnedNIC) -> Bool { links[nic.name] ?? true }

  func follow(_ nic: OwnedNIC, _ link: Link, subject: String) -> OwnedNIC {
    var nic = nic
    nic.hasLink = links[nic.name] ?? true
    return nic
  }

  /// Sockets of devices.
  var sockets: [String: Int] = [:]

  func socket(ofDevice name: String) -> Int? { sockets[name] }

  func steer(_ devices: [UnderlayDevice], _ settings: UnderlaySettings) {}

  func link(index: Int32) -> Link? { nil }

  /// A tap's descriptor is 1000 and the number of the device.
  private func makeTap() -> FrameDevice {
    nextDevice += 1
    return .tap(TapQueues(descriptors: [1000 + Int32(nextDevice)], mac: MACAddress(bits: 1), isTakenOver: false, offloads: 0))
  }

  private func makeDevice() -> FrameDevice {
    nextDevice += 1
    return .ethdev(
      EthernetDevice(
        portID: nextDevice, queueCount: deviceQueues, sendsSegments: false, mac: MACAddress(bits: 0x0200_0000_0000 | UInt64(nextDevice))))
  }

  /// The underlay is interface 1.
  private func link(_ name: String) -> Link {
    Link(
      index: name == "u0" ? 1 : Int32(nextDevice) + 100, name: name, mac: MACAddress(bits: 0x0200_0000_0001), mtu: 1500, isUp: true,
      isRunning: true)
  }

  /// MTUs that were set, and those that were put back.
  private(set) var adjusted: [String] = []

  func adjust(_ link: Link, _ settings: PortSettings, guestMTU: Int) throws(VTEPError) {
    guard let mtu = settings.mtu, mtu != link.mtu else { return }
    guard !unadjustable.contains(settings.name) else { throw VTEPError(.environment, "port \(settings.name)", "cannot be adjusted") }
    adjusted.append("\(settings.name) \(mtu)")
  }

  func restore(_ link: Link, port: String) { adjusted.append("\(port) back to \(link.mtu)") }

  /// Ports whose MTU the kernel refuses.
  var unadjustable: Set<String> = []

  func close(_ closings: [StaleState.Closing]) { closings.forEach(close) }

  private func close(_ closing: StaleState.Closing) {
    effects.append(.close(closing.subject))
    guard let device = closing.device else { return }
    for model in models {
      #expect(!model.ports.contains { $0.isAttached && $0.device == device.ethernet?.portID }, "\(closing.subject) is closed and in use")
    }
  }

  func status(of record: PortRecord) -> PortStatus {
    guard record.device != nil else { return PortStatus() }
    var up = PortStatus()
    up.state = .up
    up.receiveQueues = 1
    return statuses[record.settings.name] ?? up
  }

  /// Where the interfaces of taps are, and their states, by the first descriptor.
  var places: [Int32: TapPlace] = [:]
  var tapStates: [Int32: TapDevice.State] = [:]
  var followsNamespaces = true

  func place(of tap: TapQueues) -> TapPlace { places[tap.descriptors[0]] ?? .hidden }
  func states(ofTaps descriptors: [Int32]) -> [TapDevice.State] { descriptors.map { tapStates[$0] ?? .up } }
  func setOffloads(_ record: PortRecord) {}
  /// What workers see of NICs; nil: the NICs themselves.
  var rings: RingDevice?
  /// Numbers of io-cores that were given a queue.
  private(set) var handedOver: [Int] = []
  func handOver(_ queue: Int, of rings: RingDevice, toIOCore number: Int) { handedOver.append(number) }
  func setCarrier(_ record: PortRecord, isOn: Bool) { effects.append(.carrier(record.settings.name, isOn)) }
  func watch(_ queue: ReceiveQueue, worker: Int) {}
  func unwatch(_ queue: ReceiveQueue, worker: Int) {}

  // -- kernel ------------------------------------------------------------------------------------------------------------

  func owned(_ addresses: [IPAddress]) throws(NetlinkError) -> Set<IPAddress> { Set(addresses) }
  func route(to address: IPAddress, from source: IPAddress?, udpPort: UInt16) throws(NetlinkError) -> Route? {
    Route(type: .unicast, nextHops: routeInterfaces.map { NextHop(gateway: nil, interfaceIndex: $0) }, mtu: routeMTU)
  }
  func pathMTUSeconds(isIPv4: Bool) -> UInt32 { 600 }
  func neighbors() throws(NetlinkError) -> [Neighbor] { [] }
  func request(_ neighbor: NeighborKey) throws(NetlinkError) {
    effects.append(.request(neighbor.address))
    if let refusal { throw refusal }
  }
  func release(_ neighbor: NeighborKey) { effects.append(.release(neighbor.address)) }
  func policies(isFirst: Bool) throws(NetlinkError) -> [IPsecPolicy]? { nil }
  func join(_ group: IPAddress, vni: VNI) throws { effects.append(.join(group, vni)) }
  func leave(_ group: IPAddress, vni: VNI) { effects.append(.leave(group, vni)) }
  func setMembershipInterfaces(_ indexes: [Int32]) {}

  /// As it was told last.
  var bfdTargets: [IPAddress: BFDTarget] = [:]
  var bfdSessions: [IPAddress: BFDTarget] { bfdTargets }
  func followBFD(_ targets: [IPAddress: BFDTarget], on uplinks: Set<BFDUplink>) { bfdTargets = targets }
  private(set) var earlierBFD: [IPAddress: BFDCounts] = [:]
  func continueBFD(_ earlier: [IPAddress: BFDCounts]) { earlierBFD = earlier }

  func updateSlowPath(_ ports: PortTable, probeIntervalSeconds: UInt32) { effects.append(.slowPath) }
}

/// What is logged.
final class LogLines: Sendable {
  private let all = Mutex<[String]>([])

  func add(_ line: String) { all.withLock { $0.append(line) } }

  /// Returns the lines since the last call.
  func take() -> [String] {
    all.withLock { lines in
      defer { lines = [] }
      return lines
    }
  }
}

struct KeepingLog: LogHandler {
  let lines: LogLines
  var logLevel = Logger.Level.info
  var metadata = Logger.Metadata()

  init(_ lines: LogLines) { self.lines = lines }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) { lines.add("\(event.message)") }
}
