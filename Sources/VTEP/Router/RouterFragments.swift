// RouterFragments: fragments of packets to a router's own addresses that wait for the others (RFC 791 section 3.2, RFC 8200 section 4.5), of
// one worker, bounded in number and time by DPDK's librte_ip_frag, whose table is made when the first one comes; and where the fragments of a
// packet lie while they are sent. Off the fast path.

import CDPDK
import Encap

struct RouterFragments: ~Copyable {
  /// Packets that are put together at once. Each may have eight fragments, a constant of the library.
  static let packets: UInt32 = 64
  /// As long as Linux waits.
  static let seconds: UInt64 = 30
  /// Fragments of one packet that is sent; of 64 KiB for an MTU of 576 octets.
  static let sentCapacity = 128

  private var table: OpaquePointer?
  /// What the library has no use for any more.
  private let deathRow: UnsafeMutableRawPointer
  private let sent: UnsafeMutablePointer<OpaquePointer?>
  /// Of the last IPv6 packet that the router itself has fragmented. It begins anywhere: other workers and VTEPs send from the same address, and
  /// a host that gets two packets with one identification mixes them up (RFC 8200 section 4.5, RFC 7739).
  private(set) var identification = UInt32.random(in: .min ... .max)
  /// When every fragment that waits now is given up at the latest, in cycles of the time-stamp counter; 0: none waits.
  private var end: UInt64 = 0

  var isWaiting: Bool { end != 0 }

  init() {
    deathRow = .allocate(byteCount: cdpdk_death_row_size(), alignment: 8)
    cdpdk_death_row_clear(deathRow)
    sent = .allocate(capacity: Self.sentCapacity)
  }

  deinit {
    // With the fragments in it.
    if let table { rte_ip_frag_table_destroy(table) }
    deathRow.deallocate()
    sent.deallocate()
  }

  /// Takes memory for fragments to wait in.
  ///
  /// - Returns: false: there is none.
  mutating func prepare() -> Bool {
    // Sixteen buckets of four.
    if table == nil { table = rte_ip_frag_table_create(Self.packets / 4, 4, Self.packets, Self.seconds &* cdpdk_cycles_per_second(), -1) }
    return table != nil
  }

  /// Adds a fragment, which may be the last that was missing.
  ///
  /// - Parameters:
  ///   - interface: `RouterInterface.index` of where it came in: fragments from different VNIs never belong together.
  ///   - headerByteCount: of the IP header; in IPv6 with the fragment header.
  /// - Returns: the whole packet, in several buffers; nil: it is not complete, or the fragment is one too many (`takeRejected`).
  mutating func add(_ mbuf: Mbuf, interface: UInt16, headerByteCount: Int, isIPv6: Bool) -> Mbuf? {
    guard let table else { return mbuf }
    let now = cdpdk_cycles()
    end = now &+ (Self.seconds &+ 1) &* cdpdk_cycles_per_second()
    return cdpdk_reassemble(
      table, deathRow, mbuf.raw, now, UInt16(truncatingIfNeeded: RoutedHeader.offset),
      UInt16(truncatingIfNeeded: headerByteCount), interface, isIPv6 ? 1 : 0
    ).map(Mbuf.init)
  }

  /// Gives up packets that have waited for too long.
  mutating func expire(now: UInt64) {
    guard let table else { return }
    cdpdk_fragments_expire(table, deathRow, now)
    if now > end { end = 0 }
  }

  /// A fragment that is dropped; nil: there is none (left).
  func takeRejected() -> Mbuf? { cdpdk_death_row_take(deathRow).map(Mbuf.init) }

  /// Cuts a packet, which begins with its IP header, into fragments, which `fragment` gives.
  ///
  /// - Parameter mtu: octets of the largest fragment, from its IP header on.
  /// - Returns: how many; 0: there are no buffers, or too many fragments. The caller frees the packet.
  mutating func split(_ mbuf: Mbuf, mtu: Int, isIPv6: Bool, pool: OpaquePointer) -> Int {
    if isIPv6 { identification &+= 1 }
    return max(
      0,
      Int(
        cdpdk_fragment(
          mbuf.raw, sent, UInt16(Self.sentCapacity), UInt16(clamping: mtu), pool, isIPv6 ? identification : 0,
          isIPv6 ? 1 : 0)))
  }

  func fragment(_ position: Int) -> Mbuf? { sent[position].map(Mbuf.init) }
}
