// Traffic control requests: an ingress filter that drops everything. tc-bpf(8); a classic program, which does not need bpf(2), in
// direct-action mode, which does not need an action module.

import CMNL
import Glibc

/// The identity of our ingress filter, which drops every frame.
struct IngressDrop: Equatable {
  /// After all of the operator's filters, which keep working.
  static let priority: UInt32 = 0xffff

  var handle: UInt32
}

extension NetlinkSocket {
  /// Handles shared by both possible qdiscs, `ingress` and `clsact`.
  private static let ingressHandle: UInt32 = 0xffff_0000
  private static let ingressParent: UInt32 = 0xffff_fff1
  private static let ingressFilters: UInt32 = 0xffff_fff2
  private static let egressFilters: UInt32 = 0xffff_fff3

  /// Creates a qdisc for ingress filters on the interface.
  ///
  /// - Returns: false if there is one already.
  func addIngressPlace(index: Int32) throws(NetlinkError) -> Bool {
    let request = NetlinkRequest(
      Int(RTM_NEWQDISC), flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, operation: "add clsact", subject: "interface \(index)")
    request.putFamilyHeader(Self.header(index, handle: Self.ingressHandle, parent: Self.ingressParent))
    request.put(Int(TCA_KIND), bytes: Array("clsact".utf8) + [0])
    do {
      try perform(request)
      return true
    } catch  where error.code == EEXIST {
      return false
    }
  }

  /// Removes the qdisc, unless it holds someone else's filter.
  func deleteIngressPlace(index: Int32) throws(NetlinkError) {
    for parent in [Self.ingressFilters, Self.egressFilters] where try !filters(index: index, parent: parent).isEmpty { return }
    let request = NetlinkRequest(Int(RTM_DELQDISC), flags: NLM_F_ACK, operation: "delete clsact", subject: "interface \(index)")
    request.putFamilyHeader(Self.header(index, handle: Self.ingressHandle, parent: Self.ingressParent))
    try perform(request)
  }

  /// Drops everything that the interface receives, after the packet sockets and before bridge, VLANs and IP.
  func add(_ filter: IngressDrop, index: Int32) throws(NetlinkError) {
    let request = NetlinkRequest(
      Int(RTM_NEWTFILTER), flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, operation: "add ingress filter", subject: "interface \(index)")
    request.putFamilyHeader(Self.header(index, filter))
    request.put(Int(TCA_KIND), bytes: Array("bpf".utf8) + [0])
    let drop = sock_filter(code: UInt16(BPF_RET | BPF_K), jt: 0, jf: 0, k: UInt32(TC_ACT_SHOT))
    request.put(
      Int(TCA_OPTIONS),
      bytes: Self.attribute(Int(TCA_BPF_OPS_LEN), UInt16(1)) + Self.attribute(Int(TCA_BPF_OPS), drop)
        + Self.attribute(Int(TCA_BPF_FLAGS), UInt32(TCA_BPF_FLAG_ACT_DIRECT))
        // A NIC that filters in hardware would withhold the frames from the packet socket too.
        + Self.attribute(Int(TCA_BPF_FLAGS_GEN), UInt32(TCA_CLS_FLAGS_SKIP_HW)))
    try perform(request)
  }

  func delete(_ filter: IngressDrop, index: Int32) throws(NetlinkError) {
    let request = NetlinkRequest(
      Int(RTM_DELTFILTER), flags: NLM_F_ACK, operation: "delete ingress filter", subject: "interface \(index)")
    request.putFamilyHeader(Self.header(index, filter))
    request.put(Int(TCA_KIND), bytes: Array("bpf".utf8) + [0])
    try perform(request)
  }

  /// Handles of the interface's ingress filters with our kind and priority.
  func ingressHandles(index: Int32) throws(NetlinkError) -> [UInt32] {
    try filters(index: index, parent: Self.ingressFilters)
      .filter { $0.kind == "bpf" && $0.priority == IngressDrop.priority && $0.handle != 0 }.map(\.handle)
  }

  private func filters(index: Int32, parent: UInt32) throws(NetlinkError) -> [(kind: String, priority: UInt32, handle: UInt32)] {
    let request = NetlinkRequest(Int(RTM_GETTFILTER), flags: NLM_F_DUMP, operation: "list filters", subject: "interface \(index)")
    request.putFamilyHeader(Self.header(index, handle: 0, parent: parent))
    return try dump(request) { message in
      guard let header = message.familyHeader(tcmsg.self), header.tcm_ifindex == index else { return nil }
      let kind = message.attributes(after: tcmsg.self)[Int(TCA_KIND)]?.string ?? ""
      return (kind, header.tcm_info >> 16, header.tcm_handle)
    }
  }

  private static func header(_ index: Int32, handle: UInt32, parent: UInt32, information: UInt32 = 0) -> tcmsg {
    var header = tcmsg()
    header.tcm_ifindex = index
    header.tcm_handle = handle
    header.tcm_parent = parent
    header.tcm_info = information
    return header
  }

  private static func header(_ index: Int32, _ filter: IngressDrop) -> tcmsg {
    header(
      index, handle: filter.handle, parent: ingressFilters,
      information: IngressDrop.priority << 16 | UInt32(UInt16(ETH_P_ALL).bigEndian))
  }

  /// One attribute of a nested attribute, padded.
  private static func attribute(_ type: Int, _ value: some BitwiseCopyable) -> [UInt8] {
    let payload = withUnsafeBytes(of: value) { Array($0) }
    let length = UInt16(4 + payload.count)
    return withUnsafeBytes(of: length) { Array($0) } + withUnsafeBytes(of: UInt16(type)) { Array($0) } + payload
      + [UInt8](repeating: 0, count: -payload.count & 3)
  }
}
