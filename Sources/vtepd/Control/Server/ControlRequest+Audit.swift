// ControlRequest+Audit: what the log says about a change: the request with its parameters, and the result.

import VTEPControl

extension ControlRequest {
  /// The method and the parameters, on one line; a file's text is left out.
  var auditText: String {
    switch self {
    case let request as ApplyConfiguration: return request.auditText
    case let request as SavedConfiguration: return "\(Self.method) \(request.file)"
    default: break
    }
    guard let parameters = try? JSONLine.encode(self) else { return Self.method }
    let text = String(decoding: parameters, as: UTF8.self).onOneLine
    let limit = 500
    return "\(Self.method) " + (text.count > limit ? text.prefix(limit) + "…" : text)
  }
}

extension ApplyConfiguration {
  fileprivate var auditText: String {
    Self.method + (replace == true ? " --replace" : "") + (confirmSeconds.map { " --confirm \($0)" } ?? "") + " \(file.onOneLine)"
  }
}

extension Encodable {
  /// Of an answer.
  var auditText: String {
    switch self {
    case let answer as ChangeAnswer: return answer.changed ? "changed" : "unchanged"
    case let answer as ConfigurationAnswer: return answer.summary
    default: return "done"
    }
  }
}

extension ConfigurationAnswer {
  /// The first changes, and how many there are.
  var summary: String {
    let shown = 20
    guard !changes.isEmpty || !needsRestart.isEmpty else { return "unchanged" }
    let more = changes.count > shown ? ["and \(changes.count - shown) more changes"] : []
    return (changes.prefix(shown) + more + needsRestart.map { "\($0) after a restart" }).joined(separator: ", ")
  }
}
