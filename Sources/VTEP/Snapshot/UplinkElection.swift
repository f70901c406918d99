// UplinkElection: accepts each flooded packet once when several uplinks deliver it. Groups are joined on every uplink; for each
// sender and group, the uplink that delivers first is elected. Another takes its place when the elected one is down or has
// been silent for a while. See docs/decisions/0017.

import CDPDK
import Encap
import MACTable
import Synchronization

/// The elected uplink of each (sender, group). Shared by all workers, which change it by compare and exchange.
struct UplinkElection: @unchecked Sendable {
  /// Slots in a set; the least recently heard one is replaced.
  private static let ways = 4
  private static let sets = 4096
  /// Cycles in a unit of time, as a power of two: about half a millisecond.
  private static let unitShift: UInt64 = 20
  private static let tagShift: UInt64 = 44

  /// From high to low: 20 bits of the key's hash, never 0; 12 bits port; 32 bits time. 0 = free.
  private let words: UnsafeMutablePointer<Atomic<UInt64>>
  /// How long an elected uplink may be silent while another one delivers: a second.
  private let patience = Int32(truncatingIfNeeded: cdpdk_cycles_per_second() &>> unitShift)

  init() {
    words = .allocate(capacity: Self.sets * Self.ways)
    for index in 0..<Self.sets * Self.ways { (words + index).initialize(to: Atomic(0)) }
  }

  /// Becomes what another election is at this moment, so that a question to this one changes nothing in the other.
  func imitate(_ other: UplinkElection) {
    for index in 0..<Self.sets * Self.ways { words[index].store(other.words[index].load(ordering: .relaxed), ordering: .relaxed) }
  }

  /// Whether to accept the packet. False: another uplink delivers what this sender floods.
  func takes(from source: IPAddress, to group: IPAddress, at port: PortIndex, ports: UnsafePointer<PortEntry>) -> Bool {
    takes(Self.hash(source, group), at: port, ports: ports, now: UInt32(truncatingIfNeeded: cdpdk_cycles() &>> Self.unitShift))
  }

  /// - Parameter now: in units of 2^20 cycles.
  func takes(_ hash: UInt64, at port: PortIndex, ports: UnsafePointer<PortEntry>, now: UInt32) -> Bool {
    // A NIC of DPDK receives on while its tap is down, and another uplink delivers the packet, too.
    guard ports[Int(port)].isUp else { return false }
    let set = words + Int(hash & UInt64(Self.sets - 1)) * Self.ways
    let tag = hash &>> Self.tagShift | 1
    let elected = tag &<< Self.tagShift | UInt64(port.rawValue) &<< 32 | UInt64(now)
    while true {
      var place = set
      var word = place.pointee.load(ordering: .relaxed)
      for way in 1..<Self.ways where word &>> Self.tagShift != tag {
        let other = (set + way).pointee.load(ordering: .relaxed)
        if other &>> Self.tagShift == tag || Self.age(other, now) > Self.age(word, now) {
          place = set + way
          word = other
        }
      }
      if word &>> Self.tagShift == tag {
        let holder = PortIndex(UInt16(truncatingIfNeeded: word &>> 32) & 0xfff)
        let age = Self.age(word, now)
        if holder == port, age <= 0 { return true }
        if holder != port, age < patience, ports[Int(holder)].isUp, ports[Int(holder)].isUnderlay { return false }
      }
      // Another worker may have been faster: then its choice stands.
      if place.pointee.compareExchange(expected: word, desired: elected, ordering: .relaxed).exchanged { return true }
    }
  }

  /// A free slot is the oldest. Workers' clocks differ slightly: an age may be below 0.
  private static func age(_ word: UInt64, _ now: UInt32) -> Int32 {
    word == 0 ? .max : Int32(bitPattern: now &- UInt32(truncatingIfNeeded: word))
  }

  private static func hash(_ source: IPAddress, _ group: IPAddress) -> UInt64 {
    mixed(mixed(mixed(mixed(0, source.high), source.low), group.high), group.low)
  }

  @inline(__always)
  private static func mixed(_ hash: UInt64, _ part: UInt64) -> UInt64 {
    let product = (hash ^ part) &* 0x9e37_79b9_7f4a_7c15
    return product ^ product &>> 29
  }
}
