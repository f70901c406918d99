// Link-local control frames under each of `l2-protocols`, BPDU guards, loop probes that come back, and frames that the
// control side sends.

import CDPDK
import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneFixture {
  func set(_ features: PortFeatures, _ places: Place...) {
    change { model in
      for place in places {
        model.ports[Int(place.rawValue)].features = features
        if features.contains(.tunnelsControl) { model.domains[Int(Topology.domain)].entry.tunnelsControl = true }
      }
    }
  }

  /// What the worker has for the slow path.
  func takePunts() -> [SlowPathItem] {
    var items: [SlowPathItem] = []
    var item = SlowPathItem()
    while test.punts[0].receive(&item) { items.append(item) }
    return items
  }

  /// The frames among it; their buffers are freed.
  func takePuntedFrames() -> [[UInt8]] {
    takePunts().compactMap { item in
      guard let raw = item.mbuf else { return nil }
      defer { cdpdk_mbuf_free(raw) }
      return Mbuf(raw).bytes.withUnsafeBytes { Array($0) }
    }
  }

  /// A twentieth of a second passes.
  func tick() { (worker.rareWorkIsDue, worker.budgetsAreDue) = (true, true) }
}

extension DataplaneTests {
  @Suite("Link-local control frames")
  struct LinkLocalTests {
    private static let one = Topology.guest(1)

    private static func control(_ last: UInt64, from source: MACAddress = one) -> Frame {
      .udp(from: source, to: MACAddress(bits: 0x0180_c200_0000 | last))
    }

    /// A configuration BPDU of spanning tree, padded.
    private static func bpdu(_ last: UInt64 = 0) -> Frame {
      .octets(MACAddress(bits: 0x0180_c200_0000 | last)) + .octets(one) + [0, 38, 0x42, 0x42, 3]
        + [UInt8](repeating: 0, count: 43)
    }

    // -- tunnel ----------------------------------------------------------------------------------------------------------

    @Test("tunnelled: into the VNI, and to other ports that tunnel", arguments: Family.allCases, Attachment.allCases)
    func tunnelled(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        plane.set(.tunnelsControl, .vm1, .vm3)
        let frames = [Self.control(0x0), Self.control(0x2), Self.control(0x3), Self.control(0xe), Self.bpdu()]
        frames.forEach { plane.send($0, from: .vm1) }
        plane.expect(local: [.vm3: frames], tunnelled: frames.map { plane.tunnelled(to: Topology.group, $0) })
        // A port that drops neither gives nor gets.
        plane.send(Self.control(0xe, from: Topology.guest(2)), from: .vm2)
        plane.expect(drops: [.vm2: [.linkLocalControl: 1]])
      }
    }

    @Test("PAUSE and PFC go nowhere, whatever the port is set to", arguments: [0x1, 0x4] as [UInt64])
    func macControl(_ last: UInt64) throws {
      try DataplaneFixture.run { plane in
        plane.set(.tunnelsControl, .vm1, .vm2)
        plane.set(.puntsControl, .vm3)
        plane.send(Self.control(last), from: .vm1)
        plane.send(Self.control(last, from: Topology.guest(3)), from: .vm3)
        plane.send(plane.packet(carrying: Self.control(last, from: Topology.guest(21))))
        plane.expect(
          drops: [.vm1: [.linkLocalControl: 1], .vm3: [.linkLocalControl: 1], .uplink: [.innerLinkLocalControl: 1]])
        #expect(plane.takePunts().isEmpty)
      }
    }

