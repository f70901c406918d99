// A port's limits: what they let through and what they drop, with a clock that stands still unless a test moves it.

import CDPDK
import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneFixture {
  /// Gives a port limits, as the reconciler does.
  func limit(_ place: Place, _ edit: (inout PortSettings) -> Void) {
    var settings = PortSettings(name: "p", kind: .tap, device: "d")
    if attachment == .tagged { settings.vlans = [attachment.vlan: Topology.vni] } else { settings.vni = Topology.vni }
    edit(&settings)
    change { model in
      let index = Int(place.rawValue)
      model.ports[index].features = settings.policyFeatures
      model.policies[index] = ForwardingModel.Policy(entry: PolicyEntry(settings), allowedSources: settings.allowedSources)
    }
    test.shared.pointee.policyStates[Int(place.rawValue)].reset(now: worker.nowCycles)
  }

  /// Lets time pass for the meters.
  func pass(milliseconds: UInt64) {
    worker.nowCycles += cdpdk_cycles_per_second() / 1000 * milliseconds
  }

  /// Does what the learner does with the workers' events.
  func applyLearnEvents() {
    for sighting in Sighting.takeAll(test.learnRings[0]) {
      if let location = sighting.location { learn(sighting.mac, at: location) }
    }
  }
}

extension DataplaneTests {
  @Suite("Port policy")
  struct PortPolicyTests {
    private static let one = Topology.guest(1)
    private static let two = Topology.guest(2)

    @Test("anti-spoofing lets the port's own addresses in and no others", arguments: [Attachment.untagged, .tagged])
    func spoofing(_ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment) { plane in
        let own = [Self.one, Topology.guest(0x11), Topology.guest(0x12)]
        plane.limit(.vm1) { settings in
          settings.antiSpoofing = true
          if attachment == .tagged { settings.vlanMACs = [attachment.vlan: own] } else { settings.macs = own }
        }
        for mac in own { try plane.setStatic(mac, at: .port(Place.vm1.rawValue, vlan: attachment.vlan)) }
        let good = own.map { Frame.udp(from: $0, to: Self.two) }
        // Another guest's address, a remote station's, an unknown one, and neighbours of an own one.
        let forged = [Self.two, Topology.guest(21), Topology.guest(0x99), Topology.guest(0x10), Topology.guest(0x13)]
        for mac in forged {
          plane.send(.udp(from: mac, to: Self.two), from: .vm1)
          plane.send(.udp(from: mac, to: .broadcast), from: .vm1)
        }
        good.forEach { plane.send($0, from: .vm1) }
        plane.expect(local: [.vm2: good], drops: [.vm1: [.sourceSpoofed: forged.count * 2]])
        // The neighbour still owns its address.
        #expect(plane.entry(Self.two)?.location == .port(Place.vm2.rawValue, vlan: attachment.vlan))
      }
    }

    @Test("an address of one VLAN is not good in another")
    func spoofingAcrossVLANs() throws {
      try DataplaneFixture.run(.ipv4, .tagged) { plane in
        plane.limit(.vm1) { settings in
          settings.antiSpoofing = true
          settings.vlans[7] = Topology.otherVNI
          settings.vlanMACs = [7: [Self.one], plane.attachment.vlan: [Self.two]]
        }
        plane.send(.udp(from: Self.one, to: Self.two), from: .vm1)
        plane.expect(drops: [.vm1: [.sourceSpoofed: 1]])
      }
    }

    @Test("sources over mac-limit are dropped at once, though the learner is not asked")
    func macLimitWithinOneBurst() throws {
      try DataplaneFixture.run { plane in
        // Guest 1 is known at the port already.
        plane.limit(.vm1) { $0.macLimit = 3 }
        let new = (0x40..<0x4a).map { Frame.udp(from: Topology.guest($0), to: Self.two) }
        let old = Frame.udp(from: Self.one, to: Self.two)
        // Twice in one burst: the same sources are let through the second time, too.
        for _ in 0..<2 {
          new.forEach { plane.send($0, from: .vm1) }
          plane.send(old, from: .vm1)
        }
        let through = [new[0], new[1], old]
        let sighted = [0x40, 0x41].map { Sighting.port(Topology.guest($0), .vm1) }
        plane.expect(local: [.vm2: through + through], drops: [.vm1: [.portMACLimit: 16]], learned: sighted + sighted)
      }
    }

