// A worker, a snapshot and a MAC table over ports in memory: (port, bytes) in, (port, bytes) out, and what every counter
// did. For tests, which add what they expect (DataplaneFixture+Expect), and for fuzz targets.

import CDPDK
import Encap
import MACTable

@testable import VTEP

final class DataplaneFixture {
  let family: Family
  let attachment: Attachment
  let test: TestRuntime
  let table: MACTable
  let neighbors: NeighborTable
  var model: ForwardingModel
  var worker: Worker
  private var publisher: SnapshotPublisher
  /// Packets and bytes put in and taken out so far, per port.
  var put = [Traffic](repeating: Traffic(), count: Place.allCases.count)
  var taken = [Traffic](repeating: Traffic(), count: Place.allCases.count)
  /// What the counters were when they were looked at last.
  var base: CounterValues
  /// The same at the beginning.
  let start: CounterValues

  /// - Parameter shared: a fixture that lives beside others has its own.
  init(
    _ family: Family, _ attachment: Attachment, _ test: TestRuntime, shared: UnsafeMutablePointer<SharedState>? = nil
  ) throws {
    let shared = shared ?? test.shared
    self.family = family
    self.attachment = attachment
    self.test = test
    model = Topology.model(family, attachment, ports: test.ports)
    table = try MACTable(
      capacity: 16384, portCount: Limits.ports, vtepCount: Limits.vteps, domainCount: Limits.domains)
    neighbors = try NeighborTable(capacity: 1024)
    table.configureDomain(Topology.domain, ageSeconds: 0, limit: 0)
    for (number, place) in [(1, Place.vm1), (2, .vm2), (3, .vm3)] {
      let key = MACKey(domain: Topology.domain, mac: Topology.guest(UInt64(number)))
      _ = table.learn(key, at: .port(place.rawValue, vlan: attachment.vlan), nowSeconds: 0)
    }
    for (number, vtep) in [(21, Topology.near), (22, Topology.far)] {
      let key = MACKey(domain: Topology.domain, mac: Topology.guest(UInt64(number)))
      _ = table.learn(key, at: .vtep(vtep), nowSeconds: 0)
    }
    publisher = SnapshotPublisher(shared: shared)
    publisher.publish(model)
    var context = Self.context(0, test, table.reader, shared)
    context.neighbors = neighbors.reader
    worker = Worker(context)
    start = CounterValues(test.counters[0])
    base = start
    _ = Sighting.takeAll(test.learnRings[0])
  }

  static func context(
    _ index: Int, _ test: TestRuntime, _ reader: MACTableReader, _ shared: UnsafeMutablePointer<SharedState>,
    sleepsWhenIdle: Bool = false
  ) -> WorkerContext {
    WorkerContext(
      index: index, shared: shared, table: reader, counters: test.counters[index], learnRings: test.learnRingArray,
      workers: test.learnRings.count, punts: test.punts[index], injections: index == 0 ? test.injections : nil,
      bfdArrivals: test.bfdArrivals[index], bfdDepartures: index == 0 ? test.bfdDepartures : nil,
      pool: test.runtime.pool, largePool: test.runtime.largePool, slicePool: test.runtime.slicePool, transmitLocks: test.transmitLocks,
      sleepsWhenIdle: sleepsWhenIdle,
      epoll: -1, wakeEvent: -1)
  }

  // -- the model -------------------------------------------------------------------------------------------------------

  /// Changes the model and makes it current.
  func change(_ edit: (inout ForwardingModel) -> Void) {
    edit(&model)
    publisher.publish(model)
  }

  /// Makes the uplink a NIC that DPDK drives, and the second uplink's place its tap.
  func ownUplink() {
    change { model in
      let (nic, tap) = (Place.uplink.rawValue, Place.secondUplink.rawValue)
      model.ports[Int(nic)].partner = tap
      model.ports[Int(nic)].mac = Topology.uplinkMAC
      model.ports[Int(tap)].partner = nic
      model.ports[Int(tap)].isUnderlay = false
    }
  }

  func changePort(_ place: Place, _ edit: (inout PortEntry) -> Void) {
    change { edit(&$0.ports[Int(place.rawValue)]) }
  }

  func changeDomain(_ index: DomainIndex = Topology.domain, _ edit: (inout ForwardingModel.Domain) -> Void) {
    change { edit(&$0.domains[Int(index)]) }
  }

  /// Gives a VTEP these next hops.
  func setAdjacencies(_ vtep: VTEPIndex, _ adjacencies: [Adjacency]) {
    change { $0.vteps[Int(vtep)].adjacencies = adjacencies }
  }

