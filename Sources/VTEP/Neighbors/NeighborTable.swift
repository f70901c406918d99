// NeighborTable: which MAC address each IP address of a bridge domain has, as far as the operator, the controller and the
// stations' own ARP and ND say (RFC 826, RFC 5227, RFC 4861). Here is the writers' side; workers read through `NeighborReader`.

import Encap
import Glibc
import MACTable
import Synchronization

/// The neighbours of all bridge domains: lock-free readers, one writer at a time (a lock sees to that).
///
/// Memory is fixed, and the kernel provides it only as entries come. Stations can invent addresses, so one of them has at most
/// `addressesPerStation`, and what is configured takes the place of what was learned when the table is full.
///
/// Times are seconds of the workers' monotonic clock.
final class NeighborTable: Sendable {
  /// For the workers; valid as long as the table lives.
  let reader: NeighborReader
  let capacity: Int
  private let writer: Mutex<NeighborWriter>

  /// A learned address is forgotten when no station has claimed it for this long.
  static let learnedSeconds: UInt32 = 300
  /// An address that was seen with two MAC addresses is contested for this long after the other one was seen last: the window in which
  /// EVPN looks for duplicates (RFC 9161 section 3.7).
  static let contestSeconds: UInt32 = 180
  /// Learned addresses of one station.
  static let addressesPerStation = 64

  /// - Parameter capacity: entries, 1 to 2^28.
  /// - Throws: `VTEPError` when there is no memory.
  init(capacity: Int, secrets: HashSecrets = HashSecrets()) throws(VTEPError) {
    self.capacity = capacity
    var headCount = 64
    while headCount < capacity { headCount *= 2 }
    reader = NeighborReader(
      heads: try Self.allocate(headCount), next: try Self.allocate(capacity + 1), words: try Self.allocate(capacity * 4 + 4),
      lastSeen: try Self.allocate(capacity + 1), changes: try Self.allocate(8), headMask: UInt64(headCount - 1), secrets: secrets)
    let records: UnsafeMutablePointer<NeighborRecord> = try Self.allocate(capacity + 1)
    writer = Mutex(NeighborWriter(reader: reader, capacity: capacity, records: records))
  }

  deinit {
    writer.withLock { free($0.records) }
    free(reader.heads)
    free(reader.next)
    free(reader.words)
    free(reader.lastSeen)
    free(reader.changes)
  }

  /// Zeroed memory: the kernel provides pages when they are first written.
  private static func allocate<Element: ~Copyable>(_ count: Int) throws(VTEPError) -> UnsafeMutablePointer<Element> {
    guard let block = calloc(count, MemoryLayout<Element>.stride) else {
      throw VTEPError(.environment, "neighbour table", "no memory for \(count) entries", remedy: "lower dataplane.mac-table-size")
    }
    return block.bindMemory(to: Element.self, capacity: count)
  }

  var count: Int { writer.withLock { $0.count } }

  /// Entries, and those of them that are contested.
  var totals: (known: Int, contested: Int) { writer.withLock { ($0.count, $0.contestedCount) } }

  /// Observations that the full table refused, or that were one too many for their station.
  var refusedCount: UInt64 { writer.withLock { $0.refusedCount } }

  /// Enters, replaces or withdraws what the operator or the controller says.
  ///
  /// - Parameters:
  ///   - mac: nil: that source says nothing any more.
  ///   - source: `file` or `controller`.
  ///   - isAmbiguous: the source names several MAC addresses for this address; `mac` is one of them.
  /// - Returns: false: the table is full of such entries.
  @discardableResult
  func state(_ key: InnerNeighborKey, mac: MACAddress?, by source: NeighborSources, isAmbiguous: Bool = false) -> Bool {
    writer.withLock { $0.state(key, mac: mac, by: source, isAmbiguous: isAmbiguous) }
  }

  /// Notes that a station has claimed an address in ARP or ND.
  ///
  /// - Parameters:
  ///   - source: `local` or `overlay`.
  ///   - role: what the station has told of itself; `unknown`: nothing now.
  func observe(
    _ key: InnerNeighborKey, mac: MACAddress, by source: NeighborSources, role: NeighborRole = .unknown, nowSeconds: UInt32
  ) {
    writer.withLock { $0.observe(key, mac: mac, by: source, role: role, nowSeconds: nowSeconds) }
  }

  /// Where the table differs from what the file and the controller ought to have stated.
  func differences(file: [InnerNeighborKey: MACAddress], controller: [InnerNeighborKey: MACAddress]) -> [NeighborDifference] {
    writer.withLock { $0.differences([.file: file, .controller: controller]) }
  }

  /// Forgets everything about a domain.
  func forget(_ domain: DomainIndex) { writer.withLock { $0.remove { $0.key.domain == domain } } }

  /// Forgets what was learned of stations: those of a domain, or all.
  func forgetLearned(_ domain: DomainIndex? = nil) { writer.withLock { $0.forgetLearned(domain) } }

  /// Forgets learned addresses that nobody has claimed for long, and ends contests.
  ///
  /// - Parameter nodes: so many entries at most; the next call goes on from there.
  func sweep(nodes: Int, nowSeconds: UInt32) { writer.withLock { $0.sweep(nodes: nodes, nowSeconds: nowSeconds) } }

  /// A page of entries, in no particular order.
  ///
  /// - Parameter cursor: 0 for the first page; `nextCursor` of a page for the following one.
  func page(from cursor: Int, limit: Int) -> (entries: [NeighborEntry], nextCursor: Int?) {
    writer.withLock { $0.page(from: cursor, limit: limit) }
  }
}

/// An entry with all that its sources say, for reports.
struct NeighborEntry: Sendable {
  var key: InnerNeighborKey
  var neighbor: InnerNeighbor
  /// When a station last claimed the address; nil: none has.
  var seenSeconds: UInt32?
}

/// An address for which the table does not have what it ought to. A MAC address of zero stands for none.
struct NeighborDifference: Sendable {
  var key: InnerNeighborKey
  /// `file` or `controller`.
  var source: NeighborSources
  var intended: MACAddress
  var actual: MACAddress
}
