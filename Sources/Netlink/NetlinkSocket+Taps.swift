// Requests about taps: setting a new one up, and finding one that was moved to another namespace.

import CMNL
import Encap
import Glibc

/// Where the interface of a tap is.
public enum TapPlace: Equatable, Sendable {
  /// In our namespace.
  case here(Link)
  /// In another one, whose ID in ours this is.
  case away(namespaceID: Int32, Link)
  /// In another one that the kernel does not let us look into: it is older than 5.2, or we lack CAP_NET_ADMIN there.
  case hidden
  /// It was deleted.
  case gone
}

extension NetlinkSocket {
  /// Finds the interface behind a descriptor of /dev/net/tun.
  public func place(ofTap descriptor: Int32) throws(NetlinkError) -> TapPlace {
    guard let name = TapDevice.interfaceName(of: descriptor) else { return .gone }
    let namespace = cmnl_tun_namespace(descriptor)
    guard namespace >= 0 else { return errno == EBADFD ? .gone : .hidden }
    // Not to be kept: the namespace would outlive its container.
    defer { close(namespace) }
    if isOurs(namespace) { return try link(named: name).map { .here($0) } ?? .hidden }
    guard let id = try namespaceID(namespace) else { return .hidden }
    do throws(NetlinkError) {
      return try link(named: name, namespaceID: id).map { .away(namespaceID: id, $0) } ?? .hidden
    } catch  where [EPERM, EINVAL, EOPNOTSUPP].contains(error.code) {
      // The namespace is gone again, or not ours to look into.
      return .hidden
    }
  }

  private func isOurs(_ namespace: Int32) -> Bool {
    let own = cmnl_socket_namespace(fileDescriptor)
    guard own >= 0 else { return false }
    defer { close(own) }
    var first = stat()
    var second = stat()
    return fstat(namespace, &first) == 0 && fstat(own, &second) == 0 && first.st_ino == second.st_ino && first.st_dev == second.st_dev
  }

  /// The ID of a namespace in ours, which the kernel assigns now if there is none.
  private func namespaceID(_ namespace: Int32) throws(NetlinkError) -> Int32? {
    if let id = try knownID(namespace) { return id }
    let request = NetlinkRequest(RTM_NEWNSID, flags: NLM_F_ACK, operation: "assign a namespace ID")
    request.putFamilyHeader(rtgenmsg())
    request.put(Int(NETNSA_FD), UInt32(bitPattern: namespace))
    request.put(Int(NETNSA_NSID), UInt32.max)
    do throws(NetlinkError) {
      try perform(request)
    } catch  where error.code == EEXIST {
      // Somebody else was faster.
    }
    return try knownID(namespace)
  }

  private func knownID(_ namespace: Int32) throws(NetlinkError) -> Int32? {
    let request = NetlinkRequest(RTM_GETNSID, flags: NLM_F_ACK, operation: "query a namespace ID")
    request.putFamilyHeader(rtgenmsg())
    request.put(Int(NETNSA_FD), UInt32(bitPattern: namespace))
    var id: Int32?
    try perform(request) { id = $0.attributes(after: rtgenmsg.self)[Int(NETNSA_NSID)]?.value(Int32.self) ?? id }
    return id.flatMap { $0 >= 0 ? $0 : nil }
  }

  /// Sets up a tap of our namespace, all in one request: each takes the kernel's lock for all interfaces.
  ///
  /// - Parameters:
  ///   - mtu: in bytes, without the Ethernet header.
  ///   - segmentByteCount: largest TCP segment, with headers, that the kernel sends on the interface uncut.
  public func setUpTap(named name: String, mac: MACAddress, mtu: Int, segmentByteCount: Int) throws(NetlinkError) {
    let request = NetlinkRequest(RTM_NEWLINK, flags: NLM_F_ACK, operation: "set address \(mac), MTU \(mtu)", subject: name)
    guard let mtu = UInt32(exactly: mtu) else { throw request.error(EINVAL) }
    request.putFamilyHeader(ifinfomsg())
    request.put(IFLA_IFNAME, bytes: Array(name.utf8) + [0])
    request.put(IFLA_ADDRESS, mac)
    request.put(IFLA_MTU, mtu)
    request.put(Int(IFLA_GSO_MAX_SIZE), UInt32(segmentByteCount))
    try perform(request)
  }
}
