// Session: what every command does with the daemon's answer: ask, then print it as a table or as JSON.

import FoundationEssentials
import VTEPControl

/// How to reach the daemon and how to print.
struct Session {
  var socketPath: String
  var format: OutputFormat
  /// Tables have all columns.
  var isWide: Bool
  var timeoutSeconds: Double

  init(_ root: VTEPCtl, _ options: CommandOptions) {
    socketPath = options.socket ?? root.socket
    format = options.format ?? root.format
    isWide = options.wide || root.wide
    timeoutSeconds = options.timeout ?? root.timeout
  }

  func connect() throws(ControlClientError) -> ControlClient {
    try ControlClient(socketPath: socketPath, timeoutSeconds: timeoutSeconds)
  }

  /// Asks one question.
  func ask<Request: ControlRequest>(_ request: Request) throws(ControlClientError) -> Request.Answer {
    var client = try connect()
    return try client.send(request)
  }

  /// Asks for a change and says whether there was one.
  func change<Request: ControlRequest>(_ request: Request) throws where Request.Answer == ChangeAnswer {
    let answer = try ask(request)
    switch format {
    case .json: try printObject(answer)
    case .table: if !answer.changed { Output.standard.write("unchanged\n") }
    }
  }

  /// Asks for a list that comes in one piece, and prints it.
  func list<Request: ControlRequest, Row>(
    _ request: Request, _ columns: [Column<Row>]
  ) throws where Request.Answer == [Row] {
    let rows = try ask(request)
    var printer = RowPrinter(format: format, columns: columns, isWide: isWide)
    switch format {
    case .table: printer.print(rows)
    case .json: for row in rows { printer.print(try JSONLine.encode(row)) }
    }
    printer.finish()
  }

  /// Prints a list as JSON, a row per line.
  func print(_ rows: [some Encodable]) throws {
    var printer = RowPrinter<Void>(format: .json, columns: [], isWide: isWide)
    for row in rows { printer.print(try JSONLine.encode(row)) }
    printer.finish()
  }

  private static var sortedCount: Int { 10_000 }

  /// Asks for a list page by page, and prints each page as it comes.
  ///
  /// - Parameter areInOrder: a table that people may read, of `sortedCount` rows at most, is printed in this order. Longer ones come as they are
  ///   read: a million rows neither have to be kept nor waited for.
  func list<Request: PagedRequest>(
    _ request: Request, _ columns: [Column<Request.Row>], by areInOrder: ((Request.Row, Request.Row) -> Bool)? = nil
  ) throws {
    var client = try connect()
    var printer = RowPrinter(format: format, columns: columns, isWide: isWide)
    switch format {
    case .table:
      // Nil: rows are printed as they come.
      var first: [Request.Row]? = areInOrder == nil ? nil : []
      try client.forEachPage(of: request) { rows in
        guard let kept = first else {
          printer.print(rows)
          return true
        }
        first = kept + rows
        if kept.count + rows.count > Self.sortedCount {
          printer.print(kept + rows)
          first = nil
        }
        return true
      }
      if let areInOrder, let first { printer.print(first.sorted(by: areInOrder)) }
    case .json:
      try client.forEachPageOfText(of: request) { rows in
        for row in rows { printer.print(row) }
        return true
      }
    }
    printer.finish()
  }

  /// Prints one JSON object.
  func printObject(_ value: some Encodable) throws {
    Output.standard.write(try JSONLine.encode(value))
    Output.standard.write("\n")
  }
}

/// Prints rows as they arrive: one JSON array with a row per line, or one table.
private struct RowPrinter<Row> {
  private let format: OutputFormat
  private var table: Table<Row>
  private var rowCount = 0

  init(format: OutputFormat, columns: [Column<Row>], isWide: Bool) {
    self.format = format
    table = Table(columns, isWide: isWide)
  }

  /// For a table.
  mutating func print(_ rows: [Row]) {
    if !rows.isEmpty { Output.standard.write(table.lines(for: rows)) }
  }

  /// For JSON.
  mutating func print(_ row: Data) {
    Output.standard.write(rowCount == 0 ? "[\n" : ",\n")
    Output.standard.write(row)
    rowCount += 1
  }

  mutating func finish() {
    switch format {
    case .table: Output.standard.write(table.lines(for: []))
    case .json: Output.standard.write(rowCount == 0 ? "[]\n" : "\n]\n")
    }
  }
}
