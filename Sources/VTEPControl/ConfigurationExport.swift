// ConfigurationExport: the file of `vtepctl config export`: two configurations as they are, each behind a line with its length, so that people
// and diff can read it and nothing in it has to be quoted.

/// The daemon's file and what runs.
public struct ConfigurationExport: Equatable, Sendable {
  public var saved: String
  public var running: String

  private static let title = "%% vtepd configuration export 1"
  private static let end = "%% end"

  public init(saved: String, running: String) {
    self.saved = saved
    self.running = running
  }

  public var text: String {
    let parts = [("saved", saved), ("running", running)].map { "%% \($0) \($1.utf8.count)\n\($1)\n" }
    return ([Self.title + "\n"] + parts + [Self.end + "\n"]).joined()
  }

  /// nil: it is something else, or not all of it is there.
  public init?(text: String) {
    var rest = Array(text.utf8)[...]
    func line() -> String? {
      guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
      defer { rest = rest[(end + 1)...] }
      return String(decoding: rest[..<end], as: UTF8.self)
    }
    func part(_ name: String) -> String? {
      let words = line()?.split(separator: " ") ?? []
      guard words.count == 3, words[0] == "%%", words[1] == name, let count = Int(words[2]), count >= 0, count < rest.count else {
        return nil
      }
      let text = String(validating: rest.prefix(count), as: UTF8.self)
      rest = rest.dropFirst(count)
      return line() == "" ? text : nil
    }
    guard line() == Self.title, let saved = part("saved"), let running = part("running"), line() == Self.end, rest.isEmpty else {
      return nil
    }
    self.init(saved: saved, running: running)
  }
}
