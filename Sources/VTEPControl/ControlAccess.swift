// ControlAccess: whether each command only reads, and so who may use it. The only such list: a command without an entry does not
// compile.

/// What a client may do. Full access includes reading.
public enum ControlAccess: Int, Comparable, Sendable, CaseIterable {
  case read, change

  public static func < (left: ControlAccess, right: ControlAccess) -> Bool { left.rawValue < right.rawValue }
}

extension GetStatus { public static let access = ControlAccess.read }
extension ShowMACTable { public static let access = ControlAccess.read }
extension ShowMACMoves { public static let access = ControlAccess.read }
extension ShowVNIs { public static let access = ControlAccess.read }
extension ShowVTEPs { public static let access = ControlAccess.read }
extension ShowPorts { public static let access = ControlAccess.read }
extension ShowBindings { public static let access = ControlAccess.read }
extension ShowDrops { public static let access = ControlAccess.read }
extension ShowMulticast { public static let access = ControlAccess.read }
extension ShowUnderlay { public static let access = ControlAccess.read }
extension ShowWorkers { public static let access = ControlAccess.read }
extension ShowOVSDB { public static let access = ControlAccess.read }
extension ShowTransactions { public static let access = ControlAccess.read }
extension ReleaseHold { public static let access = ControlAccess.change }
extension ShowConfiguration { public static let access = ControlAccess.read }
// Compares a text with what runs, and changes nothing.
extension CheckConfiguration { public static let access = ControlAccess.read }

extension ApplyConfiguration { public static let access = ControlAccess.change }
extension AddMAC { public static let access = ControlAccess.change }
extension DeleteMAC { public static let access = ControlAccess.change }
extension FlushMACs { public static let access = ControlAccess.change }
extension AddVNI { public static let access = ControlAccess.change }
extension SetVNI { public static let access = ControlAccess.change }
extension DeleteVNI { public static let access = ControlAccess.change }
extension AddPeer { public static let access = ControlAccess.change }
extension DeletePeer { public static let access = ControlAccess.change }
extension AddPort { public static let access = ControlAccess.change }
extension SetPort { public static let access = ControlAccess.change }
extension PreparePort { public static let access = ControlAccess.change }
extension DeletePort { public static let access = ControlAccess.change }
extension AddBinding { public static let access = ControlAccess.change }
extension DeleteBinding { public static let access = ControlAccess.change }