    @Test("what leaves a limited port makes room: moves, ageing, flushes")
    func macLimitMakesRoom() throws {
      try DataplaneFixture.run { plane in
        let here = MACLocation.port(Place.vm1.rawValue, vlan: 0)
        func frame(_ number: UInt64) -> Frame { .udp(from: Topology.guest(number), to: Self.two) }
        func sendAndLearn(_ number: UInt64) {
          plane.send(frame(number), from: .vm1)
          plane.run()
          plane.applyLearnEvents()
        }
        plane.limit(.vm1) { $0.macLimit = 2 }
        try plane.setStatic(Self.two, at: .port(Place.vm2.rawValue, vlan: 0))
        sendAndLearn(0x40)
        sendAndLearn(0x41)
        plane.expect(local: [.vm2: [frame(0x40)]], drops: [.vm1: [.portMACLimit: 1]])
        #expect(plane.table.reader.learnedCount(port: Place.vm1.rawValue) == 2)

        // A station that goes elsewhere.
        plane.learn(Topology.guest(0x40), at: .vtep(Topology.far))
        sendAndLearn(0x41)
        plane.expect(local: [.vm2: [frame(0x41)]])
        // Back again: it is new here, and the port is full.
        sendAndLearn(0x40)
        plane.expect(drops: [.vm1: [.portMACLimit: 1]])

        plane.table.configureDomain(Topology.domain, ageSeconds: 10, limit: 0)
        plane.worker.nowSeconds = 5
        sendAndLearn(0x41)
        plane.expect(local: [.vm2: [frame(0x41)]])
        // Guest 1 was last seen at 0 and ages, 0x41 does not.
        plane.table.sweep(slots: plane.table.slotCount, nowSeconds: 12)
        sendAndLearn(0x42)
        plane.expect(local: [.vm2: [frame(0x42)]])
        #expect(plane.entry(Topology.guest(0x42))?.location == here)

        plane.table.flush(domain: Topology.domain)
        plane.table.reclaim(port: Place.vm1.rawValue)
        // A place promised to an address is free after a second, if the table does not have it.
        plane.pass(milliseconds: 1001)
        sendAndLearn(0x43)
        sendAndLearn(0x44)
        sendAndLearn(0x45)
        plane.expect(local: [.vm2: [frame(0x43), frame(0x44)]], drops: [.vm1: [.portMACLimit: 1]])
      }
    }

    @Test("static addresses take no place, and a place promised to what is never learned is free after a second")
    func macLimitAndPromises() throws {
      try DataplaneFixture.run { plane in
        plane.limit(.vm2) { $0.macLimit = 2 }
        try plane.setStatic(Topology.guest(0x50), at: .port(Place.vm2.rawValue, vlan: 0))
        func frame(_ number: UInt64) -> Frame { .udp(from: Topology.guest(number), to: Self.one) }
        // The learner never enters 0x51: the VNI may be at its own limit.
        for number: UInt64 in [0x50, 0x51, 0x52] { plane.send(frame(number), from: .vm2) }
        plane.expect(
          local: [.vm1: [frame(0x50), frame(0x51)]], drops: [.vm2: [.portMACLimit: 1]],
          learned: [.port(Topology.guest(0x51), .vm2)])
        plane.pass(milliseconds: 1001)
        plane.send(frame(0x52), from: .vm2)
        plane.expect(local: [.vm1: [frame(0x52)]], learned: [.port(Topology.guest(0x52), .vm2)])
      }
    }

