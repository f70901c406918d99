// Neighbours: lists them, and keeps the ones that a VTEP needs resolved. The kernel itself does ARP and Neighbor Discovery.

import CMNL
import Encap
import Glibc

extension NetlinkSocket {
  /// All ARP and Neighbor Discovery entries of all interfaces.
  public func neighbors() throws(NetlinkError) -> [Neighbor] {
    let request = NetlinkRequest(RTM_GETNEIGH, flags: NLM_F_DUMP, operation: "list neighbours")
    request.putFamilyHeader(ndmsg())
    return try dump(request) { Neighbor($0) }
  }

  /// - Returns: nil if the kernel has no entry.
  public func neighbor(_ address: IPAddress, interfaceIndex: Int32) throws(NetlinkError) -> Neighbor? {
    let request = neighborRequest(RTM_GETNEIGH, flags: NLM_F_ACK, "query neighbour", address, interfaceIndex)
    var found: Neighbor?
    do {
      try perform(request) { found = Neighbor($0) ?? found }
    } catch  where error.code == ENOENT {
      return nil
    }
    return found
  }

  /// Tells the kernel to resolve a neighbour now, and to keep it resolved if `managed` (Linux 5.16; older kernels resolve it once).
  /// Does not change static entries or entries installed by another control plane.
  /// - Throws: ENODEV if the interface is gone, ENOBUFS if the kernel's table is full, EPERM without CAP_NET_ADMIN.
  public func requestNeighbor(_ address: IPAddress, interfaceIndex: Int32, managed: Bool) throws(NetlinkError) {
    if try neighbor(address, interfaceIndex: interfaceIndex)?.isMaintainedByOthers == true { return }
    if managed && supportsManagedNeighbors {
      do {
        return try use(address, interfaceIndex, NLM_F_CREATE, NTF_EXT_MANAGED)
      } catch  where error.code == EINVAL {
        // Either the kernel does not know the flag, or the request fails without it too.
        try use(address, interfaceIndex, NLM_F_CREATE, 0)
        supportsManagedNeighbors = false
        return
      }
    }
    try use(address, interfaceIndex, NLM_F_CREATE, 0)
  }

  /// Undoes `requestNeighbor(managed: true)`; the entry then ages like any other. A missing entry is not an error.
  public func releaseNeighbor(_ address: IPAddress, interfaceIndex: Int32) throws(NetlinkError) {
    guard try neighbor(address, interfaceIndex: interfaceIndex)?.isManaged == true else { return }
    do {
      // An update without the flag clears it.
      try use(address, interfaceIndex, 0, 0)
    } catch  where error.code == ENOENT || error.code == ENODEV {
      return
    }
  }

  private func use(_ address: IPAddress, _ interfaceIndex: Int32, _ flags: Int32, _ extendedFlags: Int32)
    throws(NetlinkError)
  {
    let request = neighborRequest(
      RTM_NEWNEIGH, flags: NLM_F_ACK | flags, "resolve neighbour", address, interfaceIndex, entryFlags: NTF_USE)
    if extendedFlags != 0 { request.put(NDA_FLAGS_EXT, UInt32(extendedFlags)) }
    do {
      try perform(request)
    } catch  where error.code == ENOBUFS {
      // Entries that vtepd keeps resolved are never collected.
      var full = error
      full.detail =
        "the kernel's neighbour table is full: raise net.ipv\(address.isIPv4 ? 4 : 6).neigh.default.gc_thresh3 on the host; all network namespaces share it"
      throw full
    }
  }

  private func neighborRequest(
    _ type: Int, flags: Int32, _ operation: String, _ address: IPAddress, _ interfaceIndex: Int32,
    entryFlags: Int32 = 0
  ) -> NetlinkRequest {
    let request = NetlinkRequest(
      type, flags: flags, operation: operation, subject: "\(address) on interface \(interfaceIndex)")
    var header = ndmsg()
    header.ndm_family = UInt8(address.isIPv4 ? AF_INET : AF_INET6)
    header.ndm_ifindex = interfaceIndex
    header.ndm_flags = UInt8(entryFlags)
    request.putFamilyHeader(header)
    request.put(NDA_DST, bytes: address.bytes)
    return request
  }
}

extension Neighbor {
  /// An update with NTF_USE would turn a permanent entry into an ordinary one, and take an external one from its owner.
  fileprivate var isMaintainedByOthers: Bool {
    state == .permanent || state == .noarp || isExternallyLearned
  }
}
