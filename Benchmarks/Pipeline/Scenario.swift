// Scenario: devices, snapshot, MAC table and worker for one line of the benchmark's table.

import ArgumentParser
import CDPDK
import Encap
import Glibc
import MACTable

@testable import VTEP

final class Scenario {
  private let direction: Direction
  private let line: Line
  /// Of the access port's list; 0: there is none.
  private let aclEntries: Int
  /// What the underlay's NIC does; nil: guests ask for nothing.
  private let nic: PortFeatures?
  private let source: EthernetDevice
  private let sink: EthernetDevice
  let table: MACTable
  private let context: WorkerContext
  private var publisher: SnapshotPublisher
  private let bareFrames = UnsafeMutablePointer<OpaquePointer?>.allocate(capacity: Limits.burst)

  // Ports of the snapshot: the source is the port or the underlay, the sink is another.
  private static let underlay: PortIndex = 0
  private static let access: PortIndex = 1
  private static let otherAccess: PortIndex = 2

  private var input: PortIndex { direction == .decapsulation ? Self.underlay : Self.access }
  private var output: PortIndex {
    switch direction {
    case .encapsulation: Self.underlay
    case .decapsulation: Self.access
    case .local: Self.otherAccess
    }
  }
  /// The same in every run: how many addresses collide in the MAC table and among a worker's sightings depends on them.
  private static let secrets = HashSecrets(mask: 0x5bd1_e995_2545_f491, multiplier: 0xd6e8_feb8_6659_fd93)

  /// From a file, in a loop, into nothing.
  convenience init(_ direction: Direction, _ line: Line, aclEntries: Int = 0, runtime: DPDKRuntime, folder: String) throws {
    let path = "\(folder)/traffic.pcap"
    TrafficFile.write(
      (0..<min(line.remotes, line.frames)).lazy.map { TrafficFile.received($0, line, direction) }, to: path)
    let source = try Self.device("net_pcap0", "rx_pcap=\(path),infinite_rx=1", runtime)
    unlink(path)
    try self.init(direction, line, aclEntries: aclEntries, runtime: runtime, from: source, to: try Self.device("net_null0", "", runtime))
  }

  /// Between two devices, or from one and back to it.
  init(
    _ direction: Direction, _ line: Line, aclEntries: Int = 0, nic: PortFeatures? = nil, runtime: DPDKRuntime,
    from source: EthernetDevice, to sink: EthernetDevice
  ) throws {
    self.direction = direction
    self.nic = nic
    self.line = line
    self.aclEntries = aclEntries
    self.source = source
    self.sink = sink
    let remotes = line.remotes

    table = try MACTable(
      capacity: max(65_536, line.macs * 2), portCount: Limits.ports, vtepCount: Limits.vteps, domainCount: Limits.domains,
      secrets: Self.secrets)
    for domain in 0..<line.vnis { table.configureDomain(DomainIndex(domain), ageSeconds: 0, limit: 0) }
    for index in 0..<line.locals {
      _ = table.learn(
        MACKey(domain: DomainIndex(line.domain(index)), mac: TrafficFile.localMAC(index)),
        at: .port(Self.access, vlan: line.vlan(index)), nowSeconds: 0)
    }
    for index in 0..<remotes {
      _ = table.learn(
        MACKey(domain: DomainIndex(line.domain(index)), mac: TrafficFile.remoteMAC(index)),
        at: direction == .local ? .port(Self.otherAccess, vlan: 0) : .vtep(VTEPIndex(line.vtep(index))), nowSeconds: 0)
    }

    guard let rcu = cdpdk_rcu_create(1) else { throw VTEPError(.environment, "RCU state", "out of memory") }
    let shared = UnsafeMutablePointer<SharedState>.allocate(capacity: 1)
    shared.initialize(to: SharedState(learnerEvent: cdpdk_event_create(), rcu: rcu))
    publisher = SnapshotPublisher(shared: shared)

    let locks = UnsafeMutablePointer<UInt32>.allocate(capacity: Limits.ports * Limits.workers)
    locks.initialize(repeating: 0, count: Limits.ports * Limits.workers)
    Self.rings += 1
    let learnRings = UnsafeMutablePointer<LearnRing>.allocate(capacity: 1)
    learnRings.initialize(to: try LearnRing(worker: Self.rings))
    context = WorkerContext(
      index: 0, shared: shared, table: table.reader, counters: try WorkerCounters(),
      learnRings: learnRings, workers: 1, punts: try SlowPathRing(name: "punt-\(Self.rings)"), injections: nil,
      bfdArrivals: try SlowPathRing(name: "bfd-\(Self.rings)"), bfdDepartures: nil,
      pool: runtime.pool, largePool: runtime.largePool, slicePool: runtime.slicePool, transmitLocks: locks, sleepsWhenIdle: false,
      epoll: -1, wakeEvent: -1)
    var model = model()
    if aclEntries > 0 { try filter(&model) }
    publisher.publish(model)
  }

