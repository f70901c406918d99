// Small parts of the control side: addresses of taps, index pools, counters of indexes that changed hands, the mailbox.

import Encap
import MACTable
import Netlink
import Testing

@testable import VTEP

@Suite("Control side, small parts")
struct ControlPartsTests {
  @Test("a tap's address is the same after every restart and on every build, and differs between taps")
  func tapMAC() {
    #expect(PortHost.stableMAC(host: "hv1", port: "vm1") == MACAddress(bits: 0x0292_f09d_599d))
    #expect(PortHost.stableMAC(host: "hv2", port: "vm1") == MACAddress(bits: 0x0299_c73d_1680))
    let macs = (0..<2000).map { PortHost.stableMAC(host: "hv\($0 % 40)", port: "vm\($0 / 40)") }
    #expect(Set(macs).count == macs.count)
    // Locally administered, and no group.
    #expect(macs.allSatisfy { $0.bits >> 40 == 0x02 })
  }

  @Test("an index is handed out once until it is given back, and never beyond the limit")
  func indexPool() {
    var pool = IndexPool<PortIndex>(limit: 4)
    let taken = (0..<4).map { _ in pool.take() }
    #expect(Set(taken) == [0, 1, 2, 3])
    #expect(pool.take() == nil)
    pool.giveBack(2)
    pool.giveBack(0)
    #expect(Set([pool.take(), pool.take()]) == [0, 2])
    #expect(pool.take() == nil)
  }

  @Test("the counters of an index begin at zero for each owner, summed over workers")
  func baselines() throws {
    let workers = try [WorkerCounters(), WorkerCounters()]
    func count(_ amount: UInt64) {
      for worker in workers {
        worker.ports[7].addReceived(packets: amount, bytes: amount * 100)
        worker.vteps[7].addSent(bytes: amount)
        worker.domains[7].addReceived(packets: amount, bytes: amount)
        worker.flooded[7].add(amount)
        worker.stormDrops(domain: 7, .unknownUnicast).pointee.add(amount)
        worker.drop(port: 7, .runtFrame).pointee.add(amount)
      }
    }
    var baselines = CounterBaselines()
    count(5)
    #expect(baselines.traffic(port: 7, workers).rxPackets == 10)
    #expect(baselines.traffic(port: 6, workers) == TrafficReport())
    baselines.reset(port: 7, counters: workers)
    baselines.reset(vtep: 7, counters: workers)
    baselines.reset(domain: 7, counters: workers)
    #expect(baselines.traffic(port: 7, workers) == TrafficReport())
    #expect(baselines.drops(port: 7, workers).allSatisfy { $0 == 0 })
    count(3)
    #expect(baselines.traffic(port: 7, workers) == TrafficReport(rxPackets: 6, rxBytes: 600))
    #expect(baselines.traffic(vtep: 7, workers) == TrafficReport(txPackets: 2, txBytes: 6))
    #expect(baselines.traffic(domain: 7, workers) == TrafficReport(rxPackets: 6, rxBytes: 6))
    #expect(baselines.flooded(domain: 7, workers) == 6)
    #expect(baselines.stormDrops(domain: 7, workers) == [0, 6, 0])
    let drops = baselines.drops(port: 7, workers)
    #expect(drops[Int(DropReason.runtFrame.rawValue)] == 6)
    #expect(drops.reduce(0, +) == 6)
  }

  private func sighting(_ number: UInt64) -> Mailbox.Message {
    .unknownVTEP(Learner.UnknownVTEP(key: MACKey(domain: 0, mac: MACAddress(bits: number)), address: IPAddress(ipv4: 1)))
  }

  private func names(_ messages: [Mailbox.Message]) -> [String] {
    messages.map {
      switch $0 {
      case .alarm: "alarm"
      case .bfd: "bfd"
      case .puntTapLost(let name): "tap \(name)"
      case .nicLink(let portID, _): "link \(portID)"
      case .nicRemoved(let name): "NIC \(name)"
      case .pathMTU(let reports): "\(reports.count) path MTUs"
      case .kernel(.resync): "resync"
      case .kernel: "kernel"
      case .unknownVTEP: "vtep"
      case .guest(let port): "guest \(port)"
      case .macMove: "move"
      }
    }
  }

  @Test("the mailbox keeps the order, gives everything once, and signals")
  func mailbox() async {
    let mailbox = Mailbox()
    mailbox.post(.kernel(.routesChanged))
    mailbox.post(sighting(1))
    var signals = mailbox.signals.makeAsyncIterator()
    #expect(await signals.next() != nil)
    #expect(names(mailbox.takeAll()) == ["kernel", "vtep"])
    #expect(mailbox.takeAll().isEmpty)
    mailbox.close()
    while await signals.next() != nil {}
  }

  @Test("a flood of sightings cannot push out a change of the kernel's")
  func overflow() {
    let mailbox = Mailbox()
    for number in 0..<UInt64(70_000) { mailbox.post(sighting(number)) }
    mailbox.post(.kernel(.routesChanged))
    // What was lost can only have been a reason to look at everything.
    #expect(names(mailbox.takeAll()) == ["resync"])
    mailbox.post(.kernel(.addressesChanged))
    #expect(names(mailbox.takeAll()) == ["kernel"])
  }
}
