// VTEPTable: remote VTEPs and multicast groups by address, and the indexes that the data plane knows them by. Lists of VTEPs and tunnels
// with a key of their own take indexes of the same kind. A value; see PortTable.

import Encap
import MACTable
import Netlink

/// A remote VTEP or a multicast group.
struct VTEPRecord {
  var index: VTEPIndex
  var address: IPAddress
  /// Named by the operator (peer, static address, group); others are forgotten when nothing is known behind them.
  var isConfigured: Bool
  var route: Route?
  var sinceSeconds: UInt32

  var isGroup: Bool { address.isMulticast }
}

struct VTEPTable {
  private(set) var records: [IPAddress: VTEPRecord] = [:]
  private var indexes = IndexPool<VTEPIndex>(limit: Limits.vteps)

  /// A VTEP that nobody names and behind which nothing is known is kept for this long.
  private static let idleSeconds: UInt32 = 60

  subscript(address: IPAddress) -> VTEPRecord? { records[address] }
  var values: Dictionary<IPAddress, VTEPRecord>.Values { records.values }
  var keys: Dictionary<IPAddress, VTEPRecord>.Keys { records.keys }

  /// The record of a VTEP or group, made if there is none.
  ///
  /// - Returns: nil when the table is full.
  mutating func enter(
    _ address: IPAddress, isConfigured: Bool, nowSeconds: UInt32, stale: inout StaleState
  ) -> (record: VTEPRecord, isNew: Bool)? {
    if let record = records[address] {
      if isConfigured && !record.isConfigured { records[address]?.isConfigured = true }
      return (records[address] ?? record, false)
    }
    guard let index = takeIndex(stale: &stale) else { return nil }
    let record = VTEPRecord(index: index, address: address, isConfigured: isConfigured, sinceSeconds: nowSeconds)
    records[address] = record
    return (record, true)
  }

  /// An index for a VTEP, a list or a tunnel. Nil when all are in use.
  mutating func takeIndex(stale: inout StaleState) -> VTEPIndex? {
    guard let index = indexes.take() else { return nil }
    stale.adjacencies = true
    // The table may name an index only after every worker has it.
    stale.hasNewIndexes = true
    return index
  }

  mutating func setRoute(_ route: Route?, to address: IPAddress) { records[address]?.route = route }

  /// VTEPs that the operator no longer names live on as long as something is known behind them; groups are forgotten at once.
  ///
  /// - Returns: the indexes of those.
  mutating func unconfigure(allBut configured: Set<IPAddress>, stale: inout StaleState) -> [VTEPIndex] {
    var groups: [IPAddress] = []
    for (address, record) in records where record.isConfigured && !configured.contains(address) {
      records[address]?.isConfigured = false
      if record.isGroup { groups.append(address) }
    }
    return forget(groups, stale: &stale)
  }

  /// VTEPs that only the data plane named, and long enough ago to be forgotten if nothing is known behind them.
  func unconfigured(nowSeconds: UInt32) -> [VTEPRecord] {
    records.values.filter { !$0.isConfigured && nowSeconds &- $0.sinceSeconds > Self.idleSeconds }
  }

  /// Forgets VTEPs.
  ///
  /// - Returns: their indexes, which are in use until `giveBack`.
  mutating func forget(_ addresses: [IPAddress], stale: inout StaleState) -> [VTEPIndex] {
    let gone = addresses.compactMap { records.removeValue(forKey: $0)?.index }
    stale.goneVTEPs.formUnion(gone)
    return gone
  }

  /// No worker and no entry of the MAC table names the index any more.
  mutating func giveBack(_ index: VTEPIndex) { indexes.giveBack(index) }
}
