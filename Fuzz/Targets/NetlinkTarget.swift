// The kernel's netlink datagrams: links, addresses, neighbours, routes, next-hop objects, IPsec policies, acknowledgements. Each
// message is parsed as every one of them, whatever its type.

import CMNL
import Encap

@testable import Netlink

@Sendable func fuzzNetlink(_ input: UnsafeMutableRawBufferPointer) throws {
  var pending = PendingChanges()
  var changes: [NetlinkChange] = []
  var routes: [Route] = []
  var byteCount = 0
  var finding: String?
  NetlinkMessage.forEach(in: UnsafeRawBufferPointer(input)) { message in
    byteCount += Int(message.header.pointee.nlmsg_len)
    pending.follow(message) { changes.append($0) }
    _ = message.acknowledgement
    if let address = InterfaceAddress(message) { finding = finding ?? checkAddress(address) }
    if let policy = IPsecPolicy(message) {
      if policy.description.isEmpty { finding = "a policy without words" }
      _ = policy.matches(from: IPAddress(ipv4: 1), to: IPAddress(ipv4: 2), udpPort: 4789)
    }
    _ = (NextHopObject(message), message.nextHopObjectID)
    // The type of a message must not matter.
    _ = (Link(message).map { "\($0)" }, Neighbor(message).map { "\($0)" })
    if let route = Route(message) { routes.append(route) }
    return true
  }
  if let finding { throw Finding(description: finding) }
  try require(byteCount <= input.count, "messages of \(byteCount) octets in \(input.count)")
  pending.flush { changes.append($0) }

  if var whole = routes.first {
    for route in routes.dropFirst() { whole.merge(route) }
    let weights = whole.nextHops.reduce(0) { $0 + $1.weight }
    whole.unifyNextHops()
    try require(whole.nextHops.allSatisfy { $0.weight >= 1 }, "a next hop without weight")
    try require(whole.nextHops.reduce(0) { $0 + $1.weight } == weights, "weights are lost")
    let once = whole
    whole.unifyNextHops()
    try require(whole == once, "unified twice")
  }
}

private func checkAddress(_ address: InterfaceAddress) -> String? {
  IPAddress("\(address.address)") == address.address ? nil : "\(address.address) is not read as written"
}