    @Test("packets a second: a tenth of a second's worth at once, then the rate")
    func packetRate() throws {
      try DataplaneFixture.run { plane in
        plane.limit(.vm1) { $0.ingressPackets = 1000 }
        let frame = Frame.udp(from: Self.one, to: Self.two)
        for _ in 0..<250 { plane.send(frame, from: .vm1) }
        plane.expect(local: [.vm2: Array(repeating: frame, count: 100)], drops: [.vm1: [.ingressRateLimit: 150]])
        plane.pass(milliseconds: 20)
        for _ in 0..<50 { plane.send(frame, from: .vm1) }
        plane.expect(local: [.vm2: Array(repeating: frame, count: 20)], drops: [.vm1: [.ingressRateLimit: 30]])
        // The neighbour's frames to it are not limited.
        let answer = Frame.udp(from: Self.two, to: Self.one)
        for _ in 0..<150 { plane.send(answer, from: .vm2) }
        plane.expect(local: [.vm1: Array(repeating: answer, count: 150)])
      }
    }

    @Test("bits a second, and a frame over it takes no packet token")
    func bitRate() throws {
      try DataplaneFixture.run { plane in
        // One byte per microsecond; the bucket holds 100,000 bytes.
        plane.limit(.vm1) { ($0.ingressBits, $0.ingressPackets) = (8_000_000, 2000) }
        let long = Frame.udp(from: Self.one, to: Self.two, byteCount: 1000)
        #expect(long.count == 1000)
        for _ in 0..<150 { plane.send(long, from: .vm1) }
        plane.expect(local: [.vm2: Array(repeating: long, count: 100)], drops: [.vm1: [.ingressRateLimit: 50]])
        // 100 of 200 packets are used, and 40 ms bring 40,000 bytes.
        plane.pass(milliseconds: 40)
        for _ in 0..<60 { plane.send(long, from: .vm1) }
        plane.expect(local: [.vm2: Array(repeating: long, count: 40)], drops: [.vm1: [.ingressRateLimit: 20]])
      }
    }

    @Test("egress: counted at the port that would have got the frame")
    func egressRate() throws {
      try DataplaneFixture.run { plane in
        plane.limit(.vm2) { $0.egressPackets = 1000 }
        let frame = Frame.udp(from: Self.one, to: Self.two)
        let other = Frame.udp(from: Self.one, to: Topology.guest(3))
        for _ in 0..<130 {
          plane.send(frame, from: .vm1)
          plane.send(other, from: .vm1)
        }
        plane.expect(
          local: [.vm2: Array(repeating: frame, count: 100), .vm3: Array(repeating: other, count: 130)],
          drops: [.vm2: [.egressRateLimit: 30]])
        plane.pass(milliseconds: 5)
        for _ in 0..<10 { plane.send(plane.packet(carrying: .udp(from: Topology.guest(21), to: Self.two))) }
        plane.expect(
          local: [.vm2: Array(repeating: .udp(from: Topology.guest(21), to: Self.two), count: 5)],
          drops: [.vm2: [.egressRateLimit: 5]])
      }
    }

    /// A class of flooded frames and the limit that stands for it.
    struct Storm: CustomTestStringConvertible, Sendable {
      var reason: DropReason
      var destination: MACAddress
      var option: WritableKeyPath<PortOptions, PortOption<UInt64>> & Sendable

      var testDescription: String { reason.name }

      static let all = [
        Storm(reason: .stormBroadcast, destination: .broadcast, option: \.stormBroadcast),
        Storm(reason: .stormUnknownUnicast, destination: Topology.guest(0x77), option: \.stormUnknownUnicast),
        Storm(
          reason: .stormUnknownMulticast, destination: MACAddress(bits: 0x0100_5e01_0101), option: \.stormUnknownMulticast),
      ]
    }

