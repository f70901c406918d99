// Packets that a router drops, a case for each reason.

import Encap
import MACTable

@testable import VTEP

extension DropCase {
  private static func host(_ number: UInt8) -> IPAddress { RouterTopology.address(1, number) }
  private static let there = RouterTopology.address(2, 3)
  private static let router = RouterTopology.mac

  private static func routed(
    _ reason: DropReason, _ frame: @autoclosure @escaping @Sendable () -> Frame,
    prepare: @escaping @Sendable (DataplaneFixture) throws -> Void = { _ in },
    follow: @escaping @Sendable (DataplaneFixture) -> Void = { _ in }
  ) -> DropCase {
    DropCase(
      reason,
      prepare: { plane in
        try plane.addRouter()
        try prepare(plane)
      }, follow: follow, { _ in Arrival(place: .vm1, bytes: frame()) })
  }

  private static var badChecksum: Frame {
    var frame = Frame.ip(from: one, to: router, host(1), there)
    frame[24] ^= 1
    return frame
  }

  static let ofRouters: [DropCase] = [
    routed(.routerProtocol, .ethernet(from: one, to: router, type: 0x88b5, Array(0..<50))),
    routed(.routerHeader, badChecksum),
    routed(.routerMartian, .ip(from: one, to: router, IPAddress(ipv4: 0x7f00_0001), there)),
    routed(.routerTTLExceeded, .ip(from: one, to: router, host(1), there, hopLimit: 1)),
    routed(.routerNoRoute, .ip(from: one, to: router, host(1), IPAddress(ipv4: 0xcb00_7101))),
    routed(
      .routerNeighborUnresolved, .ip(from: one, to: router, host(1), RouterTopology.address(2, 77)),
      follow: { plane in for _ in 0..<3 { plane.letRouterWait() } }),
    routed(.routerTooBig, .ip(from: one, to: router, host(1), there, [UInt8](repeating: 1, count: 400))) { plane in
      plane.changePort(.vm3) { $0.maxFrameByteCount = 200 }
    },
    routed(.routerAddress, .ip(from: one, to: router, host(1), RouterTopology.address(1, 254))),
  ]
}
