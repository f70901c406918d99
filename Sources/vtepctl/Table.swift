// Table: rows as aligned columns for people. Widths come from the rows seen first, so that a long list can stream.

/// One column: its heading and the text of a row in it.
struct Column<Row> {
  var title: String
  var isNumber: Bool
  var text: (Row) -> String

  init(_ title: String, _ text: @escaping (Row) -> String) {
    self.title = title
    isNumber = false
    self.text = text
  }

  init(number title: String, _ text: @escaping (Row) -> String) {
    self.title = title
    isNumber = true
    self.text = text
  }
}

/// A table that is printed part by part.
struct Table<Row> {
  private let columns: [Column<Row>]
  private var widths: [Int] = []

  init(_ columns: [Column<Row>]) {
    self.columns = columns
  }

  /// The lines of further rows, headings first.
  mutating func lines(for rows: [Row]) -> String {
    let cells = rows.map { row in columns.map { $0.text(row) } }
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
