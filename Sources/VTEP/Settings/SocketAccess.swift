// SocketAccess: who may connect to a socket that a port serves. Connecting requires write permission, and DPDK creates sockets
// that only root may write to. unix(7), "Pathname socket ownership and permissions".

import Glibc
import Synchronization

enum SocketAccess {
  static let defaultMode: UInt16 = 0o660
  /// The user and group that libvirt runs QEMU as: on Debian and Ubuntu, then on Fedora and RHEL.
  private static let hypervisors = [(user: "libvirt-qemu", group: "kvm"), (user: "qemu", group: "kvm")]

  /// Gives a new socket its owner, group and mode.
  ///
  /// - Returns: a remark for the operator if the hypervisor's user could not be given the socket.
  /// - Throws: `.refused` when the settings name somebody who does not exist, or it is not permitted.
  static func set(_ path: String, _ attachment: PortAttachment, subject: String) throws(VTEPError) -> String? {
    func check(_ result: Int32, _ key: String) throws(VTEPError) {
      guard result != 0 else { return }
      let membership = key == "socket-group" ? "make the daemon's user a member of that group and restart it, " : ""
      throw VTEPError(
        .refused, "\(subject): \(key) of \(path)", VTEPError.errnoText(errno),
        remedy: "\(membership)run as root or with CAP_CHOWN, or leave \(key) out")
    }
    // Before the owner changes: afterwards only the new owner may change the mode.
    let mode = attachment.socketMode ?? defaultMode
    try check(chmod(path, mode_t(mode)), "socket-mode")
    guard attachment.socketOwner != nil || attachment.socketGroup != nil else { return handToHypervisor(path, mode: mode) }
    if let group = attachment.socketGroup {
      guard let id = groupID(group) else { throw unknown("socket-group", "group", group, subject) }
      try check(chown(path, .max, id), "socket-group")
    }
    if let owner = attachment.socketOwner {
      guard let id = userID(owner) else { throw unknown("socket-owner", "user", owner, subject) }
      try check(chown(path, id, .max), "socket-owner")
    }
    return nil
  }

  private static func handToHypervisor(_ path: String, mode: UInt16) -> String? {
    for (owner, id, user, group) in hypervisorAccounts() {
      if chown(path, owner, id) == 0 { return nil }
      // Another owner takes CAP_CHOWN. A group that the daemon's user is a member of does not, chown(2), and is as good if it may write.
      if mode & 0o020 != 0, chown(path, .max, id) == 0 { return nil }
      let reason = VTEPError.errnoText(errno)
      return "\(path) stays our own, and \(user) cannot connect: \(reason) (it takes membership in group \(group), or CAP_CHOWN)"
    }
    return nil
  }

  private typealias Account = (owner: uid_t, id: gid_t, user: String, group: String)

  /// Which of the hypervisors' accounts exist, as of the last ten seconds: a look-up may ask a directory on the network, or go through
  /// all of systemd's, and a thousand ports have the same question.
  private static func hypervisorAccounts() -> [Account] {
    latest.withLock { latest in
      let now = MonotonicClock.seconds()
      if let latest, now - latest.second < 10 { return latest.accounts }
      let accounts = hypervisors.compactMap { user, group -> Account? in
        guard let owner = userID(user), let id = groupID(group) else { return nil }
        return (owner, id, user, group)
      }
      latest = (now, accounts)
      return accounts
    }
  }

  private static let latest = Mutex<(second: UInt32, accounts: [Account])?>(nil)

  private static func unknown(_ key: String, _ kind: String, _ name: String, _ subject: String) -> VTEPError {
    VTEPError(.refused, "\(subject): \(key)", "there is no \(kind) '\(name)'", remedy: "create it, or give another name or a number")
  }

  private static func userID(_ name: String) -> uid_t? { uid_t(name) ?? getpwnam(name)?.pointee.pw_uid }

  private static func groupID(_ name: String) -> gid_t? { gid_t(name) ?? getgrnam(name)?.pointee.gr_gid }
}
