// What `config save` makes of a file: values that differ are replaced where they stand, the rest stays.

import Encap
import Testing
import VTEP

@testable import vtepd

@Suite struct FileMergeTests {
  private let loader = ConfigurationLoader(hostName: "h")
  private let head = "# Site A\nunderlay: { addresses: [192.0.2.1], device: eth0 } # uplink\n"

  private func load(_ text: String) throws -> Configuration { try loader.load(text: text, file: "f") }

  /// The text after a change, without the head.
  private func merged(_ text: String, _ edit: (inout Configuration) throws -> Void) throws -> FileMerge {
    let old = try load(head + text)
    var new = old
    try edit(&new)
    new.desired.resolveProfiles()
    var merge = try FileMerge(head + text, saying: old, toSay: new, loader: loader)
    #expect(try load(merge.text) == new)
    guard merge.lostComments == nil else { return merge }
    #expect(merge.text.hasPrefix(head))
    merge.text = String(merge.text.dropFirst(head.count))
    return merge
  }

  private let vni = VNI(truncating: 5001)

  private let lists = """
    # All networks
    vnis:
      # red
      - vni: 5001 # since May
        flood: none

        # blue
      - vni: 5002
        flood: replicate
        peers: # both
          - 192.0.2.2
          - 192.0.2.3
        mac-limit: 7 # few

    # All ports
    ports:
      - { name: vm1, kind: tap, device: tap1, vni: 5001 } # Anna's
      - name: vm2
        kind: tap
        device: tap2
        vni: 5002
    # The end
    """ + "\n"

  @Test func nothingChanges() throws {
    let merge = try merged(lists) { _ in }
    #expect(merge.text == lists && merge.lostComments == nil)
  }

  @Test func valuesAreReplacedWhereTheyStand() throws {
    let merge = try merged(lists) { new in
      new.desired.vnis[VNI(truncating: 5002)]?.macLimit = 8
      new.desired.vnis[VNI(truncating: 5002)]?.flood = .replicate(peers: [IPAddress(ipv4: 0xc000_0202)])
      new.desired.vnis[vni]?.learning = false
      new.desired.ports["vm1"]?.options.isIsolated.own = true
      new.desired.ports["vm2"]?.options.vni = vni
    }
    #expect(merge.lostComments == nil)
    #expect(
      merge.text
        == lists.replacing("    flood: none\n", with: "    flood: none\n    learning: false\n")
        .replacing("    peers: # both\n      - 192.0.2.2\n      - 192.0.2.3\n", with: "    peers: [192.0.2.2]\n")
        .replacing("mac-limit: 7 # few", with: "mac-limit: 8 # few")
        .replacing(
          "- { name: vm1, kind: tap, device: tap1, vni: 5001 } # Anna's",
          with: "- {name: vm1, kind: tap, device: tap1, vni: 5001, isolated: true} # Anna's"
        )
        .replacing("vni: 5002\n# The end", with: "vni: 5001\n# The end"))
  }

  @Test func elementsComeAndGo() throws {
    let merge = try merged(lists) { new in
      new.desired.vnis[VNI(truncating: 5003)] = VNISettings(vni: VNI(truncating: 5003), flood: .none)
      new.desired.vnis[vni] = nil
      new.desired.ports["vm1"] = nil
      new.desired.ports["vm3"] = PortSettings(name: "vm3", kind: .tap, device: "tap3")
    }
    #expect(merge.lostComments == nil)
    #expect(
      merge.text
        == lists.replacing("  # red\n  - vni: 5001 # since May\n    flood: none\n", with: "")
        .replacing("few\n", with: "few\n  - vni: 5003\n    flood: none\n")
        .replacing("  - { name: vm1, kind: tap, device: tap1, vni: 5001 } # Anna's\n", with: "")
        .replacing("vni: 5002\n# The end", with: "vni: 5002\n  - name: vm3\n    kind: tap\n    device: tap3\n# The end"))
  }

  @Test func listsBegin() throws {
    for text in ["", "vnis:\n", "vnis: []\n", "vnis: ~ # none\n", "vnis:\n# The end"] {
      let merge = try merged(text) { new in new.desired.vnis[vni] = VNISettings(vni: vni, flood: .none) }
      #expect(merge.lostComments == nil && merge.text.contains("vnis:\n  - vni: 5001\n    flood: none\n"), "\(text): \(merge)")
    }
  }

  @Test func sectionsChange() throws {
    let text = "dataplane:\n  workers: 1 # few\n  memory-mb: 512\nprotection: { bpdu-guard: { hold-seconds: 9 } }\nmode: gateway\n"
    let merge = try merged(text) { new in
      new.dataplane.workers = 2
      new.dataplane.macTableSize = 1024
      new.desired.protection.bpduGuard.holdSeconds = 10
      new.name = "other: host"
    }
    #expect(merge.lostComments == nil)
    #expect(
      merge.text.hasPrefix(
        "dataplane:\n  workers: 2 # few\n  memory-mb: 512\n  mac-table-size: 1024\nprotection: {bpdu-guard: {hold-seconds: 10}}\n"))
    #expect(merge.text.hasSuffix("mode: gateway\nname: \"other: host\"\n"), "\(merge.text)")
  }

  @Test func linesWithCarriageReturnsAndWithoutAnEnd() throws {
    let text = "vnis:\r\n  - vni: 5001\r\n    flood: none"
    let merge = try merged(text) { new in
      new.desired.vnis[vni]?.macLimit = 3
      new.desired.vnis[VNI(truncating: 5002)] = VNISettings(vni: VNI(truncating: 5002), flood: .none)
    }
    #expect(
      merge.lostComments == nil && merge.text.hasPrefix("vnis:\r\n  - vni: 5001\r\n    flood: none\n    mac-limit: 3\n  - vni: 5002\n"),
      "\(merge)")
  }

  /// An anchor that goes with its value, a file in one line, aliases: written anew, never wrong.
  @Test(arguments: [
    "vnis:\n  - { vni: 5001, flood: replicate, peers: &all [192.0.2.2] }\n  - { vni: 5002, flood: replicate, peers: *all }\n",
    "x: 1\n",
  ])
  func whatCannotBeMergedIsWrittenAnew(_ text: String) throws {
    guard !text.hasPrefix("x") else {
      let line = "{ underlay: { addresses: [192.0.2.1], device: eth0 }, vnis: [] }\n"
      var new = try load(line)
      new.desired.vnis[vni] = VNISettings(vni: vni, flood: .none)
      let merge = try FileMerge(line, saying: try load(line), toSay: new, loader: loader)
      #expect(try merge.lostComments != nil && load(merge.text) == new)
      return
    }
    let merge = try merged(text) { new in new.desired.vnis[vni]?.flood = .none }
    #expect(merge.lostComments != nil)
  }

  /// Whatever changes, the result says it.
  @Test(arguments: 0..<50) func randomChangesAreMade(seed: Int) throws {
    var random = SeededGenerator(seed: UInt64(seed))
    let (old, new) = (random.configuration(), random.configuration())
    let merge = try FileMerge(try old.yaml(), saying: old, toSay: new, loader: loader)
    #expect(try load(merge.text) == new)
  }
}
