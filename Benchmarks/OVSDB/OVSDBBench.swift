// `make bench`: loads a table from a real ovsdb-server as vtepd does, and then changes one row of it. scripts/bench-ovsdb starts
// the server and compares with `ovsdb-client monitor`; the figure that counts is the ratio.

import ArgumentParser
import Glibc
import Logging
import OVSDBClient

@main
struct OVSDBBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ovsdb-bench", abstract: "Loads Ucast_Macs_Remote, then changes single rows of it; prints one JSON object.")

  @Argument(help: "The server, as unix:PATH or tcp:HOST:PORT.")
  var remote: String

  @Option(help: "Single rows to insert and delete again.")
  var changes = 0

  func run() async throws {
    let table = HardwareVTEP.Table.ucastMacsRemote
    var log = Logger(label: "bench")
    log.logLevel = .error
    let clock = ContinuousClock()
    let start = clock.now
    let client = OVSDBClient(
      remotes: [try Remote(parsing: remote)], tls: nil, database: HardwareVTEP.database, columns: [table.rawValue: []], logger: log)
    let running = Task { await client.run() }
    var events = client.events.makeAsyncIterator()
    guard case .connected(let replica)? = await events.next() else { throw CleanExit.message("no connection to \(remote)") }
    let loaded = clock.now - start

    // Another row like the existing ones, repeatedly.
    var latencies: [Duration] = []
    var costs: [Int] = []
    if let model = replica.all(HardwareVTEP.UcastMAC.self, in: table).values.first {
      for number in 0..<changes {
        let mac = HardwareVTEP.UcastMAC(mac: "bench-\(number)", logicalSwitch: model.logicalSwitch, locator: model.locator)
        let before = clock.now
        let results = try await client.transact([mac.insertion(into: table)])
        guard case .changed(let rows, _)? = await events.next(), let id = results.first?.insertedID else { break }
        latencies.append(clock.now - before)
        costs.append(rows.count)
        _ = try await client.transact([.delete(table: table.rawValue, where: [.row(id)])])
        _ = await events.next()
      }
    }
    running.cancel()
    await running.value
    var usage = rusage()
    getrusage(0, &usage)
    let median = latencies.sorted().dropFirst(latencies.count / 2).first.map { $0 / .milliseconds(1) } ?? 0
    print(
      #"{"rows": \#(replica.rowCount), "seconds": \#(loaded / .seconds(1)), "maximum_mb": \#(usage.ru_maxrss / 1024), "#
        + #""change_ms": \#(median), "change_rows": \#(costs.max() ?? 0)}"#)
  }
}
