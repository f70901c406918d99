// Every seed runs through its target again, without libFuzzer. Among the suites that share DPDK's environment, because the
// data-plane targets use it.

import Testing

@testable import VTEPTests

extension FuzzTarget: CustomTestStringConvertible {
  var testDescription: String { name }
}

extension DataplaneTests {
  @Suite("Fuzz targets")
  struct SeedReplayTests {
    @Test("kept inputs", arguments: FuzzTarget.all)
    func replay(_ target: FuzzTarget) throws {
      let input = GuardedInput()
      let seeds = try target.seeds()
      #expect(!seeds.isEmpty, "no seeds for \(target.name)")
      for seed in seeds {
        do {
          try seed.bytes.withUnsafeBytes { try input.run(target, on: $0) }
        } catch {
          Issue.record("\(seed.name): \(error)")
        }
      }
    }

    @Test("a target notices what it is there for")
    func finding() {
      let target = FuzzTarget(name: "false") { try require($0.isEmpty, "\($0.count) octets") }
      #expect(throws: Finding.self) { try [1, 2].withUnsafeBytes { try GuardedInput().run(target, on: $0) } }
    }

    @Test("captures are read as written")
    func capture() throws {
      let capture = Capture(linkType: Capture.inputs, packets: [[], [1], [2, 3, 4]])
      let again = try #require(Capture(reading: capture.bytes))
      #expect(again.packets == capture.packets && again.linkType == capture.linkType)
      for count in 0..<24 { #expect(Capture(reading: Array(capture.bytes[..<count])) == nil) }
      #expect(Capture(reading: Array(capture.bytes.dropLast())) == nil)
    }
  }
}
