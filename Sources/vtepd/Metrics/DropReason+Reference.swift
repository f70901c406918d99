// DropReason+Reference: every drop reason as a table in Markdown, for docs/drop-reasons.md (scripts/reference writes and checks the page).

import Encap

extension DropReason {
  /// In the order in which a frame meets the checks. The remedy under a controller is a line of its own where it differs.
  static var reference: String {
    let rows = allCases.map { reason in
      let other = reason.descriptionUnderController
      let more = other == reason.description ? "" : "<br>Under a controller: \(cell(other))"
      let untraced = reason.untraceable.map { "<br>`trace` does not name it: \(cell($0))" } ?? ""
      return "| `\(reason.name)` | \(cell(reason.description))\(more)\(untraced) |\n"
    }
    return "| reason | what happened; what to do |\n|---|---|\n" + rows.joined()
  }

  private static func cell(_ text: String) -> String {
    text.replacing("|", with: "\\|")
  }
}
