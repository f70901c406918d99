// Counters across scrapes: what is removed and made again, and the series that many objects share.

import Testing

@testable import VTEP
@testable import vtepd

@Suite struct CounterSeriesTests {
  @Test func aCounterThatStartsAnewGoesOn() {
    var series = CounterSeries<String>(width: 2)
    series.update([("a", [5, 10])])
    series.update([])
    series.update([("a", [1, 2])])
    #expect(series.own("a") == [6, 12])
    series.update([("a", [3, 2])])
    #expect(series.own("a") == [8, 12])
  }

  @Test func theBusiestHaveSeriesOfTheirOwn() {
    var series = CounterSeries<UInt32>(width: 2)
    series.update((1...10).map { ($0, [UInt64($0), 0]) }, limit: 3)
    #expect(series.busiest == [8, 9, 10])
    #expect(series.own(10) == [10, 0])
    #expect(series.others == [28, 0])
  }

  @Test func noSeriesEverDecreasesAndTheSumIsExact() {
    var random = SystemRandomNumberGenerator()
    var series = CounterSeries<UInt32>(width: 3)
    var counters: [UInt32: [UInt64]] = [:]
    var total: UInt64 = 0
    var before: [UInt32: [UInt64]] = [:]
    var othersBefore: [UInt64] = [0, 0, 0]
    for _ in 0..<200 {
      for _ in 0..<20 {
        let key = UInt32.random(in: 0..<40, using: &random)
        if UInt8.random(in: 0..<10, using: &random) == 0 {
          counters[key] = nil
        } else {
          let growth = UInt64.random(in: 0..<100, using: &random)
          counters[key, default: [0, 0, 0]][2] += growth
          counters[key, default: [0, 0, 0]][0] += UInt64.random(in: 0..<100, using: &random)
        }
      }
      let previous = series
      series.update(counters.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }, limit: 7)
      #expect(series.busiest.count == min(counters.count, 7))
      for key in series.busiest {
        for (now, last) in zip(series.own(key), before[key] ?? [0, 0, 0]) { #expect(now >= last) }
        before[key] = series.own(key)
      }
      for (now, last) in zip(series.others, othersBefore) { #expect(now >= last) }
      othersBefore = series.others
      // The third counter: what all series have grown by.
      let keys = Set(before.keys).union(counters.keys)
      let grown = keys.reduce(0) { $0 + series.own($1)[2] - previous.own($1)[2] } + series.others[2] - previous.others[2]
      total += grown
      #expect(total == keys.reduce(0) { $0 + series.own($1)[2] } + series.others[2])
    }
  }

  @Test func withRoomForAllNothingIsShared() {
    var series = CounterSeries<UInt32>(width: 2)
    series.update([(2, [1, 1]), (1, [0, 0])], limit: 2)
    #expect(series.busiest == [1, 2] && series.others == [0, 0])
  }

  @Test func whatADeletedEntryHasCountedStaysInItsListsSums() {
    func report(_ counts: [(sequence: Int64?, packets: UInt64)]) -> [ACLReport] {
      let entries = counts.map { count in
        let entry = count.sequence.map { ACLEntry(sequence: $0, direction: .ingress, action: $0 < 10 ? .permit : .deny) }
        return ACLReport.Entry(entry: entry, direction: .ingress, packets: count.packets, bytes: 0)
      }
      return [ACLReport(name: "a", isController: false, bindings: [], routers: [], entries: entries)]
    }
    var totals = ACLTotals()
    #expect(totals.update(report([(1, 5), (10, 7), (11, 1), (nil, 100)])).first?.counters == [105, 8])
    // One entry is gone, one has begun anew.
    #expect(totals.update(report([(1, 6), (11, 1), (nil, 50)])).first?.counters == [156, 8])
    #expect(totals.update(report([(1, 6), (10, 2), (11, 4), (nil, 51)])).first?.counters == [157, 13])
    #expect(totals.update([]).isEmpty && totals.update(report([(1, 6)])).first?.counters == [6, 0])
  }
}
