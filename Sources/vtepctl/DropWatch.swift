// DropWatch: `vtepctl show drops --watch`, what is dropped now: from one look at the counters to the next.

import Glibc
import VTEPControl

/// A drop counter and how fast it grows.
struct DropRateRow: Encodable, Equatable {
  var row: DropRow
  /// Since the last look.
  var perSecond: Double

  static var columns: [Column<DropRateRow>] {
    [
      Column("REASON") { $0.row.reason },
      Column("WHERE") { $0.row.place },
      Column(number: "PER SECOND") { "\(($0.perSecond * 10).rounded() / 10)" },
      Column(number: "COUNT") { "\($0.row.count)" },
      Column("DESCRIPTION") { $0.row.description },
    ]
  }

  enum CodingKeys: String, CodingKey {
    case perSecond = "per_second"
  }

  func encode(to encoder: any Encoder) throws {
    try row.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(perSecond, forKey: .perSecond)
  }
}

/// Counters at the last look.
struct DropWatch {
  private struct Place: Hashable {
    var reason: String
    var place: String
  }

  private var last: [Place: UInt64] = [:]

  init(_ rows: [DropRow]) {
    for row in rows { last[Place(reason: row.reason, place: row.place)] = row.count }
  }

  /// What has been dropped since the last look, fastest first.
  ///
  /// - Parameters:
  ///   - seconds: since then.
  ///   - all: also counters that have not moved.
  mutating func rates(_ rows: [DropRow], seconds: Double, all: Bool) -> [DropRateRow] {
    let rates = rows.map { row in
      let before = last.updateValue(row.count, forKey: Place(reason: row.reason, place: row.place)) ?? 0
      // A counter that is less than before belongs to a daemon, or a port, that has started anew.
      let growth = row.count >= before ? row.count - before : row.count
      return DropRateRow(row: row, perSecond: Double(growth) / seconds)
    }
    return rates.filter { all || $0.perSecond > 0 }.sorted {
      ($1.perSecond, $0.row.reason, $0.row.place) < ($0.perSecond, $1.row.reason, $1.row.place)
    }
  }

  /// Looks again and again, until the process is interrupted or nobody reads any more.
  static func run(_ session: Session, _ request: ShowDrops, interval: Double) throws {
    let clock = ContinuousClock()
    var watch = DropWatch(try session.ask(request))
    var before = clock.now
    while true {
      usleep(UInt32(interval * 1_000_000))
      let rows = try session.ask(request)
      let now = clock.now
      let passed = before.duration(to: now).components
      before = now
      let rates = watch.rates(rows, seconds: Double(passed.seconds) + Double(passed.attoseconds) / 1e18, all: request.all)
      switch session.format {
      case .json: try session.printObject(rates)
      case .table:
        var table = Table(DropRateRow.columns, isWide: session.isWide)
        Output.standard.write(rates.isEmpty ? "nothing dropped\n" : table.lines(for: rates))
        Output.standard.write("\n")
      }
      Output.standard.flush()
    }
  }
}
