// ControlLimits: the sizes that both ends of the control socket agree on.

/// Limits of the control protocol.
public enum ControlLimits {
  /// Longest request line in bytes, newline included; `config.apply` carries a whole file.
  public static let requestByteCount = 4 << 20
  /// Longest answer line in bytes that a client accepts.
  public static let answerByteCount = 64 << 20
  /// Most rows that the daemon puts on one page.
  public static let pageRowCount = 4096
  /// Where the daemon listens unless told otherwise.
  public static let defaultSocketPath = "/run/vtepd/vtepd.sock"
}
