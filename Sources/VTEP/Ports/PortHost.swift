// PortHost: what port drivers need from the daemon.

import Encap
import Netlink

/// What port drivers need from the daemon.
struct PortHost {
  let runtime: DPDKRuntime
  let netlink: NetlinkSocket
  /// Host name; MAC addresses are derived from it.
  let hostName: String
  /// Folder of sockets with relative paths.
  let runDirectory: String
  /// Guest MTU in bytes with which encapsulated frames fit the underlay.
  let guestMTU: Int
  /// Paths of sockets that the daemon's ports serve.
  let ownSockets: Set<String>
  /// Receives devices' change reports.
  let mailbox: Mailbox
  /// Tells when workers are done with what they have read.
  let rcu: OpaquePointer
  let interfaceUsers: InterfaceUsersOnce
  let tapStore: TapStore

  /// The absolute path of a socket.
  func path(_ socket: String) -> String {
    socket.hasPrefix("/") ? socket : "\(runDirectory)/\(socket)"
  }

  func link(_ name: String, subject: String) throws(VTEPError) -> Link? {
    try VTEPError.wrap(subject) { () throws(NetlinkError) in try netlink.link(named: name) }
  }

  /// The MAC address of a port's own end: locally administered, and the same after a restart, so that the guest's
  /// neighbours need not resolve it again.
  func stableMAC(port: String) -> MACAddress { Self.stableMAC(host: hostName, port: port) }

  static func stableMAC(host: String, port: String) -> MACAddress {
    MACAddress(bits: (hash("\(host)/\(port)") & 0x00ff_ffff_ffff) | 0x0200_0000_0000)
  }

  /// FNV-1a: stable between runs, which Swift's Hasher is not.
  static func hash(_ text: String) -> UInt64 {
    text.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }
  }
}
