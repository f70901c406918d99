// SnapshotStorage: from the model's arrays to the worker's, with the two maps; and SnapshotPublisher: nothing is freed that
// a worker may still look at.

import CDPDK
import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Forwarding snapshot")
  struct SnapshotTests {
    private func emptyModel() -> ForwardingModel { ForwardingModel(receiveQueues: [[]], decapPolicy: DecapPolicy()) }

    @Test("VNI to domain, against a dictionary", arguments: [0, 1, 7, 8, 9, 3000, Limits.domains])
    func vnis(_ count: Int) {
      var model = emptyModel()
      var expected: [UInt32: DomainIndex] = [:]
      while expected.count < count {
        // Neighbours and multiples of large powers of two, besides random values: the worst for a hash.
        let candidates = [UInt32.random(in: 0...VNI.maximum), UInt32(expected.count), UInt32(expected.count) << 11 & VNI.maximum]
        let vni = candidates.randomElement() ?? 0
        guard expected[vni] == nil else { continue }
        var domain = ForwardingModel.Domain()
        domain.entry.vni = VNI(truncating: vni)
        // Every fifth index is not in use at the moment; its VNI is not to be found.
        domain.entry.isInUse = expected.count % 5 != 3
        expected[vni] = domain.entry.isInUse ? DomainIndex(model.domains.count) : .absent
        model.domains.append(domain)
      }
      let storage = SnapshotStorage(model, generation: 1)
      defer { withExtendedLifetime(storage) {} }
      for (vni, domain) in expected { #expect(storage.snapshot.pointee.domain(of: VNI(truncating: vni)) == domain) }
      for _ in 0..<5000 {
        let vni = UInt32.random(in: 0...VNI.maximum)
        #expect(storage.snapshot.pointee.domain(of: VNI(truncating: vni)) == expected[vni] ?? .absent)
      }
      #expect(storage.snapshot.pointee.vniMask &+ 1 >= UInt32(count * 2))
    }

    /// At random 198 of 250 would have a slot of 512 to themselves or be the first there.
    @Test("VTEPs with addresses in a row are mostly found at the first try", arguments: [1, 256, 65_536] as [UInt32])
    func vtepsInARow(_ step: UInt32) {
      var model = emptyModel()
      let addresses = (0..<250).map { IPAddress(ipv4: 0x0a00_0001 + $0 * step) }
      model.vteps = addresses.map { ForwardingModel.VTEP(entry: VTEPEntry(address: $0, isInUse: true)) }
      let storage = SnapshotStorage(model, generation: 1)
      defer { withExtendedLifetime(storage) {} }
      let mask = storage.snapshot.pointee.ipv4.mask
      let slots = addresses.map { IPv4Map.hash($0.ipv4.bigEndian) & mask }
      #expect(Set(slots).count >= 210)
    }

    @Test("address to VTEP, against a dictionary", arguments: [0, 1, 8, 9, 4000, Limits.vteps])
    func vteps(_ count: Int) {
      var model = emptyModel()
      var expected: [IPAddress: VTEPIndex] = [:]
      func random() -> IPAddress {
        switch Int.random(in: 0..<3) {
        case 0: IPAddress(ipv4: UInt32.random(in: .min ... .max))
        case 1: IPAddress(high: 0x2001_0db8_0000_0000 | UInt64.random(in: 0..<64), low: UInt64.random(in: 0..<256))
        default: IPAddress(ipv4: 0x0a00_0000 | UInt32.random(in: 0..<0x4000))
        }
      }
      while expected.count < count {
        let address = random()
        guard expected[address] == nil else { continue }
        let isInUse = expected.count % 5 != 3
        expected[address] = isInUse ? VTEPIndex(model.vteps.count) : .absent
        model.vteps.append(ForwardingModel.VTEP(entry: VTEPEntry(address: address, isInUse: isInUse)))
      }
      let storage = SnapshotStorage(model, generation: 1)
      defer { withExtendedLifetime(storage) {} }
      for (address, index) in expected { #expect(storage.snapshot.pointee.vtep(at: address) == index) }
      for _ in 0..<5000 {
        let address = random()
        #expect(storage.snapshot.pointee.vtep(at: address) == expected[address] ?? .absent)
      }
    }

    @Test("lists of domains, next hops of VTEPs and queues of workers keep their owners")
    func ranges() {
      var model = emptyModel()
      for index in 0..<UInt16(50) {
        var domain = ForwardingModel.Domain()
        domain.entry.isInUse = true
        domain.entry.vni = VNI(truncating: UInt32(index))
        domain.locals = (0..<index % 4).map { LocalTarget(port: PortIndex($0), vlan: index) }
        domain.flood = (0..<index % 3).map { VTEPIndex($0 * 100 + index) }
        domain.peers = (0..<index % 5).map { VTEPIndex(1000 - $0 * 10 + index) }.shuffled()
        model.domains.append(domain)
        var vtep = ForwardingModel.VTEP(entry: VTEPEntry(address: IPAddress(ipv4: UInt32(index)), isInUse: true))
        vtep.adjacencies = (0..<index % 3).map {
          var adjacency = Topology.adjacency(Topology.near, .ipv4)
          adjacency.port = PortIndex($0)
          adjacency.maxInnerByteCount = UInt32(index)
          return adjacency
        }
        model.vteps.append(vtep)
      }
      model.receiveQueues = [
        [], [ReceiveQueue(port: 4, queue: 0), ReceiveQueue(port: 5, queue: 1)], [], [ReceiveQueue(port: 6, queue: 0)],
      ]
      let storage = SnapshotStorage(model, generation: 9)
      defer { withExtendedLifetime(storage) {} }
      let snapshot = storage.snapshot.pointee
      #expect(snapshot.generation == 9)
      for index in 0..<50 {
        let domain = snapshot.domains[index]
        func list<Element>(_ base: UnsafePointer<Element>, _ first: UInt32, _ count: UInt32) -> [Element] {
          (first..<first + count).map { base[Int($0)] }
        }
        #expect(list(snapshot.localTargets, domain.firstLocal, domain.localCount) == model.domains[index].locals)
        #expect(list(snapshot.floodTargets, domain.firstFlood, domain.floodCount) == model.domains[index].flood)
        #expect(list(snapshot.peers, domain.firstPeer, domain.peerCount) == model.domains[index].peers.sorted())
        let hops = list(snapshot.nextHops[index].first, 0, snapshot.nextHops[index].count)
        #expect(hops.map(\.port) == (0..<index % 3).map { PortIndex($0) })
        #expect(hops.allSatisfy { $0.maxInnerByteCount == UInt32(index) })
        #expect(snapshot.onlyHops[index].pointee.port == (index % 3 == 1 ? 0 : .absent))
        // What an everyday frame needs of it is in one cache line.
        #expect(UInt(bitPattern: snapshot.onlyHops[index]) % 64 == 0)
      }
      #expect((0...4).map { snapshot.receiveQueueStarts[$0] } == [0, 0, 2, 2, 3])
      #expect((0..<3).map { snapshot.receiveQueues[$0].port } == [4, 5, 6])
    }

    @Test("an old snapshot lives until every worker has passed a quiescent state")
    func reclamation() throws {
      _ = try TestRuntime.shared()
      let shared = try TestRuntime.sharedState()
      let rcu = shared.pointee.rcu
      for worker in 0..<UInt32(2) {
        cdpdk_rcu_register(rcu, worker)
        cdpdk_rcu_online(rcu, worker)
      }
      var publisher = SnapshotPublisher(shared: shared)
      var model = emptyModel()
      model.vlanMaps[3] = VLANMap([7: 1])
      weak let map = model.vlanMaps[3]
      publisher.publish(model)
      model.vlanMaps[3] = nil
      publisher.publish(model)
      #expect(map?.domains[7] == 1)
      cdpdk_rcu_quiescent(rcu, 0)
      publisher.publish(model)
      #expect(map != nil, "one worker may still use it")
      cdpdk_rcu_quiescent(rcu, 1)
      publisher.publish(model)
      #expect(map == nil)
      for worker in 0..<UInt32(2) {
        cdpdk_rcu_offline(rcu, worker)
        cdpdk_rcu_unregister(rcu, worker)
      }
      publisher.waitForWorkers()
    }
  }
}