    @Test("from the overlay: to ports that tunnel, unchanged; without one, nowhere", arguments: Family.allCases, Attachment.allCases)
    func fromOverlay(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        let frame = Self.control(0xe, from: Topology.guest(21))
        plane.set(.puntsControl, .vm1)
        plane.send(plane.packet(carrying: frame))
        plane.expect(drops: [.uplink: [.innerLinkLocalControl: 1]])
        plane.set(.tunnelsControl, .vm2)
        plane.send(plane.packet(carrying: frame))
        plane.expect(local: [.vm2: [frame]])
      }
    }

    @Test("with no other place that tunnels it is a flood without receivers")
    func tunnelledToNobody() throws {
      try DataplaneFixture.run { plane in
        plane.set(.tunnelsControl, .vm1)
        plane.changeDomain { $0.flood = [] }
        plane.send(Self.control(0xe), from: .vm1)
        plane.expect(drops: [.vm1: [.floodNoReceiver: 1]])
      }
    }

    @Test("other addresses of 01:80:c2:00 are ordinary multicast")
    func otherReserved() throws {
      try DataplaneFixture.run { plane in
        let frames = [Self.control(0x10), Self.control(0x21), Self.control(0xff0e)]
        frames.forEach { plane.send($0, from: .vm1) }
        plane.expect(local: [.vm2: frames, .vm3: frames], tunnelled: frames.map { plane.tunnelled(to: Topology.group, $0) })
      }
    }

    // -- punt ------------------------------------------------------------------------------------------------------------

    @Test("punted: to the slow path with its tag, and nowhere else", arguments: Attachment.allCases)
    func punted(_ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment) { plane in
        plane.set(.puntsControl, .vm1)
        let frames = [Self.bpdu(), Self.control(0xe), Self.control(0xe).tagged(7, priority: 6), Self.control(0x2).tagged(0)]
        frames.forEach { plane.sendRaw($0, at: .vm1) }
        plane.expect()
        #expect(plane.takePuntedFrames() == frames)
      }
    }

    @Test("a flood of them is cut to a budget, and ordinary frames do not suffer")
    func puntBudget() throws {
      try DataplaneFixture.run { plane in
        plane.set(.puntsControl, .vm1)
        let good = Frame.udp(from: Self.one, to: Topology.guest(2))
        let budget = Int(Worker.slowPathBudget)
        plane.tick()
        plane.expect()
        for _ in 0..<budget * 3 { plane.send(Self.control(0xe), from: .vm1) }
        plane.send(good, from: .vm1)
        plane.expect(local: [.vm2: [good]], drops: [.vm1: [.puntRateLimit: budget * 2]])
        #expect(plane.takePuntedFrames().count == budget)
        plane.tick()
        plane.expect()
        plane.send(Self.control(0xe), from: .vm1)
        plane.expect()
        #expect(plane.takePuntedFrames().count == 1)
      }
    }

    @Test("when the slow path is behind, frames are dropped and counted")
    func puntQueueFull() throws {
      try DataplaneFixture.run { plane in
        plane.set(.puntsControl, .vm1)
        while plane.test.punts[0].send(SlowPathItem()) {}
        plane.send(Self.control(0xe), from: .vm1)
        plane.expect(drops: [.vm1: [.puntQueueFull: 1]])
        _ = plane.takePunts()
      }
    }

    @Test("a port that is shut punts nothing")
    func shutPort() throws {
      try DataplaneFixture.run { plane in
        plane.change { model in
          model.ports[Int(Place.vm1.rawValue)].features = [.puntsControl, .guardsBPDU, .isPoliced]
          model.policies[Int(Place.vm1.rawValue)].entry.isDisabled = true
        }
        for frame in [Self.bpdu(), Self.control(0xe), Self.control(0x1)] { plane.send(frame, from: .vm1) }
        plane.expect(drops: [.vm1: [.portDisabled: 3]])
        #expect(plane.takePunts().isEmpty)
      }
    }

    // -- from the control side -------------------------------------------------------------------------------------------

    @Test("what the control side sends leaves by its port as it is, and not by one that is down")
    func injected() throws {
      try DataplaneFixture.run { plane in
        let frame = Self.control(0xe)
        func inject(_ place: Place) throws {
          let raw = try #require(cdpdk_mbuf_alloc(plane.test.runtime.pool))
          let memory = try #require(cdpdk_mbuf_append(raw, UInt16(frame.count)))
          frame.withUnsafeBytes { memory.copyMemory(from: $0.baseAddress!, byteCount: frame.count) }
          var item = SlowPathItem()
          item.port = place.rawValue
          item.mbuf = raw
          #expect(plane.test.injections.send(item))
        }
        plane.changePort(.vm3) { $0.isUp = false }
        for place in [Place.vm2, .vm3, .vm2] { try inject(place) }
        plane.expect()
        plane.tick()
        plane.expect(raw: [.vm2: [frame, frame]], drops: [.vm3: [.portDown: 1]])
      }
    }

    // -- BPDU guard ------------------------------------------------------------------------------------------------------

    @Test("a BPDU at a guarded port is reported and dropped; other control frames are as without", arguments: Attachment.allCases)
    func bpduGuard(_ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment) { plane in
        plane.set([.guardsBPDU, .tunnelsControl], .vm1)
        plane.set(.tunnelsControl, .vm2)
        let pvst: Frame =
          .octets(MACAddress(bits: 0x0100_0ccc_cccd)) + .octets(Self.one) + [0, 50, 0xaa, 0xaa, 3, 0, 0, 12, 1, 11]
          + [UInt8](repeating: 0, count: 42)
        plane.sendRaw(Self.bpdu(), at: .vm1)
        plane.sendRaw(Self.bpdu(8).tagged(attachment.vlan), at: .vm1)
        plane.send(pvst, from: .vm1)
        // In a VLAN of no binding, where other frames are dropped for that.
        plane.sendRaw(pvst.tagged(999), at: .vm1)
        plane.send(Self.control(0xe), from: .vm1)
        plane.expect(
          local: [.vm2: [Self.control(0xe)]], tunnelled: [plane.tunnelled(to: Topology.group, Self.control(0xe))],
          drops: [.vm1: [.bpduGuard: 4]])
        let items = plane.takePunts()
        #expect(items.map(\.kind) == [.bpdu, .bpdu, .bpdu, .bpdu] && items.allSatisfy { $0.port == Place.vm1.rawValue && $0.mbuf == nil })
      }
    }

    // -- loop probes -----------------------------------------------------------------------------------------------------

    private func probe(_ plane: DataplaneFixture, daemon: UInt64? = nil, vlan: UInt16 = 0) -> (LoopProbe, Frame) {
      let probe = LoopProbe(
        daemon: daemon ?? plane.test.shared.pointee.daemonID, token: 42, port: Place.vm3.rawValue.rawValue, vlan: vlan, vni: Topology.vni)
      var frame = Frame(repeating: 0, count: LoopProbe.frameByteCount)
      frame.withUnsafeMutableBytes { buffer in
        var span = buffer.mutableBytes
        probe.write(into: &span, source: MACAddress(bits: 0x0200_0000_9999), tpid: 0x8100)
      }
      return (probe, frame)
    }

    @Test("an own probe that comes back is reported, with where, and goes no further")
    func ownProbe() throws {
      try DataplaneFixture.run { plane in
        let (sent, frame) = probe(plane)
        plane.sendRaw(frame, at: .vm1)
        plane.sendRaw(frame.tagged(100), at: .vm2)
        plane.send(plane.packet(from: Topology.far, carrying: frame))
        plane.expect(drops: [.vm1: [.loopProbe: 1], .vm2: [.loopProbe: 1], .uplink: [.loopProbe: 1]])
        let items = plane.takePunts()
        #expect(items.count == 3 && items.allSatisfy { $0.kind == .returnedProbe && $0.probe == sent })
        let local = items.filter { $0.port != .absent }.sorted { $0.port < $1.port }
        #expect(local.map(\.port) == [Place.vm1.rawValue, Place.vm2.rawValue] && local.map(\.vlan) == [0, 100])
        let remote = try #require(items.first { $0.port == .absent })
        #expect(remote.vni == Topology.vni && remote.vtep == Topology.vtepAddress(Topology.far, .ipv4))
      }
    }

    @Test("a probe of another daemon is ordinary multicast: it is to find its sender")
    func foreignProbe() throws {
      try DataplaneFixture.run { plane in
        let (_, frame) = probe(plane, daemon: plane.test.shared.pointee.daemonID &+ 1)
        plane.sendRaw(frame, at: .vm1)
        plane.expect(
          local: [.vm2: [frame], .vm3: [frame]], tunnelled: [plane.tunnelled(to: Topology.group, frame)],
          learned: [.port(MACAddress(bits: 0x0200_0000_9999), .vm1)])
        plane.send(plane.packet(carrying: frame))
        plane.expect(
          local: [.vm1: [frame], .vm2: [frame], .vm3: [frame]], learned: [.vtep(MACAddress(bits: 0x0200_0000_9999), Topology.near)])
        #expect(plane.takePunts().isEmpty)
      }
    }
  }
}
