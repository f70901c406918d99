// Rates of drop counters, from one look to the next.

import Testing
import VTEPControl

@testable import vtepctl

@Suite struct DropWatchTests {
  private func row(_ reason: String, _ place: String, _ count: UInt64) -> DropRow {
    DropRow(reason: reason, place: place, count: count, description: "")
  }

  @Test func growthPerSecondFastestFirst() {
    var watch = DropWatch([row("a", "vm1", 10), row("a", "vm2", 5), row("b", "vm1", 0)])
    let rates = watch.rates([row("a", "vm1", 12), row("a", "vm2", 5), row("b", "vm1", 8), row("c", "vm3", 2)], seconds: 2, all: false)
    #expect(rates.map(\.row.reason) == ["b", "a", "c"] && rates.map(\.row.place) == ["vm1", "vm1", "vm3"])
    #expect(rates.map(\.perSecond) == [4, 1, 1])
    #expect(watch.rates([row("a", "vm1", 12)], seconds: 1, all: false).isEmpty)
  }

  @Test func allCountersAndOneThatStartsAnew() {
    var watch = DropWatch([row("a", "vm1", 10), row("b", "vm1", 3)])
    let rates = watch.rates([row("a", "vm1", 4), row("b", "vm1", 3)], seconds: 0.5, all: true)
    #expect(rates.map(\.perSecond) == [8, 0])
  }
}