    @Test("each class of flooded frames has its own limit", arguments: Storm.all)
    func storm(_ storm: Storm) throws {
      try DataplaneFixture.run { plane in
        plane.changeDomain { $0.flood = [] }
        plane.limit(.vm1) { $0[dynamicMember: storm.option] = 10 }
        func frames(_ count: Int, to destination: MACAddress, from source: MACAddress = Self.one) -> [Frame] {
          Array(repeating: .udp(from: source, to: destination), count: count)
        }
        frames(25, to: storm.destination).forEach { plane.send($0, from: .vm1) }
        let through = frames(4, to: storm.destination)
        plane.expect(local: [.vm2: through, .vm3: through], drops: [.vm1: [storm.reason: 21]])
        // The other classes and known destinations pass, and so does the same class from the neighbour.
        for other in Storm.all where other.reason != storm.reason {
          let frames = frames(25, to: other.destination)
          frames.forEach { plane.send($0, from: .vm1) }
          plane.expect(local: [.vm2: frames, .vm3: frames])
        }
        let known = frames(25, to: Self.two)
        known.forEach { plane.send($0, from: .vm1) }
        plane.expect(local: [.vm2: known])
        let neighbours = frames(25, to: storm.destination, from: Self.two)
        neighbours.forEach { plane.send($0, from: .vm2) }
        plane.expect(local: [.vm1: neighbours, .vm3: neighbours])
        // 300 ms bring three more.
        plane.pass(milliseconds: 300)
        frames(5, to: storm.destination).forEach { plane.send($0, from: .vm1) }
        let later = frames(3, to: storm.destination)
        plane.expect(local: [.vm2: later, .vm3: later], drops: [.vm1: [storm.reason: 2]])
      }
    }

    @Test("a change of the snapshot refills no bucket, and a clock that is behind takes none")
    func bucketsOutliveSnapshots() throws {
      try DataplaneFixture.run { plane in
        plane.limit(.vm1) { $0.ingressPackets = 1000 }
        let frame = Frame.udp(from: Self.one, to: Self.two)
        plane.pass(milliseconds: 5000)
        for _ in 0..<102 { plane.send(frame, from: .vm1) }
        plane.expect(local: [.vm2: Array(repeating: frame, count: 100)], drops: [.vm1: [.ingressRateLimit: 2]])
        plane.change { _ in }
        // Another worker's view of the time.
        plane.worker.nowCycles -= cdpdk_cycles_per_second()
        plane.send(frame, from: .vm1)
        plane.expect(drops: [.vm1: [.ingressRateLimit: 1]])
      }
    }

    @Test("what one check drops takes nothing from the others")
    func droppedFramesTakeNoTokens() throws {
      try DataplaneFixture.run { plane in
        plane.limit(.vm1) { settings in
          settings.macs = [Self.one]
          settings.antiSpoofing = true
          settings.ingressPackets = 1000
          settings.stormBroadcast = 4
        }
        try plane.setStatic(Self.one, at: .port(Place.vm1.rawValue, vlan: 0))
        plane.changeDomain { $0.flood = [] }
        for _ in 0..<20 { plane.send(.udp(from: Topology.guest(9), to: .broadcast), from: .vm1) }
        let frame = Frame.udp(from: Self.one, to: .broadcast)
        for _ in 0..<102 { plane.send(frame, from: .vm1) }
        let through = Array(repeating: frame, count: 4)
        plane.expect(
          local: [.vm2: through, .vm3: through],
          drops: [.vm1: [.sourceSpoofed: 20, .stormBroadcast: 96, .ingressRateLimit: 2]])
      }
    }

    @Test("a disabled port takes nothing in")
    func disabled() throws {
      try DataplaneFixture.run { plane in
        plane.limit(.vm1) { $0.isEnabled = false }
        for _ in 0..<3 { plane.send(.udp(from: Topology.guest(9), to: Self.two), from: .vm1) }
        plane.expect(drops: [.vm1: [.portDisabled: 3]])
      }
    }
  }
}
