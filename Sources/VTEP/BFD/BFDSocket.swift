// BFDSocket: a packet socket for BFD alone, on an uplink that the kernel shares with us. Workers' sockets are full when more comes than they
// forward, and what is lost then is anything: a third of the packets is enough for one session in thirty to end with each detection time. Uplinks of
// DPDK have Worker+Overload instead; the XDP program leaves BFD to the kernel.

import CDPDK
import Encap
import Glibc
import MACTable
import Netlink

/// An uplink to hear BFD on.
struct BFDUplink: Hashable, Sendable {
  var interfaceIndex: Int32
  var port: PortIndex
  var udpPort: UInt16
}

struct BFDSocket: Sendable {
  let descriptor: Int32

  private static let receiveByteCount: Int32 = 4 << 20

  /// Nil, with a reason: workers pass what they get.
  static func open(_ uplink: BFDUplink) -> Result<BFDSocket, VTEPError> {
    Result { () throws(VTEPError) in
      let subject = "BFD"
      let descriptor = cdpdk_packet_open()
      try VTEPError.check(descriptor, "\(subject): packet socket", remedy: "run as root or with CAP_NET_RAW")
      do throws(VTEPError) {
        try VTEPError.wrap("\(subject): packet socket") { () throws(NetlinkError) in
          try BFDFilter.program(udpPort: uplink.udpPort).attach(toSocket: descriptor)
        }
        // For a packet of each of thousands of sessions. Beyond net.core.rmem_max with CAP_NET_ADMIN only; less is no error.
        if cdpdk_socket_option(descriptor, SO_RCVBUFFORCE, receiveByteCount) != 0 {
          _ = cdpdk_socket_option(descriptor, SO_RCVBUF, receiveByteCount)
        }
        try VTEPError.check(cdpdk_packet_bind(descriptor, uplink.interfaceIndex), "\(subject): bind to the uplink")
      } catch {
        Glibc.close(descriptor)
        throw error
      }
      return BFDSocket(descriptor: descriptor)
    }
  }

  func close() { Glibc.close(descriptor) }

  /// The next packet; nil: there is none.
  func receive(from pool: OpaquePointer) -> Mbuf? {
    guard let raw = cdpdk_mbuf_alloc(pool) else {
      // It would wait for ever otherwise, and so would those behind it.
      var octet: UInt8 = 0
      _ = recv(descriptor, &octet, 1, Int32(MSG_DONTWAIT))
      return nil
    }
    let mbuf = Mbuf(raw)
    let count = recv(descriptor, mbuf.start, Int(cdpdk_mbuf_tailroom(raw)), Int32(MSG_DONTWAIT))
    guard count > 0, cdpdk_mbuf_append(raw, UInt16(count)) != nil else {
      mbuf.free()
      return nil
    }
    return mbuf
  }
}
