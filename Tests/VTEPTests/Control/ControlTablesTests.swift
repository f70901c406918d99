// The reconciler's tables and guards as values: who gets which index and when, what becomes stale, which ports are due.

import Encap
import MACTable
import Testing

@testable import VTEP

@Suite("Control tables")
struct ControlTablesTests {
  private var stale = StaleState()

  private func vni(_ number: UInt32) -> VNI { VNI(truncating: number) }
  private func peer(_ number: UInt32) -> IPAddress { IPAddress(ipv4: 0xc000_0300 + number) }

  private func settings(_ names: String...) -> [String: PortSettings] {
    Dictionary(uniqueKeysWithValues: names.map { ($0, PortSettings(name: $0, kind: .tap, device: $0)) })
  }

  private var up: PortStatus {
    var up = PortStatus()
    up.state = .up
    return up
  }

  private func device(_ portID: UInt16) -> FrameDevice {
    .ethdev(EthernetDevice(portID: portID, queueCount: 1, sendsSegments: false, mac: MACAddress(bits: 1)))
  }

  // -- ports -------------------------------------------------------------------------------------------------------------

  @Test("a port keeps its index under another name, and the index of one that goes is not given out before it is given back")
  mutating func portIndexes() throws {
    var ports = PortTable()
    #expect(Set(ports.replace(with: settings("a", "b"), tick: 0, stale: &stale).added) == ["a", "b"])
    #expect(stale.hasNewIndexes && stale.ports)
    let (first, second) = try (#require(ports["a"]?.index), #require(ports["b"]?.index))
    #expect(ports[first]?.settings.name == "a")

    stale = StaleState()
    var renamed = settings("b")
    renamed["c"] = PortSettings(name: "c", kind: .tap, device: "a")
    let replacement = ports.replace(with: renamed, tick: 0, stale: &stale)
    #expect(Set(replacement.kept.map(\.name)) == ["b", "c"] && replacement.added.isEmpty && replacement.gone.isEmpty)
    #expect(ports["c"]?.index == first && ports[first]?.settings.name == "c" && ports["a"] == nil)
    #expect(!stale.mustWait)

    #expect(ports.replace(with: renamed.filter { $0.key == "c" }, tick: 0, stale: &stale).gone.map(\.index) == [second])
    #expect(stale.gonePorts == [second])
    _ = ports.replace(with: settings("a", "d"), tick: 0, stale: &stale)
    #expect(ports["a"]?.index == first && ports["d"]?.index != second)
    ports.giveBack(second)
    _ = ports.replace(with: settings("a", "d", "e"), tick: 0, stale: &stale)
    #expect(ports["e"]?.index == second)
  }

  @Test("only a port that was up and is no more has nothing behind it any longer")
  mutating func portStates() throws {
    var ports = PortTable()
    _ = ports.replace(with: settings("a"), tick: 0, stale: &stale)
    let index = try #require(ports["a"]?.index)
    ports["a"]?.device = device(1)
    stale = StaleState()
    #expect(ports.update("a", device: PortStatus(), stale: &stale) == nil)
    #expect(stale.isEmpty)
    #expect(ports.update("a", device: up, stale: &stale)?.state == .waiting)
    #expect(stale.ports && stale.silentPorts.isEmpty && ports["a"]?.wasUp == true)
    stale = StaleState()
    #expect(ports.update("a", device: PortStatus(), stale: &stale) == up)
    #expect(stale.silentPorts == [index])

    stale = StaleState()
    ports.lose("a", stale: &stale)
    #expect(ports["a"]?.device == nil && ports["a"]?.index == index)
    #expect(stale.closing.map(\.subject) == ["port a"] && stale.silentPorts == [index])
  }

  @Test("a port that cannot be attached is tried again after 1, 2, 4, 8 and 10 seconds; a guest's fault doubles from 5 to 60")
  mutating func backOff() {
    func holds(_ make: (Int, PortFault?) -> PortFault) -> [Int] {
      var (tick, holds, last) = (0, [Int](), nil as PortFault?)
      for _ in 0..<6 {
        let fault = make(tick, last)
        holds.append(fault.secondsLeft(at: tick))
        tick += fault.secondsLeft(at: tick) * PortFault.ticksPerSecond
        last = fault
      }
      return holds
    }
    #expect(holds { PortFault(attachment: "busy", at: $0, previous: $1) } == [1, 2, 4, 8, 10, 10])
    #expect(holds { PortFault(reason: "rings", at: $0, previous: $1) } == [5, 10, 20, 40, 60, 60])

    var ports = PortTable()
    _ = ports.replace(with: settings("a"), tick: 0, stale: &stale)
    #expect(ports.waiting(tick: 0).isEmpty)
    ports["a"]?.fault = PortFault(attachment: "busy", at: 0, previous: nil)
    #expect(ports.waiting(tick: PortFault.ticksPerSecond - 1).isEmpty)
    #expect(ports.waiting(tick: PortFault.ticksPerSecond) == ["a"])
  }

  // -- domains and VTEPs -------------------------------------------------------------------------------------------------

  @Test("the index of a VNI that goes is not given out before it is given back; unchanged VNIs are not looked at")
  mutating func domainIndexes() throws {
    var domains = DomainTable()
    var settings = [vni(5): VNISettings(vni: vni(5), flood: .none)]
    #expect(domains.update([vni(5)], to: settings, stale: &stale).added.count == 1)
    let index = try #require(domains[vni(5)]?.index)
    #expect(domains.vni(at: index) == vni(5) && stale.vnis == [vni(5)] && stale.hasNewIndexes)

    settings = [vni(6): VNISettings(vni: vni(6), flood: .none)]
    settings[vni(6)]?.macs = [MACAddress(bits: 2): peer(1)]
    let replaced = domains.update([vni(5), vni(6)], to: settings, stale: &stale)
    #expect(replaced.gone == [index] && stale.goneDomains == [index])
    #expect(domains[vni(6)]?.index != index && domains.vni(at: index) == nil && domains.withStatics == [vni(6)])
    domains.giveBack(index)
    settings[vni(7)] = VNISettings(vni: vni(7), flood: .none)
    #expect(domains.update([vni(7)], to: settings, stale: &stale).added == [index])

    settings[vni(6)]?.macs = [:]
    #expect(domains.update([vni(6)], to: settings, stale: &stale).isEmpty)
    #expect(domains.withStatics.isEmpty)
    #expect(domains.update([vni(7)], to: settings.filter { $0.key == vni(6) }, stale: &stale).gone == [index])
  }

  @Test("VTEPs that nobody names stay for a minute, groups go at once, and both keep their index until it is given back")
  mutating func vteps() throws {
    var vteps = VTEPTable()
    let group = IPAddress(ipv4: 0xef01_0101)
    let first = try #require(vteps.enter(peer(1), isConfigured: true, nowSeconds: 100, stale: &stale))
    #expect(first.isNew && stale.hasNewIndexes && stale.adjacencies)
    #expect(vteps.enter(peer(1), isConfigured: false, nowSeconds: 200, stale: &stale)?.isNew == false)
    let groupIndex = try #require(vteps.enter(group, isConfigured: true, nowSeconds: 100, stale: &stale)).record.index
    #expect(vteps.unconfigured(nowSeconds: 1000).isEmpty)

    #expect(vteps.unconfigure(allBut: [], stale: &stale) == [groupIndex])
    #expect(vteps[group] == nil && stale.goneVTEPs == [groupIndex])
    #expect(vteps.unconfigured(nowSeconds: 160).isEmpty)
    #expect(vteps.unconfigured(nowSeconds: 161).map(\.address) == [peer(1)])
    // Somebody names it again.
    #expect(vteps.enter(peer(1), isConfigured: true, nowSeconds: 161, stale: &stale)?.record.isConfigured == true)
    #expect(vteps.unconfigured(nowSeconds: 1000).isEmpty)

    #expect(vteps.enter(peer(2), isConfigured: false, nowSeconds: 0, stale: &stale)?.record.index != groupIndex)
    vteps.giveBack(groupIndex)
    #expect(vteps.enter(peer(3), isConfigured: false, nowSeconds: 0, stale: &stale)?.record.index == groupIndex)
  }

  // -- guards ------------------------------------------------------------------------------------------------------------

  private mutating func guarded(_ edit: (inout PortSettings) -> Void) -> (PortTable, DesiredState) {
    var state = DesiredState(underlay: UnderlaySettings(addresses: [peer(5)], devices: ["u0"]))
    state.vnis[vni(5)] = VNISettings(vni: vni(5), flood: .none)
    for name in ["a", "b"] {
      var port = PortSettings(name: name, kind: .tap, device: name)
      port.options.vni = vni(5)
      edit(&port)
      state.ports[name] = port
    }
    var ports = PortTable()
    _ = ports.replace(with: state.ports, tick: 0, stale: &stale)
    for name in ["a", "b"] { _ = ports.update(name, device: up, stale: &stale) }
    return (ports, state)
  }

  private func probe(_ ports: PortTable, _ name: String, vni number: UInt32 = 5) throws -> LoopProbe {
    LoopProbe(daemon: 1, token: 1, port: try #require(ports[name]).index.rawValue, vlan: 0, vni: vni(number))
  }

  @Test("a BPDU shuts a port that guards against it, and only while that is up")
  mutating func bpdu() throws {
    let (ports, state) = guarded { $0.hasBPDUGuard = $0.name == "a" }
    var guards = Guards()
    let (guarding, other) = try (#require(ports["a"]).index, #require(ports["b"]).index)
    #expect(
      guards.judge(.bpdu(port: guarding), ports, state, tick: 0)
        == .shut(port: "a", .bpduGuard, reason: "a BPDU came in", holdSeconds: state.protection.bpduGuard.holdSeconds))
    #expect(guards.judge(.bpdu(port: other), ports, state, tick: 0) == nil)
    var down = ports
    _ = down.update("a", device: PortStatus(), stale: &stale)
    #expect(guards.judge(.bpdu(port: guarding), down, state, tick: 0) == nil)
  }

  @Test("of two ports with a loop between them the later name is shut if both probe, else the one that does")
  mutating func loops() throws {
    for (probing, shut) in [(["a", "b"], "b"), (["a"], "a"), (["b"], "b")] {
      let (ports, state) = guarded { $0.probesLoops = probing.contains($0.name) }
      for sender in probing {
        var guards = Guards()
        let receiver = try #require(ports[sender == "a" ? "b" : "a"]).index
        let verdict = guards.judge(.loop(try probe(ports, sender), .port(receiver, vlan: 0)), ports, state, tick: 0)
        guard case .shut(port: shut, .loopProbe, _, _)? = verdict else {
          Issue.record("\(probing) probe, \(sender) sent: \(String(describing: verdict))")
          continue
        }
      }
    }
  }

  @Test("VNIs that are joined outside are told of once")
  mutating func joined() throws {
    let (ports, state) = guarded { $0.probesLoops = true }
    var guards = Guards()
    let alarm = PortAlarm.loop(try probe(ports, "a", vni: 6), .port(try #require(ports["b"]).index, vlan: 0))
    #expect(guards.judge(alarm, ports, state, tick: 0) == .joined([vni(6), vni(5)], how: "a probe of port a came in at port b"))
    #expect(guards.judge(alarm, ports, state, tick: 0) == nil)
  }

  @Test("a loop over the overlay: the VTEP with the higher address gives way at once, the other after three intervals")
  mutating func overlayLoops() throws {
    let (ports, state) = guarded { $0.probesLoops = true }
    let sent = try probe(ports, "a")
    var guards = Guards()
    #expect(guards.judge(.loop(sent, .overlay(vni(5), sender: peer(1))), ports, state, tick: 0) != nil)
    guards = Guards()
    let interval = Int(state.protection.loopProbe.intervalSeconds) * PortFault.ticksPerSecond
    for tick in stride(from: 0, to: 3 * interval, by: interval) {
      #expect(guards.judge(.loop(sent, .overlay(vni(5), sender: peer(9))), ports, state, tick: tick) == nil)
    }
    #expect(guards.judge(.loop(sent, .overlay(vni(5), sender: peer(9))), ports, state, tick: 3 * interval) != nil)
  }
}
