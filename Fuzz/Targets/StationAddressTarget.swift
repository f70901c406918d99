// The address that a station claims in ARP (RFC 826) and neighbour discovery (RFC 4861): only one that a host can have, and only
// its own.

import Encap
import MACTable

@testable import VTEP
@testable import VTEPTests

@Sendable func fuzzStationAddress(_ input: UnsafeMutableRawBufferPointer) throws {
  guard let address = NeighborMessage(UnsafeRawBufferPointer(input).bytes)?.stationAddress else { return }
  let frame = Array(input)
  try require(
    !address.isUnspecified && !address.isMulticast && !address.isLoopback && !address.isLinkLocal && !address.isLimitedBroadcast,
    "\(address) is no station's")
  switch frame.big16(at: 12) {
  case 0x0806:
    try require(Array(frame[28..<32]) == address.bytes, "\(address) is not the sender's in ARP")
    try require(frame[22..<28] == frame[6..<12], "ARP for another station than the frame's source")
  case 0x86dd:
    try require((133...136).contains(frame[54]), "\(address) claimed in ICMPv6 type \(frame[54])")
    try require(frame[21] == 255, "from beyond a router")
    let offset = frame[54] == 136 ? 62 : 22
    try require(IPAddress(bytes: Array(frame[offset..<offset + 16])) == address, "\(address) is not the one in ND")
  default: throw Finding(description: "claimed in EtherType \(frame.big16(at: 12))")
  }
  let key = MACKey(domain: 0, mac: MACAddress(bits: 0x0200_0000_0001))
  var stations = StationAddresses()
  stations.record(address, of: key, nowSeconds: 0)
  try require(stations[key] == address && stations.changeCount == 1, "\(address) is not noted")
}

/// A question that is answered in its owner's place.
@Sendable func fuzzNeighborRequest(_ input: UnsafeMutableRawBufferPointer) throws {
  guard let request = NeighborMessage(UnsafeRawBufferPointer(input).bytes), request.isForAnybody else { return }
  let frame = Array(input)
  try require(request.sender != request.target && !request.sender.isUnspecified, "an announcement or a probe")
  try require(request.source.octets == Array(frame[6..<12]) && !request.source.isMulticast, "not the frame's source")
  // What its owner would say: a claim of the address, for the one who asked.
  let owner = MACAddress(bits: 0x0200_0000_0001)
  var answer = [UInt8](repeating: 0xaa, count: request.answerByteCount)
  var span = answer.mutableSpan
  var bytes = span.mutableBytes
  request.writeAnswer(into: &bytes, inPlaceOf: owner, isRouter: true)
  try require(Array(answer[0..<6]) == request.source.octets && Array(answer[6..<12]) == owner.octets, "addresses of the answer")
  let answered = NeighborMessage(answer.span.bytes)
  let role: NeighborRole = request.target.isIPv4 ? .unknown : .router
  try require(answered?.claim == nil || answered?.claim == NeighborClaim(address: request.target, mac: owner, role: role), "what it claims")
  try require(answered != nil && answered?.asker == nil, "the answer asks")
  if !request.target.isIPv4 {
    let message = Array(answer[22..<54]) + [0, 0, 0, 32, 0, 0, 0, 58] + Array(answer[54...])
    try require(InternetChecksum.fold(InternetChecksum.partialSum(message.span.bytes)) == 0xffff, "checksum")
  }
}
