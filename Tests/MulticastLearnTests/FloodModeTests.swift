// Flood lists that are accepted, and those that are rejected with their reason.

import Encap
import Testing

@testable import MulticastLearn

@Suite struct FloodModeTests {
  private func address(_ text: String) -> IPAddress { IPAddress(text)! }

  private func failure(_ mode: FloodMode) -> FloodError? {
    do throws(FloodError) {
      try mode.validate(ownAddresses: [address("192.0.2.1"), address("2001:db8::1")])
      return nil
    } catch {
      return error
    }
  }

  @Test func destinationsKeepTheirOrder() {
    let peers = [address("192.0.2.9"), address("2001:db8::2"), address("192.0.2.2")]
    #expect(FloodMode.replicate(peers: peers).destinations == peers)
    #expect(FloodMode.multicast(group: address("239.1.1.1")).destinations == [address("239.1.1.1")])
    #expect(FloodMode.none.destinations == [])
  }

  @Test(arguments: ["239.1.1.1", "224.0.0.100", "ff02::1:1", "ff05::100", "ff0e::1", "ff3e::8000:1"])
  func groupsAreAccepted(text: String) {
    #expect(failure(.multicast(group: address(text))) == nil)
  }

  @Test func badGroupsAreRefused() {
    for text in ["192.0.2.1", "255.255.255.255", "0.0.0.0", "2001:db8::1", "::"] {
      #expect(failure(.multicast(group: address(text))) == .groupNotMulticast(address(text)))
    }
    for text in ["ff01::100", "ff00::100", "ff11::1"] {
      #expect(failure(.multicast(group: address(text))) == .groupNeverLeavesNode(address(text)))
    }
  }

  @Test func peersAreAccepted() {
    #expect(failure(.none) == nil)
    #expect(failure(.replicate(peers: [])) == nil)
    #expect(failure(.replicate(peers: [address("192.0.2.2"), address("2001:db8::2"), address("192.0.2.3")])) == nil)
  }

  @Test func badPeersAreRefused() {
    let good = address("192.0.2.2")
    for text in ["192.0.2.1", "2001:db8::1"] {
      #expect(failure(.replicate(peers: [good, address(text)])) == .ownAddress(address(text)))
    }
    #expect(failure(.replicate(peers: [good, address("192.0.2.3"), good])) == .duplicatePeer(good))
    for text in ["239.1.1.1", "ff05::100", "255.255.255.255", "0.0.0.0", "::"] {
      #expect(failure(.replicate(peers: [good, address(text)])) == .peerNotUnicast(address(text)))
    }
  }

  @Test func errorsNameTheAddressAndTheReason() {
    #expect("\(FloodError.ownAddress(address("192.0.2.1")))" == "peer 192.0.2.1 is an address of this VTEP")
    #expect("\(FloodError.duplicatePeer(address("2001:db8::2")))" == "peer 2001:db8::2 is listed twice")
    #expect(
      "\(FloodError.joinFailed(group: address("239.1.1.1"), interfaceIndex: 7, code: 19))"
        == "group 239.1.1.1: join on interface 7: No such device")
  }
}
