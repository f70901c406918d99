// Table: rows as aligned columns for people. Widths come from the rows seen first, so that a long list can stream. With usual rows a table is no
// wider than 120 characters: what is asked for rarely needs `--wide`, and long lists are cut without it.

/// One column: its heading and the text of a row in it.
struct Column<Row> {
  var title: String
  var isNumber = false
  /// Whether it is there only with `--wide`.
  var isExtra = false
  /// The argument is true with `--wide`.
  var text: (Row, Bool) -> String

  init(_ title: String, _ text: @escaping (Row) -> String) {
    self.title = title
    self.text = { row, _ in text(row) }
  }

  init(number title: String, _ text: @escaping (Row) -> String) {
    self.init(title, text)
    isNumber = true
  }

  /// A list, of which the first elements are shown without `--wide`.
  init(list title: String, _ elements: @escaping (Row) -> [String]) {
    self.title = title
    text = { row, isWide in isWide ? elements(row).listed : elements(row).shortlisted }
  }

  /// The same column, only with `--wide`.
  var extra: Column<Row> {
    var column = self
    column.isExtra = true
    return column
  }
}

/// A table that is printed part by part.
struct Table<Row> {
  private let columns: [Column<Row>]
  private let isWide: Bool
  private var widths: [Int] = []

  init(_ columns: [Column<Row>], isWide: Bool) {
    self.columns = columns.filter { isWide || !$0.isExtra }
    self.isWide = isWide
  }

  /// The lines of further rows, headings first.
  mutating func lines(for rows: [Row]) -> String {
    let cells = rows.map { row in columns.map { $0.text(row, isWide) } }
    var lines: [[String]] = cells
    if widths.isEmpty {
      lines.insert(columns.map(\.title), at: 0)
      widths = columns.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
    }
    return lines.map(line).joined()
  }

  private func line(_ cells: [String]) -> String {
    var line = ""
    for (index, cell) in cells.enumerated() {
      let padding = String(repeating: " ", count: max(widths[index] - cell.count, 0))
      line += columns[index].isNumber ? padding + cell : cell + padding
      line += "  "
    }
    while line.last == " " { line.removeLast() }
    return line + "\n"
  }
}

extension Optional {
  /// For tables: an absent value is a dash.
  var orDash: String { map { "\($0)" } ?? "-" }
}

extension Array {
  /// For tables: elements with commas, or a dash for none.
  var listed: String { isEmpty ? "-" : map { "\($0)" }.joined(separator: ",") }
}

extension [String] {
  /// As many elements as fit into 30 characters, at least one, and how many more there are: `web1,web2 +17`.
  fileprivate var shortlisted: String {
    guard var text = first else { return "-" }
    for (index, element) in enumerated().dropFirst() {
      if text.count + 1 + element.count > 30 { return "\(text) +\(count - index)" }
      text += "," + element
    }
    return text
  }
}
