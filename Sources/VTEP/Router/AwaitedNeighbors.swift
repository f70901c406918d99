// AwaitedNeighbors: packets of one worker that wait for the MAC address of their next hop, bounded and in order, and when to ask again. In
// fixed memory. Off the fast path.

import Encap
import MACTable

/// A next hop that was asked for.
struct AwaitedNeighbor {
  var address: IPAddress
  var domain: DomainIndex
  /// Serial of the domain.
  var serial: UInt32
  /// `RouterInterface.index`.
  var interface: UInt16
  /// Requests sent.
  var requests: UInt8
  /// Time-stamp counter at which the next request is due, or the last has failed.
  var deadline: UInt64
  var ingress: PortIndex
  /// Positions of its packets in `packets`, in order; -1: none.
  var first: Int32 = -1
  var last: Int32 = -1
  var packetCount = 0
}

struct AwaitedNeighbors: ~Copyable {
  /// Next hops that one worker waits for, in all and because of one port.
  static let capacity = 256
  static let perPort = 64
  static let packetCapacity = 512
  static let packetsPerNeighbor = 16
  /// Requests for one next hop, a second apart (RFC 1122 section 2.3.2.1, RFC 4861 section 10).
  static let requests: UInt8 = 3

  struct Waiting {
    /// Positions in its interface are those of the snapshot in which it began to wait.
    var packet: RoutedPacket
    /// Serial of the domain that it came in with.
    var serial: UInt32
    var next: Int32
  }

  /// The first `count` are in use, in no order.
  let neighbors: UnsafeMutablePointer<AwaitedNeighbor>
  private let packets: UnsafeMutablePointer<Waiting>
  private(set) var count = 0
  /// The first free place of `packets`, which form a chain.
  private var free: Int32 = 0

  init() {
    neighbors = .allocate(capacity: Self.capacity)
    packets = .allocate(capacity: Self.packetCapacity)
    // `Waiting.next` of a free place is read before anything else was written.
    let bytes = UnsafeMutableRawPointer(packets)
    bytes.initializeMemory(as: UInt8.self, repeating: 0, count: MemoryLayout<Waiting>.stride * Self.packetCapacity)
    for position in 0..<Self.packetCapacity { packets[position].next = position + 1 < Self.packetCapacity ? Int32(position + 1) : -1 }
  }

  deinit {
    for position in 0..<count {
      var place = neighbors[position].first
      while place >= 0 {
        packets[Int(place)].packet.mbuf.free()
        place = packets[Int(place)].next
      }
    }
    neighbors.deallocate()
    packets.deallocate()
  }

  var isEmpty: Bool { count == 0 }

  func position(of address: IPAddress, _ domain: DomainIndex) -> Int? {
    for position in 0..<count where neighbors[position].address == address && neighbors[position].domain == domain { return position }
    return nil
  }

  /// Whether one more next hop may be waited for.
  func hasRoom(for ingress: PortIndex) -> Bool {
    guard count < Self.capacity else { return false }
    var ofPort = 0
    for position in 0..<count where neighbors[position].ingress == ingress { ofPort &+= 1 }
    return ofPort < Self.perPort
  }

  /// - Returns: its position.
  mutating func append(_ neighbor: AwaitedNeighbor) -> Int {
    neighbors[count] = neighbor
    count &+= 1
    return count &- 1
  }

  /// - Returns: false: there is no room.
  mutating func add(_ packet: RoutedPacket, serial: UInt32, at position: Int) -> Bool {
    let neighbor = neighbors + position
    guard free >= 0, neighbor.pointee.packetCount < Self.packetsPerNeighbor else { return false }
    let place = free
    free = packets[Int(place)].next
    packets[Int(place)] = Waiting(packet: packet, serial: serial, next: -1)
    if neighbor.pointee.first < 0 { neighbor.pointee.first = place } else { packets[Int(neighbor.pointee.last)].next = place }
    neighbor.pointee.last = place
    neighbor.pointee.packetCount &+= 1
    return true
  }

  /// The next of a neighbour's packets, which leaves.
  mutating func next(of neighbor: inout AwaitedNeighbor) -> Waiting? {
    guard neighbor.first >= 0 else { return nil }
    let place = neighbor.first
    let waiting = packets[Int(place)]
    neighbor.first = waiting.next
    packets[Int(place)].next = free
    free = place
    return waiting
  }

  /// Frees all packets and forgets their neighbours.
  ///
  /// - Returns: how many packets there were.
  mutating func clear() -> Int {
    var packetCount = 0
    while count > 0 {
      var neighbor = remove(at: count &- 1)
      while let waiting = next(of: &neighbor) {
        waiting.packet.mbuf.free()
        packetCount &+= 1
      }
    }
    return packetCount
  }

  /// Takes a neighbour out; the last one takes its position.
  mutating func remove(at position: Int) -> AwaitedNeighbor {
    let neighbor = neighbors[position]
    count &-= 1
    neighbors[position] = neighbors[count]
    return neighbor
  }
}