  /// Binds a list to the access port, which looks at every field and whose last entry permits all frames.
  private func filter(_ model: inout ForwardingModel) throws {
    let direction = direction == .decapsulation ? ACLEntry.Direction.egress : .ingress
    var last = ACLEntry(sequence: Int64(aclEntries), direction: direction, action: .permit)
    for (key, text) in [(ACLEntry.Key.source, "172.16.0.0/12"), (.destination, "172.16.0.0/12"), (.protocolNumber, "udp")] {
      _ = last.set(key, text)
    }
    let entries = (1..<aclEntries).map { number in
      var entry = ACLEntry(sequence: Int64(number), direction: direction, action: .deny)
      let octets = "0\(number >> 8):\(String(number & 0x7f | 0x80, radix: 16))"
      let fields: [(ACLEntry.Key, String)] =
        switch number % 5 {
        case 0:
          [
            (.source, "172.16.\(number >> 8).\(number & 0xff)"), (.destination, "172.16.0.0/12"), (.protocolNumber, "udp"),
            (.sourcePorts, "\(number)"), (.destinationPorts, "\(6000 + number)-\(20_000 + 3 * number)"),
          ]
        case 1: [(.sourceMAC, "0e:00:\(octets):00:01/ff:00:ff:ff:00:ff"), (.destinationMAC, "02:01:02:03:\(octets)")]
        case 2:
          [
            (.source, "2001:db8:\(number):1:2:3:4:5"), (.destination, "2001:db8:\(number):6:7:8:9:a"), (.protocolNumber, "tcp"),
            (.tcpFlags, "+syn-ack"),
          ]
        case 3: [(.protocolNumber, "icmp"), (.icmpType, "\(number & 0xff)"), (.icmpCode, "\(number >> 8)")]
        default: [(.etherType, "0x\(String(0x8900 + number, radix: 16))"), (.sourceMAC, "0e:00:00:00:\(octets)")]
        }
      for (key, text) in fields { precondition(entry.set(key, text), "\(key): \(text)") }
      return entry
    }
    let acl = try CompiledACL(ACLSettings(name: "bench", entries: entries + [last])) { _ in (0...UInt32(aclEntries)).map { $0 } }
    let access = Int(Self.access)
    model.acls = [acl]
    model.policies[access].entry.acl = 0
    model.policies[access].entry.filtersIngress = direction == .ingress
    model.ports[access].features.insert(direction == .ingress ? .isPoliced : .filtersEgress)
  }

  nonisolated(unsafe) private static var rings = 100

  static func device(_ name: String, _ arguments: String, _ runtime: DPDKRuntime) throws -> EthernetDevice {
    try VTEPError.check(rte_eal_hotplug_add("vdev", name, arguments), "attach \(name)")
    var portID: UInt16 = 0
    try VTEPError.check(rte_eth_dev_get_port_by_name(name, &portID), "find \(name)")
    return try EthernetDevice.start(portID, queues: 1, purpose: .plain, runtime: runtime, subject: name)
  }

