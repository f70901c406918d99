// Line: what one line of the benchmark's table measures.

import ArgumentParser

enum Direction: String, CaseIterable, ExpressibleByArgument {
  case encapsulation, decapsulation
  /// From port to port of one VNI.
  case local
}

struct Line {
  var name: String
  var directions = [Direction.encapsulation, .decapsulation]
  var macs = 1000
  /// More than one: with tagged bindings on the port.
  var vnis = 1
  var vteps = 16
  /// Octets of the inner frames, in turn.
  var sizes = [64]
  /// IPv6 underlay, with a computed checksum.
  var isIPv6 = false
  /// Frames in the capture file, if fewer than there are remote stations: it is held in memory.
  var frames = Int.max

  /// Without the frame check sequence; the mean is 360 octets.
  private static let imix = [64, 64, 590, 64, 590, 64, 1514, 64, 590, 64, 590, 64]

  static let all = [
    Line(name: "1k", directions: Direction.allCases),
    Line(name: "100k", directions: Direction.allCases, macs: 100_000),
    Line(name: "tagged", vnis: 100),
    Line(name: "1000vnis", macs: 100_000, vnis: 1000, vteps: 1000),
    Line(name: "1m", macs: 1_000_000, frames: 250_000),
    Line(name: "imix", macs: 1000, sizes: imix),
    Line(name: "1500", macs: 1000, sizes: [1514]),
    Line(name: "ipv6", macs: 1000, isIPv6: true),
  ]

  /// Domain of a remote station, and of the local one it talks to.
  func domain(_ index: Int) -> Int { index % vnis }
  /// Tag on the port; 0: none.
  func vlan(_ index: Int) -> UInt16 { vnis == 1 ? 0 : UInt16(1 + domain(index)) }
  func vtep(_ index: Int) -> Int { (domain(index) + index / vnis) % vteps }
  /// Local stations: a few in one VNI, or one in each.
  var locals: Int { vnis == 1 ? 16 : vnis }
  /// A hypervisor: a few guests here, all other addresses behind VTEPs.
  var remotes: Int { macs - locals }
  func local(_ index: Int) -> Int { vnis == 1 ? index % locals : domain(index) }
}
