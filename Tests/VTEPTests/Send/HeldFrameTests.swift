// Frames for a next hop whose address is not known yet: held in order, sent in order, given up in time, and never lost
// without being counted. The first packet of a conversation depends on it.

import CDPDK
import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Held frames")
  struct HeldFrameTests {
    private let guest = Topology.guest

    private func frame(_ number: Int, from source: UInt64 = 1, to destination: UInt64 = 21) -> Frame {
      .udp(from: guest(source), to: guest(destination), FlowFields(sourcePort: UInt16(1000 + number)), byteCount: 80)
    }

    private func unresolve(_ plane: DataplaneFixture, _ vteps: [VTEPIndex] = [Topology.near]) {
      for vtep in vteps { plane.setAdjacencies(vtep, [Topology.adjacency(vtep, plane.family, isResolved: false)]) }
    }

    private func resolve(_ plane: DataplaneFixture, _ vteps: [VTEPIndex] = [Topology.near]) {
      for vtep in vteps { plane.setAdjacencies(vtep, [Topology.adjacency(vtep, plane.family)]) }
    }

    @Test("sent in order with the next snapshot, before newer frames", arguments: Family.allCases, Attachment.allCases)
    func order(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        unresolve(plane)
        for number in 0..<40 { plane.send(frame(number), from: .vm1) }
        plane.expect()
        #expect(plane.worker.held.count == 40)
        for number in 40..<80 { plane.send(frame(number), from: .vm1) }
        resolve(plane)
        plane.expect(tunnelled: (0..<80).map { plane.tunnelled(to: Topology.near, frame($0)) })
        #expect(plane.worker.held.isEmpty)
      }
    }

    @Test("a snapshot that does not resolve them changes nothing", arguments: Family.allCases)
    func stillUnresolved(_ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        unresolve(plane)
        for number in 0..<5 { plane.send(frame(number), from: .vm1) }
        plane.run()
        let expiries = plane.worker.held.frames.map(\.expiry)
        for _ in 0..<3 {
          plane.change { _ in }
          plane.worker.rareWorkIsDue = true
          plane.run()
        }
        // The time they may wait does not begin anew.
        #expect(plane.worker.held.frames.map(\.expiry) == expiries)
        resolve(plane)
        plane.expect(tunnelled: (0..<5).map { plane.tunnelled(to: Topology.near, frame($0)) })
      }
    }

    @Test("frames of a domain that is gone are not sent in the one that has its index now, be it the same VNI")
    func successor() throws {
      try DataplaneFixture.run { plane in
        unresolve(plane)
        for number in 0..<5 { plane.send(frame(number), from: .vm1) }
        plane.expect()
        #expect(plane.worker.held.count == 5)
        // The worker slept while the domain was taken away and another one was made.
        plane.change { $0.domains[Int(Topology.domain)].entry.serial += 1 }
        resolve(plane)
        plane.expect(drops: [.vm1: [.heldTargetGone: 5]])
        #expect(plane.worker.held.isEmpty)
      }
    }

    @Test("nor to the VTEP that has the index of one that is gone")
    func successorOfVTEP() throws {
      try DataplaneFixture.run { plane in
        unresolve(plane)
        plane.send(frame(0), from: .vm1)
        plane.expect()
        plane.change { $0.vteps[Int(Topology.near)].entry.tunnelKey = Topology.otherVNI }
        resolve(plane)
        plane.expect(drops: [.vm1: [.heldTargetGone: 1]])
      }
    }

    @Test("VTEPs do not wait for each other")
    func independent() throws {
      try DataplaneFixture.run { plane in
        unresolve(plane, [Topology.near, Topology.far])
        for number in 0..<4 { plane.send(frame(number, to: number % 2 == 0 ? 21 : 22), from: .vm1) }
        plane.expect()
        resolve(plane, [Topology.far])
        plane.expect(tunnelled: [1, 3].map { plane.tunnelled(to: Topology.far, frame($0, to: 22)) })
        #expect(plane.worker.held.count(vtep: Topology.near) == 2)
        #expect(plane.worker.held.count(vtep: Topology.far) == 0)
        resolve(plane)
        plane.expect(tunnelled: [0, 2].map { plane.tunnelled(to: Topology.near, frame($0)) })
      }
    }

    @Test("no more than its share for one VTEP and from one port")
    func limits() throws {
      try DataplaneFixture.run { plane in
        let perVTEP = Limits.heldFramesPerVTEP
        let ports = [Place.vm1, .vm2, .vm3]
        let vteps = (10..<10 + 2 * ports.count).map { VTEPIndex($0) }
        plane.change { model in
          for index in vteps {
            while model.vteps.count <= Int(index) { model.vteps.append(ForwardingModel.VTEP()) }
            model.vteps[Int(index)] = ForwardingModel.VTEP(
              entry: VTEPEntry(address: Topology.vtepAddress(index, .ipv4), isInUse: true),
              adjacencies: [Topology.adjacency(index, .ipv4, isResolved: false)])
          }
        }
        for index in vteps { plane.learn(guest(100 + UInt64(index.rawValue)), at: .vtep(index)) }
        for (number, port) in ports.enumerated() {
          let source = UInt64(number + 1)
          let targets = [110 + 2 * UInt64(number), 111 + 2 * UInt64(number)]
          for frameNumber in 0..<perVTEP + 3 { plane.send(frame(frameNumber, from: source, to: targets[0]), from: port) }
          plane.expect(drops: [port: [.holdQueueFull: 3]])
          for frameNumber in 0..<perVTEP { plane.send(frame(frameNumber, from: source, to: targets[1]), from: port) }
          plane.expect()
          // The port has its share, so a VTEP that has room for it has none for more of it.
          plane.send(frame(0, from: source, to: number == 0 ? 112 : 110), from: port)
          plane.expect(drops: [port: [.holdQueueFull: 1]])
        }
        #expect(plane.worker.held.count == ports.count * Limits.heldBuffersPerPort)
        // The fixture ends with all of them held: the worker must give every one back.
      }
    }

    @Test("buffers count, not frames: a guest's segments may be in dozens")
    func buffers() throws {
      try DataplaneFixture.run { plane in
        func segment(buffers: Int) throws -> Mbuf {
          let head = try #require(cdpdk_mbuf_alloc(plane.test.runtime.pool))
          for _ in 1..<buffers {
            let tail = try #require(cdpdk_mbuf_alloc(plane.test.runtime.pool))
            #expect(cdpdk_mbuf_chain(head, tail) == 0)
          }
          return Mbuf(head)
        }
        var held = HeldFrames()
        defer { held.takeAll().forEach { $0.mbuf.free() } }
        func fill(_ port: PortIndex, _ buffers: Int) throws -> Int {
          for count in 0... {
            let mbuf = try segment(buffers: buffers)
            let vtep = VTEPIndex(UInt16(held.count / Limits.heldFramesPerVTEP))
            guard held.hasRoom(for: mbuf, vtep: vtep, ingress: port) else {
              mbuf.free()
              return count
            }
            held.append(
              HeldFrame(
                mbuf: mbuf, vtep: vtep, address: IPAddress(ipv4: 0), domain: Topology.domain, serial: 0, ingress: port, expiry: 0))
          }
          return 0
        }
        let shares = [try fill(PortIndex(1), 45), try fill(PortIndex(2), 1), try fill(PortIndex(3), 128), try fill(PortIndex(4), 1)]
        let share = Limits.heldBuffersPerPort
        #expect(shares == [share / 45, share, share / 128, share])
        // In all.
        let rest = [try fill(PortIndex(5), 1), try fill(PortIndex(6), 1)]
        #expect(rest == [Limits.heldBuffers - 3 * share - share / 45 * 45, 0])
      }
    }

    @Test("given up when they have waited too long, each on its own account")
    func expiry() throws {
      try DataplaneFixture.run { plane in
        unresolve(plane)
        for number in 0..<6 { plane.send(frame(number), from: .vm1) }
        plane.run()
        let limit = cdpdk_cycles() + cdpdk_cycles_per_second() * UInt64(Limits.holdMilliseconds) / 1000
        #expect(plane.worker.held.frames.allSatisfy { $0.expiry <= limit && $0.expiry > limit - cdpdk_cycles_per_second() * 2 })
        let waiting = plane.worker.held.takeAll()
        for (number, held) in waiting.enumerated() {
          plane.worker.held.append(held)
          if number % 2 == 0 { plane.worker.held.keepExpiry(cdpdk_cycles()) }
        }
        plane.expect()
        plane.worker.rareWorkIsDue = true
        plane.expect(drops: [.vm1: [.neighborUnresolved: 3]])
        resolve(plane)
        plane.expect(tunnelled: [1, 3, 5].map { plane.tunnelled(to: Topology.near, frame($0)) })
      }
    }

    @Test("a VTEP, a route or a VNI that goes takes its frames along")
    func gone() throws {
      try DataplaneFixture.run { plane in
        unresolve(plane)
        plane.send(frame(0), from: .vm1)
        plane.expect()
        plane.change { $0.vteps[Int(Topology.near)] = ForwardingModel.VTEP() }
        plane.expect(drops: [.vm1: [.heldTargetGone: 1]])
      }
      try DataplaneFixture.run { plane in
        unresolve(plane)
        plane.send(frame(0), from: .vm1)
        plane.expect()
        plane.change { $0.domains[0] = ForwardingModel.Domain() }
        plane.expect(drops: [.vm1: [.heldTargetGone: 1]])
      }
    }

    @Test("a path that got narrower meanwhile")
    func narrower() throws {
      try DataplaneFixture.run { plane in
        unresolve(plane)
        plane.send(frame(0), from: .vm1)
        plane.expect()
        plane.setAdjacencies(Topology.near, [Topology.adjacency(Topology.near, .ipv4, mtu: 100)])
        plane.expect(drops: [.vm1: [.tooBigForUnderlay: 1]])
      }
    }

    @Test("a held clone is sent whole after the others are gone", arguments: Family.allCases)
    func clone(_ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        plane.changeDomain { $0.flood = [Topology.near, Topology.far] }
        unresolve(plane)
        let frame = Frame.arpRequest(from: guest(1), target: 9)
        plane.send(frame, from: .vm1)
        plane.expect(local: [.vm2: [frame], .vm3: [frame]], tunnelled: [plane.tunnelled(to: Topology.far, frame)])
        resolve(plane)
        plane.expect(tunnelled: [plane.tunnelled(to: Topology.near, frame)])
      }
    }
  }
}