  private func model() -> ForwardingModel {
    var model = ForwardingModel(receiveQueues: [[ReceiveQueue(port: input, queue: 0)]], decapPolicy: DecapPolicy())
    if line.isIPv6 { model.ownIPv6 = TrafficFile.ownVTEP(line) } else { model.ownIPv4 = TrafficFile.ownVTEP(line) }
    model.domains = (0..<line.vnis).map { number in
      var domain = ForwardingModel.Domain()
      domain.entry.vni = TrafficFile.vni(number)
      domain.entry.isInUse = true
      return domain
    }
    for (index, device) in [(input, source), (output, sink)] {
      var port = PortEntry()
      FrameDevice.ethdev(device).fill(&port)
      port.isUp = true
      if index == Self.underlay {
        port.isUnderlay = true
        port.features = nic ?? []
        // net_null takes them, and does not say so.
        if nic != nil { port.sendsSegments = true }
      } else {
        if nic != nil { port.features = .offersOffloads }
        port.maxFrameByteCount = 1514
        if line.vnis == 1 {
          port.untaggedDomain = 0
        } else {
          let map = VLANMap(Dictionary(uniqueKeysWithValues: (0..<line.vnis).map { (line.vlan($0), DomainIndex($0)) }))
          port.vlanDomains = map.domains
          model.vlanMaps[Int(index)] = map
        }
        for number in 0..<line.vnis { model.domains[number].locals.append(LocalTarget(port: index, vlan: line.vlan(number))) }
      }
      model.ports[Int(index)] = port
    }
    model.vteps = (0..<line.vteps).map { number in
      let address = TrafficFile.vtep(number, line)
      let header = OuterHeader(
        source: TrafficFile.ownVTEP(line), destination: address, sourceMAC: TrafficFile.ownMAC,
        destinationMAC: TrafficFile.vtepMAC(number), udpPort: 4789, ttl: 64, dscp: OuterHeader.inheritedDSCP,
        computesUDPChecksum: line.isIPv6)
      return ForwardingModel.VTEP(
        entry: VTEPEntry(address: address, isInUse: true),
        adjacencies: [Adjacency(header: header, port: Self.underlay, isResolved: true, maxInnerByteCount: 1564)])
    }
    return model
  }

  func worker() -> Worker { Worker(context, sightings: Sightings(secrets: Self.secrets)) }

  /// Receive and transmit, nothing in between.
  func bareRound() -> Int {
    let count = cdpdk_rx_burst(source.portID, 0, bareFrames, UInt16(Limits.burst))
    return Int(cdpdk_tx_burst(sink.portID, 0, bareFrames, count))
  }

  func bareLoop(seconds: Double) -> Rate {
    timed(seconds) { bareRound() }
  }

  func pipelineLoop(_ worker: inout Worker, seconds: Double) -> Rate {
    timed(seconds) { worker.runOnce() }
  }

  func bareLoop(packets: Int) {
    var done = 0
    while done < packets { done += bareRound() }
  }

  /// - Parameter waste: readings of the clock with each packet, so that a guard of the loop's cost can be tested.
  func pipelineLoop(_ worker: inout Worker, packets: Int, waste: Int) {
    var done = 0
    while done < packets {
      let count = worker.runOnce()
      for _ in 0..<count * waste { _ = cdpdk_cycles() }
      done += count
    }
  }

  private func timed(_ seconds: Double, _ body: () -> Int) -> Rate {
    let length = UInt64(seconds * Double(cdpdk_cycles_per_second()))
    let start = cdpdk_cycles()
    var packets = 0
    var now = start
    repeat {
      for _ in 0..<256 { packets += body() }
      now = cdpdk_cycles()
    } while now &- start < length
    return Rate(packets: packets, tscCycles: now &- start)
  }

  /// A benchmark of dropped frames would be worthless.
  func check(_ worker: borrowing Worker) {
    let received = worker.counters.ports[Int(input)].rxPackets.value
    let sent = worker.counters.ports[Int(output)].txPackets.value
    precondition(received > 0 && received == sent, "\(direction): \(received) packets in, \(sent) out")
  }

  /// - Parameter pieces: of large segments, that must have been sent.
  func checkPieces(_ worker: borrowing Worker, _ pieces: Int) {
    let sent = worker.counters.domains[0].txPackets.value
    precondition(sent == pieces, "\(pieces) pieces in, \(sent) out")
  }

  func close() {
    try? source.remove(subject: "source")
    if sink.portID != source.portID { try? sink.remove(subject: "sink") }
  }
}
