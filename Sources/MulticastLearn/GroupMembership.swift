// GroupMembership: this VTEP's multicast groups and the VNIs that use them (RFC 7348 §4.2). It joins a group on each underlay
// interface for the first VNI, and leaves it with the last.

import Encap
import Glibc

/// The VTEP's memberships in the calling thread's network namespace. Not for concurrent use.
///
/// A failed join is not an error: it is recorded, shown in `memberships`, and retried by `retry()`.
/// All groups are left when the object is destroyed.
public final class GroupMembership {
  /// One group on one interface.
  public struct Membership: Equatable, Sendable {
    public var group: IPAddress
    /// VNIs that use the group, ascending.
    public var vnis: [VNI]
    public var interfaceIndex: Int32
    public var isJoined: Bool
    /// Why the group is not joined.
    public var error: FloodError?
  }

  private typealias Join = KernelGroups.Entry

  private enum State {
    case joined(GroupSocket)
    /// errno.
    case failed(Int32)
  }

  private var vnisOfGroup: [IPAddress: Set<VNI>] = [:]
  private var interfaces: [Int32] = []
  private var states: [Join: State] = [:]
  /// The kernel limits the memberships per socket (20 for IPv4 by default), so there are as many sockets as needed.
  private(set) var sockets: [GroupSocket] = []

  public init() {}

  /// Adds a VNI to the users of a group. Does nothing if it is one already.
  /// - Throws: if the address is not a group that other hosts can join.
  public func add(vni: VNI, group: IPAddress) throws(FloodError) {
    try FloodMode.multicast(group: group).validate(ownAddresses: [])
    vnisOfGroup[group, default: []].insert(vni)
    for interfaceIndex in interfaces { join(Join(group: group, interfaceIndex: interfaceIndex)) }
  }

  /// Removes a VNI from the users of a group; after the last one, the group is left. Does nothing if it is not a user.
  public func remove(vni: VNI, group: IPAddress) {
    guard vnisOfGroup[group]?.remove(vni) != nil, vnisOfGroup[group]?.isEmpty == true else { return }
    vnisOfGroup[group] = nil
    for interfaceIndex in interfaces { leave(Join(group: group, interfaceIndex: interfaceIndex)) }
  }

  /// Sets the interfaces on which to join groups. A missing interface is skipped until it returns: it may return with its old index
  /// and must then be joined again.
  public func setInterfaces(_ indexes: [Int32]) {
    let old = interfaces
    interfaces = []
    for index in indexes where !interfaces.contains(index) { interfaces.append(index) }
    for group in vnisOfGroup.keys {
      for index in old where !interfaces.contains(index) { leave(Join(group: group, interfaceIndex: index)) }
      for index in interfaces { join(Join(group: group, interfaceIndex: index)) }
    }
  }

  /// Retries the failed joins, for example after an interface changed.
  /// - Returns: the number that still fail.
  @discardableResult
  public func retry() -> Int {
    for (key, state) in states {
      if case .failed = state { join(key) }
    }
    return states.values.count { if case .failed = $0 { true } else { false } }
  }

  /// Rejoins groups that the kernel has dropped: an interface that disappeared and returned with its old index, or lost IP (an MTU
  /// too small for it, `disable_ipv6`), is in no group, whatever our sockets report.
  /// - Returns: the groups that were missing, now joined or failed.
  @discardableResult
  public func verify() -> [IPAddress] {
    let missing = droppedJoins
    for key in missing {
      leave(key)
      join(key)
    }
    return missing.map(\.group)
  }

  /// Groups that our sockets have joined and the kernel has dropped.
  public func missing() -> [(group: IPAddress, interfaceIndex: Int32)] { droppedJoins.map { ($0.group, $0.interfaceIndex) } }

  private var droppedJoins: [Join] {
    var missing: [Join] = []
    for isIPv4 in [true, false] where sockets.contains(where: { $0.isIPv4 == isIPv4 }) {
      guard let present = KernelGroups.read(isIPv4: isIPv4) else { continue }
      for (key, state) in states where key.group.isIPv4 == isIPv4 && !present.contains(key) {
        if case .joined = state { missing.append(key) }
      }
    }
    return missing
  }

  /// The groups in use by VNIs.
  public var groups: [IPAddress: Set<VNI>] { vnisOfGroup }

  /// What `show multicast` shows, by group and interface.
  public var memberships: [Membership] {
    states.map { key, state in
      var error: FloodError?
      if case .failed(let code) = state {
        error = .joinFailed(group: key.group, interfaceIndex: key.interfaceIndex, code: code)
      }
      return Membership(
        group: key.group, vnis: (vnisOfGroup[key.group] ?? []).sorted(),
        interfaceIndex: key.interfaceIndex, isJoined: error == nil, error: error)
    }.sorted { ($0.group, $0.interfaceIndex) < ($1.group, $1.interfaceIndex) }
  }

  private func join(_ key: Join) {
    if case .joined = states[key] { return }
    var code: Int32 = 0
    for socket in sockets where socket.isIPv4 == key.group.isIPv4 && !socket.isFull {
      code = socket.join(key.group, interfaceIndex: key.interfaceIndex)
      if code == 0 { states[key] = .joined(socket) }
      // Only try the next socket if this one is full.
      if !socket.isFull { break }
    }
    if case .joined = states[key] { return }
    if code == 0 || code == ENOBUFS || code == ENOMEM { code = joinOnNewSocket(key) }
    if code != 0 { states[key] = .failed(code) }
  }

  private func joinOnNewSocket(_ key: Join) -> Int32 {
    guard let socket = GroupSocket(isIPv4: key.group.isIPv4) else { return errno }
    let code = socket.join(key.group, interfaceIndex: key.interfaceIndex)
    guard code == 0 else { return code }
    sockets.append(socket)
    states[key] = .joined(socket)
    return 0
  }

  private func leave(_ key: Join) {
    if case .joined(let socket)? = states.removeValue(forKey: key) {
      socket.leave(key.group, interfaceIndex: key.interfaceIndex)
      if socket.count == 0 { sockets.removeAll { $0 === socket } }
    }
  }
}
