// Taps that leave our namespace, are changed elsewhere, come home under another name, or are deleted.

import Encap
import Netlink
import Testing

@testable import VTEP

@Suite("Places of taps")
struct TapPlaceTests {
  private let effects: RecordedEffects
  private var state: ControlState

  init() throws {
    effects = try RecordedEffects()
    effects.opensTaps = true
    let underlay = UnderlaySettings(addresses: [IPAddress(ipv4: 0xc000_0201)], devices: ["u0"])
    state = ControlState(underlay, workers: 1, effects: effects)
    try state.attachUnderlay(underlay)
    var new = state.desired
    for name in ["a", "b"] { new.ports[name] = PortSettings(name: name, kind: .tap, device: name) }
    try state.apply(new)
    state.hasStarted = true
    state.pollTaps()
    _ = effects.take()
  }

  private func link(_ index: Int32, _ name: String, mtu: Int = 1500) -> Link {
    Link(index: index, name: name, mac: MACAddress(bits: 1), mtu: mtu, isUp: true, isRunning: true, kind: "tun")
  }

  private func descriptor(_ name: String) throws -> Int32 { try #require(state.ports[name]?.device?.descriptors.first) }

  /// The link that the port was opened with.
  private func home(_ name: String) throws -> Link { try #require(state.ports[name]?.link) }

  @Test("a tap that was moved is known by its namespace and index there, and events of others are not its own")
  mutating func away() throws {
    let before = try home("a")
    effects.places[try descriptor("a")] = .away(namespaceID: 3, link(7, "eth0"))
    state.removePortLink(index: before.index, name: before.name)
    #expect(state.ports["a"]?.link == nil && state.ports["a"]?.away == AwayLink(namespaceID: 3, link: link(7, "eth0")))
    state.updateAwayLink(AwayLink(namespaceID: 4, link: link(7, "eth0", mtu: 1)))
    state.updateAwayLink(AwayLink(namespaceID: 3, link: link(8, "eth0", mtu: 1)))
    #expect(state.ports["a"]?.away?.link.mtu == 1500)
    state.updateAwayLink(AwayLink(namespaceID: 3, link: link(7, "x", mtu: 1400)))
    #expect(state.ports["a"]?.away?.link == link(7, "x", mtu: 1400))

    // On to a third namespace.
    effects.places[try descriptor("a")] = .away(namespaceID: 5, link(7, "x"))
    #expect(state.removeAwayLink(AwayLink.Key(namespaceID: 3, index: 7)) == nil)
    #expect(state.ports["a"]?.away?.namespaceID == 5)
    #expect(state.removeAwayLink(AwayLink.Key(namespaceID: 3, index: 7)) == nil, "it is not there any more")

    // And home.
    effects.places[try descriptor("a")] = .here(link(70, "x"))
    #expect(state.removeAwayLink(AwayLink.Key(namespaceID: 5, index: 7)) == "a")
    #expect(state.ports["a"]?.link == link(70, "x") && state.ports["a"]?.away == nil)
    #expect(state.updatePortLink(link(70, "y", mtu: 1300)) == "a", "renamed")
    #expect(state.ports["a"]?.link?.mtu == 1300)
  }

  @Test("another interface that takes the name of a tap is not the tap")
  mutating func names() throws {
    let before = try home("a")
    #expect(state.updatePortLink(link(before.index, "renamed")) == "a")
    #expect(state.updatePortLink(link(999, "a", mtu: 1111)) == nil)
    #expect(state.ports["a"]?.link?.name == "renamed")

    effects.places[try descriptor("a")] = .away(namespaceID: 3, link(7, "renamed"))
    state.removePortLink(index: before.index, name: "renamed")
    #expect(state.updatePortLink(link(999, "a", mtu: 1111)) == nil)
    #expect(state.ports["a"]?.link == nil && state.ports["a"]?.away != nil)
    effects.places[try descriptor("a")] = .here(link(999, "a"))
    #expect(state.updatePortLink(link(999, "a")) == "a")
  }

  @Test("a tap that is gone is closed when no worker has it and opened again; others are left alone")
  mutating func gone() throws {
    let old = try descriptor("a")
    effects.tapStates[old] = .gone
    state.pollTaps()
    state.settle()
    #expect(effects.count(.close("port a")) == 1 && effects.count(.open("a")) == 1 && effects.count(.open("b")) == 0)
    let done = effects.take()
    #expect(try #require(done.firstIndex(of: .wait)) < #require(done.firstIndex(of: .close("port a"))))
    #expect(try #require(done.firstIndex(of: .close("port a"))) < #require(done.firstIndex(of: .open("a"))), "its name is free first")
    #expect(try descriptor("a") != old && state.ports["a"]?.link != nil)
    state.pollTaps()
    state.settle()
    #expect(effects.take() == [])
  }

  @Test("a tap that cannot be made again is retried")
  mutating func goneForNow() throws {
    let before = try home("a")
    effects.places[try descriptor("a")] = .gone
    effects.broken = ["a"]
    state.removePortLink(index: before.index, name: before.name)
    state.settle()
    #expect(state.ports["a"]?.device == nil && state.ports["a"]?.fault?.cause == .attachment)
    effects.broken = []
    state.ticks += 10
    state.retryPorts()
    #expect(state.ports["a"]?.device != nil && state.ports["a"]?.fault == nil)
  }

  @Test("without events from other namespaces vtepd asks, and of those that it cannot see in any case")
  mutating func asking() throws {
    effects.places[try descriptor("a")] = .away(namespaceID: 3, link(7, "eth0"))
    state.removePortLink(index: try home("a").index, name: "a")
    effects.places[try descriptor("a")] = .away(namespaceID: 3, link(7, "eth0", mtu: 1400))
    state.locateAwayTaps(all: false)
    #expect(state.ports["a"]?.away?.link.mtu == 1500)
    effects.followsNamespaces = false
    state.locateAwayTaps(all: false)
    #expect(state.ports["a"]?.away?.link.mtu == 1400)
    effects.followsNamespaces = true
    effects.places[try descriptor("b")] = .hidden
    state.removePortLink(index: try home("b").index, name: "b")
    effects.places[try descriptor("b")] = .away(namespaceID: 4, link(9, "b"))
    state.locateAwayTaps(all: false)
    #expect(state.ports["b"]?.away?.namespaceID == 4)
  }
}
