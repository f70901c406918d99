// BFD frames through a worker and the BFD thread's tables: which frames are BFD's, where they go, and what is refused.

import CDPDK
import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("BFD frames")
  struct BFDFrameTests {
    private func inner(_ packet: BFDPacket, form: BFDForm = .openVSwitch, _ edit: (inout [UInt8]) -> Void = { _ in }) -> Frame {
      var settings = BFDSettings()
      settings.form = form
      let frame = BFDFrame(packet, to: settings, from: Topology.vtepAddress(Topology.near, .ipv4))
      var octets = Frame(repeating: 0, count: frame.byteCount)
      octets.withUnsafeMutableBytes { buffer in
        var span = buffer.mutableBytes
        frame.write(into: &span)
      }
      octets.replaceSubrange(6..<12, with: Frame.octets(MACAddress(bits: 0x0200_0000_7777)))
      edit(&octets)
      return octets
    }

    private func packet(_ yours: UInt32 = 0) -> BFDPacket {
      var packet = BFDPacket()
      packet.ownDiscriminator = 77
      packet.yourDiscriminator = yours
      packet.state = yours == 0 ? .down : .initializing
      (packet.desiredMinTx, packet.requiredMinRx) = (300_000, 300_000)
      return packet
    }

    private func service(_ plane: DataplaneFixture, _ edit: (inout BFDSettings) -> Void = { _ in }) throws -> BFDService {
      let test = plane.test
      let service = try BFDService(
        shared: test.shared, reader: UInt32(TestRuntime.workers + 1), pool: test.runtime.pool, arrivals: test.bfdArrivals,
        departures: test.bfdDepartures,
        workerCounters: test.counters, mailbox: Mailbox(), wakeWorker: {})
      var settings = BFDSettings()
      edit(&settings)
      plane.change { $0.vteps[Int(Topology.near)].entry.hasBFD = true }
      service.follow([
        Topology.vtepAddress(Topology.near, plane.family): BFDTarget(
          settings: settings, vtep: Topology.near, source: Topology.ownAddress(plane.family))
      ])
      return service
    }

    private func takeArrivals(_ plane: DataplaneFixture) -> [(vtep: IPAddress, vni: UInt32, octets: [UInt8])] {
      var found: [(vtep: IPAddress, vni: UInt32, octets: [UInt8])] = []
      var item = SlowPathItem()
      while plane.test.bfdArrivals[0].receive(&item) {
        guard let raw = item.mbuf else { continue }
        let mbuf = Mbuf(raw)
        found.append((item.vtep, item.vni.rawValue, (0..<mbuf.byteCount).map { mbuf.start.load(fromByteOffset: $0, as: UInt8.self) }))
        mbuf.free()
      }
      return found
    }

    @Test(
      "in VNI 0, in one that nobody has, and in one with learning or without: to the BFD thread, and the source is not learned",
      arguments: Family.allCases)
    func receive(_ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        plane.change { $0.vteps[Int(Topology.near)].entry.hasBFD = true }
        for learns in [true, false] {
          plane.changeDomain { $0.entry.learnsFromVTEPs = learns }
          for vni in [0, 4242, Topology.vni.rawValue] {
            for form in BFDForm.allCases {
              var sent = plane.packet(carrying: inner(packet(), form: form))
              sent.vni = vni
              plane.send(sent)
              plane.expect()
              let found = takeArrivals(plane)
              #expect(found.count == 1 && found.first?.vni == vni && found.first?.octets == sent.inner)
              #expect(found.first?.vtep == Topology.vtepAddress(Topology.near, family))
            }
          }
        }
      }
    }

    @Test("no station can have an address of BFD's")
    func noStation() throws {
      try DataplaneFixture.run { plane in
        plane.send(.udp(from: .bfdOfOpenVSwitch, to: Topology.guest(2)), from: .vm1)
        plane.expect(local: [.vm2: [.udp(from: .bfdOfOpenVSwitch, to: Topology.guest(2))]])
      }
    }

    @Test("frames leave with the session's VNI, before data, and the other end reads them", arguments: Family.allCases, BFDForm.allCases)
    func send(_ family: Family, _ form: BFDForm) throws {
      try DataplaneFixture.run(family) { plane in
        let service = try service(plane) { $0.form = form }
        service.turn(now: MonotonicClock.microseconds() + 200_000)
        plane.worker.rareWorkIsDue = true
        plane.run()
        let sent = plane.take(.uplink)
        let bytes = try #require(sent.first)
        let outer = OuterPacket(parsing: bytes.span.bytes, policy: plane.model.decapPolicy)
        #expect(sent.count == 1 && outer.outcome == .accepted && outer.vni == form.defaultVNI)
        #expect(outer.destination == Topology.vtepAddress(Topology.near, family))
        let frame = try BFDFrame(parsing: Array(bytes[outer.innerOffset...]).span.bytes)
        #expect(frame.packet.state == .down && frame.packet.requiredMinRx == 300_000 && frame.packet.desiredMinTx == 1_000_000)
        #expect(frame.destinationMAC == (form == .openVSwitch ? .bfdOfOpenVSwitch : .bfdOfRFC8971))
        #expect(form == .openVSwitch || frame.source == Topology.ownAddress(family))
      }
    }

    @Test("a session comes up; what is no packet for it is dropped: bad TTL, foreign discriminators, another key than 0")
    func sessions() throws {
      try DataplaneFixture.run { plane in
        let service = try service(plane) { $0.checksTunnelKey = true }
        func drops(_ reason: DropReason) -> UInt64 { service.counters.drop(port: Place.uplink.rawValue, reason).pointee.value }
        func send(_ frame: Frame, vni: UInt32 = 0, from vtep: VTEPIndex = Topology.near) {
          var sent = plane.packet(from: vtep, carrying: frame)
          sent.vni = vni
          plane.send(sent)
          plane.run()
          service.turn(now: MonotonicClock.microseconds())
        }
        send(
          inner(packet()) {
            $0[22] = 254; $0[24] = 0; $0[25] = 0; $0.replaceSubrange(24..<26, with: [UInt8].big16(Array($0[14..<34]).internetChecksum))
          })
        send(inner(packet(123)))
        send(inner(packet()) { $0[41] ^= 1 })
        #expect(drops(.bfdInvalid) == 3)
        send(inner(packet()), vni: 4242)
        #expect(drops(.bfdTunnelKey) == 1 && service.reports().first?.counts.wrongKeys == 1)
        // What an earlier run of the daemon has counted is in it, too.
        service.continueCounts([Topology.vtepAddress(Topology.near, .ipv4): BFDCounts(flaps: 5, wrongKeys: 6)])
        #expect(service.reports().first?.counts.wrongKeys == 7 && service.reports().first?.counts.flaps == 5)
        #expect(service.reports().first?.state == .down)
        send(inner(packet()))
        #expect(service.reports().first?.state == .initializing)
        send(inner(packet(service.reports()[0].discriminator)))
        #expect(service.reports().first?.state == .up && service.reports().first?.isForwarding == true)
        // Another VTEP must not end it.
        plane.change { $0.vteps[Int(Topology.far)].entry.hasBFD = true }
        send(inner(packet(service.reports()[0].discriminator)), from: Topology.far)
        #expect(drops(.bfdInvalid) == 4 && service.reports().first?.state == .up)
        // The end of the session is told.
        service.follow([:])
        service.turn(now: MonotonicClock.microseconds() + 1)
        #expect(service.reports().isEmpty)
        var item = SlowPathItem()
        var last: BFDState?
        while plane.test.bfdDepartures.receive(&item) {
          guard let raw = item.mbuf else { continue }
          last = (try? BFDFrame(parsing: Mbuf(raw).bytes))?.packet.state
          cdpdk_mbuf_free(raw)
        }
        #expect(last == .adminDown)
      }
    }
  }
}
