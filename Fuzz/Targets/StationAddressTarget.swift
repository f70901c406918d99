// The address that a station claims in ARP (RFC 826) and neighbour discovery (RFC 4861): only one that a host can have, and only
// its own.

import Encap
import MACTable

@testable import VTEP
@testable import VTEPTests

@Sendable func fuzzStationAddress(_ input: UnsafeMutableRawBufferPointer) throws {
  guard let address = StationAddress.claimed(by: UnsafeRawBufferPointer(input).bytes) else { return }
  let frame = Array(input)
  try require(
    !address.isUnspecified && !address.isMulticast && !address.isLoopback && !address.isLinkLocal && !address.isLimitedBroadcast,
    "\(address) is no station's")
  switch frame.big16(at: 12) {
  case 0x0806:
    try require(Array(frame[28..<32]) == address.bytes, "\(address) is not the sender's in ARP")
    try require(frame[22..<28] == frame[6..<12], "ARP for another station than the frame's source")
  case 0x86dd:
    try require(frame[54] == 135 || frame[54] == 136, "\(address) claimed in ICMPv6 type \(frame[54])")
    try require(frame[21] == 255, "from beyond a router")
    let offset = frame[54] == 135 ? 22 : 62
    try require(IPAddress(bytes: Array(frame[offset..<offset + 16])) == address, "\(address) is not the one in ND")
  default: throw Finding(description: "claimed in EtherType \(frame.big16(at: 12))")
  }
  let key = MACKey(domain: 0, mac: MACAddress(bits: 0x0200_0000_0001))
  var stations = StationAddresses()
  stations.record(address, of: key, nowSeconds: 0)
  try require(stations[key] == address && stations.changeCount == 1, "\(address) is not noted")
}