  // -- the table -------------------------------------------------------------------------------------------------------

  func learn(_ mac: MACAddress, at location: MACLocation, domain: DomainIndex = Topology.domain) {
    _ = table.learn(MACKey(domain: domain, mac: mac), at: location, nowSeconds: 0)
  }

  func setStatic(_ mac: MACAddress, at location: MACLocation) throws {
    try table.setStatic(MACKey(domain: Topology.domain, mac: mac), at: location, type: .static)
  }

  func entry(_ mac: MACAddress) -> MACTable.Entry? {
    var cursor = 0
    return table.entries(from: &cursor, limit: .max).first { $0.key == MACKey(domain: Topology.domain, mac: mac) }
  }

  /// Fills the table with stations of another VTEP until so many share buckets that workers look up in another way.
  func crowd() {
    var number: UInt64 = 0x4000_0000
    while !table.reader.isCrowded {
      learn(Topology.guest(number), at: .vtep(Topology.far))
      number += 1
    }
  }

  // -- traffic ---------------------------------------------------------------------------------------------------------

  /// A guest's frame as its port carries it.
  func onWire(_ frame: Frame) -> Frame {
    attachment == .tagged ? frame.tagged(attachment.vlan) : frame
  }

  func send(_ frame: Frame, from place: Place) {
    sendRaw(place.isUplink ? frame : onWire(frame), at: place)
  }

  /// A guest's frame with what its driver says about it, in buffers of 1,500 octets.
  func send(_ frame: Frame, from place: Place, as received: MemoryPort.Received) {
    let bytes = onWire(frame)
    sendRaw(bytes, at: place, segments: Array(repeating: 1500, count: (bytes.count - 1) / 1500), as: received)
  }

  /// Bytes as they are, whatever the binding.
  func sendRaw(_ bytes: [UInt8], at place: Place, segments: [Int] = [], as received: MemoryPort.Received = .plain) {
    test.ports[Int(place.rawValue)].put(bytes, segments: segments, as: received)
    put[Int(place.rawValue)].add(bytes.count)
  }

  /// A frame in a buffer that keeps no room in front but what 128 octets of headroom leave.
  func sendWithoutHeadroom(_ frame: Frame, from place: Place) {
    test.ports[Int(place.rawValue)].putIntoHeadroom(frame)
    put[Int(place.rawValue)].add(frame.count)
  }

  func send(_ packet: VXLANPacket, at place: Place = .uplink) {
    sendRaw(packet.bytes, at: place)
  }

  /// Rounds until nothing comes in any more.
  func run() {
    while worker.runOnce() > 0 {}
  }

  /// What a port has sent since the last call.
  func take(_ place: Place) -> [[UInt8]] {
    let frames = test.ports[Int(place.rawValue)].take()
    for frame in frames { taken[Int(place.rawValue)].add(frame.count) }
    return frames
  }

  /// The same, for a look at the buffers; the caller frees them.
  func takeBuffers(_ place: Place) -> [OpaquePointer] {
    let buffers = test.ports[Int(place.rawValue)].takeBuffers()
    for buffer in buffers { taken[Int(place.rawValue)].add(Int(cdpdk_mbuf_length(buffer))) }
    return buffers
  }

  /// A packet as a VTEP sends it to us.
  func packet(from vtep: VTEPIndex = Topology.near, carrying inner: Frame, vni: VNI = Topology.vni) -> VXLANPacket {
    VXLANPacket(
      sourceMAC: Topology.nextHop(vtep, family), destinationMAC: Topology.uplinkMAC,
      source: Topology.vtepAddress(vtep, family), destination: Topology.ownAddress(family),
      udpChecksum: family == .ipv6 ? .correct : .zero, vni: vni.rawValue, inner: inner)
  }

  /// A packet as we send it to a VTEP or group; 64 hops to a VTEP, one to a group.
  func tunnelled(to vtep: VTEPIndex, _ inner: Frame) -> VXLANPacket {
    VXLANPacket(
      sourceMAC: Topology.uplinkMAC, destinationMAC: Topology.nextHop(vtep, family),
      source: Topology.ownAddress(family), destination: Topology.vtepAddress(vtep, family),
      ttl: vtep == Topology.group ? 1 : 64, udpChecksum: family == .ipv6 ? .correct : .zero,
      vni: Topology.vni.rawValue, inner: inner)
  }

  // -- counters ----------------------------------------------------------------------------------------------------------

  /// Counted since the fixture was made or `expect` was called last.
  var deltas: CounterDeltas { CounterDeltas(test.counters[0], base) }
}
