// ControlFrame: frames that bridges exchange with each other or do not relay: steps E2 and D3, off the fast path. IEEE
// 802.1Q-2018 clause 8.6.3 (reserved addresses) and clause 14 (BPDUs).

extension MACAddress {
  /// `01:80:c2:00:xx:xx` or `01:00:0c:cc:xx:xx`, a mixture of the two, or the same with the U/L bit: perhaps a link-local control frame, a
  /// BPDU or a loop probe. One comparison for all, in the pass over every frame; the exact checks are out of line.
  @inlinable @inline(__always)
  public var mayBeControl: Bool { UInt32(truncatingIfNeeded: bits &>> 16) & 0xfd7f_3133 == 0x0100_0000 }

  /// `01:80:c2:00:00:01` and `:04`, between the two ends of a link (PAUSE, PFC): no bridge relays them, not even one with two
  /// ports (802.1Q table 8-3).
  @inlinable public var isMACControl: Bool { bits == 0x0180_c200_0001 || bits == 0x0180_c200_0004 }
}

/// Classification of control frames by their bytes.
public enum ControlFrame {
  /// Offset of the EtherType, or of the length in its place, behind at most two tags; nil when the frame ends before.
  @inlinable
  public static func typeOffset(_ frame: RawSpan, from start: Int = 0) -> Int? {
    var offset = start + 12
    for _ in 0..<2 {
      guard offset + 2 <= frame.byteCount else { return nil }
      guard EtherType.isTag(frame.big16(offset)) else { return offset }
      offset += EthernetView.tagByteCount
    }
    return offset + 2 <= frame.byteCount ? offset : nil
  }

  /// A BPDU of a bridge (to `01:80:c2:00:00:00`), of a provider bridge (`:08`), or of Cisco's PVST+ (`01:00:0c:cc:cc:cd`).
  @inlinable
  public static func isBPDU(_ frame: RawSpan) -> Bool {
    // A length is followed by LLC addresses: 0x42 is spanning tree, 0xaa is SNAP.
    guard let offset = typeOffset(frame), frame.big16(offset) <= 1500, frame.byteCount >= offset + 10 else { return false }
    switch MACAddress(loading: frame, at: 0).bits {
    case 0x0180_c200_0000, 0x0180_c200_0008: return frame.big16(offset + 2) == 0x4242
    case 0x0100_0ccc_cccd: return frame.big64(offset + 2) == 0xaaaa_0300_000c_010b
    default: return false
    }
  }

  /// Traffic between hosts: IP or ARP, to anything but a link-local group.
  @inlinable
  public static func isGeneralTraffic(_ frame: RawSpan) -> Bool {
    guard let offset = typeOffset(frame) else { return true }
    if MACAddress(loading: frame, at: 0).isLinkLocalControl { return false }
    let type = frame.big16(offset)
    return type == EtherType.ipv4 || type == EtherType.ipv6 || type == EtherType.arp
  }
}
