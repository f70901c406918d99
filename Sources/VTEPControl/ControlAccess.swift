// ControlAccess: whether a command only reads, and so who may use it.

/// What a client may do. Full access includes reading.
public enum ControlAccess: Int, Comparable, Sendable, CaseIterable {
  case read, change

  public static func < (left: ControlAccess, right: ControlAccess) -> Bool { left.rawValue < right.rawValue }
}
