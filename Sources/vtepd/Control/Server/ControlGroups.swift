// ControlGroups: who may use the control socket. Members of `vtepd` have full access, members of `vtepd-view` may read; the
// kernel identifies a client. Without these groups (a daemon from a build tree) only the socket's file mode decides.

import Glibc
import VTEPControl

/// The groups of the system that the control socket knows.
struct ControlGroups: Equatable, Sendable {
  static let changeName = "vtepd"
  static let viewName = "vtepd-view"

  /// nil: there is no such group.
  var change: gid_t?
  var view: gid_t?

  /// The groups as they are now in the group database.
  static var ofSystem: ControlGroups {
    ControlGroups(change: identifier(of: changeName), view: identifier(of: viewName))
  }

  private var exist: Bool { change != nil || view != nil }

  /// If groups decide, everybody may connect, so that a refused client learns which group to join; otherwise owner and group.
  var socketMode: mode_t { exist ? 0o666 : 0o660 }

  /// nil: nothing at all.
  func access(of peer: ControlPeer) -> ControlAccess? {
    guard exist, peer.user != 0, peer.user != geteuid() else { return .change }
    if let change, peer.groups.contains(change) { return .change }
    if let view, peer.groups.contains(view) { return .read }
    return nil
  }

  /// The message for a client without permission.
  ///
  /// - Parameter command: the method; nil: the client has no access at all.
  static func refusal(_ command: String?, needs access: ControlAccess, user: uid_t) -> ControlError {
    let name = ControlPeer.name(of: user) ?? "USER"
    let group = access == .change ? changeName : viewName
    let members =
      switch (command, access) {
      case (nil, _): "\(viewName) (may look) and \(changeName) (may change)"
      case (_, .change): changeName
      case (_, .read): "\(viewName) or \(changeName)"
      }
    return ControlError(
      .permissionDenied,
      "permission denied: \(command ?? "vtepd's control socket") is for members of group \(members): "
        + "sudo usermod -aG \(group) \(name), and log in again")
  }

  private static func identifier(of name: String) -> gid_t? {
    var entry = group()
    var found: UnsafeMutablePointer<group>?
    var buffer = [CChar](repeating: 0, count: 1 << 16)
    return getgrnam_r(name, &entry, &buffer, buffer.count, &found) == 0 && found != nil ? entry.gr_gid : nil
  }
}
