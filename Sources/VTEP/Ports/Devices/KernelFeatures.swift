// KernelFeatures: what this kernel offers to packet sockets and taps beyond the oldest one that is supported, found by trying it once
// at start. VTEPD_WITHOUT in the environment names features that are to be taken for missing (`trains,tap-offloads`), for tests.

import CDPDK
import Encap
import Glibc

enum KernelFeatures {
  /// Packet sockets take several datagrams as one (VIRTIO_NET_HDR_GSO_UDP_L4, Linux 6.2).
  static let takesTrains = !isHidden("trains") && probeTrains()

  /// Taps leave checksums and the cutting of segments to us.
  static let hasTapOffloads = !isHidden("tap-offloads")

  /// A feature is to be taken for missing.
  static func isHidden(_ name: String) -> Bool {
    guard let list = getenv("VTEPD_WITHOUT") else { return false }
    return String(cString: list).split(separator: ",").contains { $0 == name }
  }

  /// The kernel keeps next hops resolved (NTF_EXT_MANAGED).
  static let keepsNeighbors = isRelease(atLeast: 5, 16)

  private static func isRelease(atLeast major: Int, _ minor: Int) -> Bool {
    var name = utsname()
    guard uname(&name) == 0 else { return false }
    let release = withUnsafeBytes(of: &name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    let numbers = release.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
    return numbers.count == 2 && (numbers[0], numbers[1]) >= (major, minor)
  }

  /// Packet sockets take frames with unfinished checksums, and segments that the kernel or the network card cuts.
  static let takesRequests = !isHidden("vnet-offloads")

  /// Sends a train of two datagrams to the host's own discard port. An older kernel refuses the header (EINVAL). With the loopback
  /// interface down nothing can be found out that way, and the release has to do.
  private static func probeTrains() -> Bool {
    let descriptor = cdpdk_packet_open()
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    guard cdpdk_packet_option(descriptor, PACKET_VNET_HDR, 1) == 0, cdpdk_packet_bind(descriptor, Int32(if_nametoindex("lo"))) == 0
    else { return false }
    var frame = [UInt8](repeating: 0, count: DatagramTrain.ipv4HeaderByteCount + 16)
    (frame[12], frame[14], frame[22], frame[23]) = (8, 0x45, 1, 17)
    for offset in [26, 30] { (frame[offset], frame[offset + 3]) = (127, 1) }
    (frame[35], frame[37]) = (9, 9)
    var header = cdpdk_virtio_header(trainBehind: DatagramTrain.ipv4HeaderByteCount, datagramByteCount: 8)
    return frame.withUnsafeMutableBytes { bytes in
      var span = MutableRawSpan(_unsafeBytes: bytes)
      DatagramTrain.write(into: &span, headerByteCount: DatagramTrain.ipv4HeaderByteCount, payloadByteCount: 16)
      return withUnsafeMutableBytes(of: &header) { head in
        var pieces = [
          iovec(iov_base: head.baseAddress, iov_len: head.count), iovec(iov_base: bytes.baseAddress, iov_len: bytes.count),
        ]
        let code = pieces.withUnsafeMutableBufferPointer { cdpdk_write_pieces(descriptor, $0.baseAddress, 2) }
        return code > 0 || code != Int(-EINVAL) && isRelease(atLeast: 6, 2)
      }
    }
  }
}
