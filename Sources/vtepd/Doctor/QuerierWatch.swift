// QuerierWatch: hears IGMP queries (RFC 3376 section 4.1) on the uplinks. The kernel answers them and does not say that it has heard any;
// without a querier, switches that snoop forget our groups after minutes.

import Encap
import Glibc

/// A raw socket for each uplink. It gets what the kernel's own IGMP gets, so not what the reverse path filter drops.
actor QuerierWatch {
  private struct Ear {
    var descriptor: Int32
    var interfaceIndex: UInt32
    /// Seconds on the monotonic clock.
    var since: Int
    var heard: (address: IPAddress, at: Int)?
  }

  private var ears: [String: Ear] = [:]

  /// Seconds between two looks: as exact as it gets.
  static let interval = 20

  /// Listens on these interfaces, and no others, from now on; and takes what was heard since the last call.
  func listen(on interfaces: [String]) {
    let now = Self.now
    for (name, ear) in ears where !interfaces.contains(name) || if_nametoindex(name) != ear.interfaceIndex {
      close(ear.descriptor)
      ears[name] = nil
    }
    for name in interfaces where ears[name] == nil {
      guard let descriptor = Self.open(name) else { continue }
      ears[name] = Ear(descriptor: descriptor, interfaceIndex: if_nametoindex(name), since: now)
    }
    for name in ears.keys {
      if let address = ears[name].flatMap({ Self.lastQuerier($0.descriptor) }) { ears[name]?.heard = (address, now) }
    }
  }

  func querier(on interface: String) -> DoctorFacts.Querier {
    guard let ear = ears[interface] else { return DoctorFacts.Querier() }
    let now = Self.now
    return DoctorFacts.Querier(
      address: ear.heard?.address, secondsAgo: ear.heard.map { now - $0.at }, listensFor: now - ear.since)
  }

  func stop() {
    for ear in ears.values { close(ear.descriptor) }
    ears = [:]
  }

  private static var now: Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec
  }

  private static func open(_ interface: String) -> Int32? {
    let type = Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let descriptor = socket(AF_INET, type, Int32(IPPROTO_IGMP))
    guard descriptor >= 0 else { return nil }
    guard setsockopt(descriptor, SOL_SOCKET, SO_BINDTODEVICE, interface, socklen_t(interface.utf8.count)) == 0 else {
      close(descriptor)
      return nil
    }
    return descriptor
  }

  /// Reads what has come.
  ///
  /// - Returns: the sender of the latest query; nil: there was none.
  private static func lastQuerier(_ descriptor: Int32) -> IPAddress? {
    var address: IPAddress?
    var packet = [UInt8](repeating: 0, count: 128)
    // Whoever floods the socket is not to keep us here.
    for _ in 0..<1024 {
      let count = recv(descriptor, &packet, packet.count, 0)
      if count < 0 { break }
      address = querier(packet[..<min(count, packet.count)]) ?? address
    }
    return address
  }

  /// The sender of an IPv4 packet with an IGMP membership query (type 0x11); nil: it is none.
  static func querier(_ packet: ArraySlice<UInt8>) -> IPAddress? {
    let packet = Array(packet)
    guard let first = packet.first, first >> 4 == 4 else { return nil }
    let header = Int(first & 0xf) * 4
    guard header >= 20, packet.count > header, packet[9] == 2, packet[header] == 0x11 else { return nil }
    return IPAddress(bytes: Array(packet[12..<16]))
  }
}
