// Wrong configurations: each must be rejected with every problem at the right line and column. The position of an expected problem
// is marked by » in the text, so the expectation does not depend on how the loader counts.

import Testing

@testable import vtepd

/// A wrong configuration and its problems, in the order of the marks.
struct WrongConfiguration: CustomTestStringConvertible, Sendable {
  var name: String
  var markedText: String
  var messages: [String]

  init(_ name: String, _ markedText: String, _ messages: String...) {
    self.name = name
    self.markedText = markedText
    self.messages = messages
  }

  var testDescription: String { name }

  /// The text without marks, and their positions.
  var parsed: (text: String, positions: [FilePosition]) {
    var text = ""
    var positions: [FilePosition] = []
    var line = 1
    var column = 1
    for scalar in markedText.unicodeScalars {
      if scalar == "»" {
        positions.append(FilePosition(line: line, column: column))
        continue
      }
      text.unicodeScalars.append(scalar)
      (line, column) = scalar == "\n" ? (line + 1, 1) : (line, column + 1)
    }
    return (text, positions)
  }
}

private let underlay = "underlay: {addresses: [192.0.2.1], device: eth0}\n"
private let nic = "underlay: {addresses: [192.0.2.1], dpdk: net_null0, tap: vtep0}\n"

@Suite struct WrongConfigurationTests {
  @Test(
    arguments: Self.fileCases + Self.dataplaneCases + Self.underlayCases + Self.protectionCases + Self.vniCases + Self.portCases
      + Self.ovsdbCases + Self.routerCases + Self.aclCases)
  func isRefusedAtTheRightPlace(_ wrong: WrongConfiguration) throws {
    let (text, positions) = wrong.parsed
    #expect(positions.count == wrong.messages.count, "the test itself: as many marks as messages")
    let error = try #require(throws: ConfigurationError.self) {
      try ConfigurationLoader(hostName: "host").load(text: text, file: "f.yaml")
    }
    #expect(error.problems.count == positions.count, "\(error)")
    for (problem, (position, message)) in zip(error.problems, zip(positions, wrong.messages)) {
      #expect(problem.position == position, "\(error)")
      #expect(problem.message.contains(message), "\(error)")
    }
  }

  static let fileCases = [
    WrongConfiguration("empty", "»", "key 'underlay' is missing"),
    WrongConfiguration("only a comment", "»# nothing\n", "key 'underlay' is missing"),
    WrongConfiguration("only a document mark", "---\n»", "key 'underlay' is missing"),
    WrongConfiguration("a list", "»- a\n- b\n", "the file must be a mapping"),
    WrongConfiguration("plain text", "»hello\n", "the file must be a mapping"),
    WrongConfiguration("unknown key", underlay + "»vniz: []\n", "unknown key 'vniz', did you mean 'vnis'?"),
    WrongConfiguration("unknown key far from all", underlay + "»kubernetes: true\n", "unknown key 'kubernetes'"),
    WrongConfiguration("swapped letters", underlay + "dataplane:\n  »wrokers: 2\n", "did you mean 'workers'?"),
    WrongConfiguration("tab", "underlay:\n»\taddresses: [192.0.2.1]\n", "a tab"),
    WrongConfiguration("unclosed bracket", "underlay: {addresses: [192.0.2.1, device: eth0\n»", "not YAML"),
    WrongConfiguration("bad indentation", "name: a\n mode»: gateway\n", "not YAML"),
    WrongConfiguration("undefined alias", "name: »*nobody\n", "undefined alias"),
    WrongConfiguration("two documents", underlay + "»---\n" + underlay, "another document"),
    WrongConfiguration("control character after CRLF", "name: a\r\nmode: »\u{1}b\n", "not YAML"),
    WrongConfiguration(
      "profile twice, once quoted", underlay + "profiles:\n  100: {mtu: 1400}\n  »\"100\": {mtu: 1500}\n",
      "key '100' is given twice, first in line 3"),
    WrongConfiguration("control character", "name: a»\u{1}b\n", "not YAML"),
    WrongConfiguration("name is a list", "name: »[a]\n" + underlay, "name must be text, not a list"),
    WrongConfiguration("name is nothing", "name:»\n" + underlay, "name must be text, not nothing"),
    WrongConfiguration("mode", "mode: »router\n" + underlay, "mode must be hypervisor or gateway, not 'router'"),
    WrongConfiguration("relative run-dir", "run-dir: »run\n" + underlay, "run-dir must be an absolute path"),
    WrongConfiguration("relative state-dir", "state-dir: »./x\n" + underlay, "state-dir must be an absolute path"),
    WrongConfiguration("metrics without an address", underlay + "metrics: »{vnis: 1}\n", "metrics: key 'listen' is missing, or 'agentx'"),
    WrongConfiguration(
      "a name in metrics", underlay + "metrics: {listen: »\"localhost:9478\"}\n", "listen must be an address and a TCP port"),
    WrongConfiguration("metrics twice at an address", underlay + "metrics: {listen: [\"[::1]:1\", »\"[0::1]:1\"]}\n", "is given twice"),
    WrongConfiguration(
      "duplicate key", "name: a\n" + underlay + "»name: b\n", "key 'name' is given twice, first in line 1"),
    WrongConfiguration(
      "duplicate keys here and there, and more",
      "mode: gateway\n\"name\": x\n»mode: hypervisor\n»\"name\": y\n" + underlay
        + "dataplane:\n  workers: 1\n  »workers: »99\nvnis: »7\n",
      "key 'mode' is given twice, first in line 1", "key 'name' is given twice, first in line 2",
      "key 'workers' is given twice", "workers must be a whole number from 1 to 64", "vnis must be a list"),
    WrongConfiguration(
      "a key three times", "name: a\nname: b\n»name: c\n" + underlay,
      "key 'name' is given twice, first in line 1"
    ).twice("key 'name' is given twice, first in line 2"),
    WrongConfiguration(
      "duplicate key and a syntax error", "name: a\nname: b\nports: [\n»", "did not find expected"),
    WrongConfiguration("key is a list", underlay + "»[a, b]: 1\n", "a key of the file must be text"),
    WrongConfiguration(
      "everything at once",
      "mode: »x\ndataplane: »[]\nunderlay:\n  addresses: [»nowhere]\n  device: eth0\n  ttl: »0\nvnis:\n  - {vni: »-1, flood: none}\nports:\n  - {name: p, kind: »disk, device: d}\n",
      "mode must be", "dataplane must be a mapping", "a VTEP address must be", "ttl must be", "vni must be", "kind must be"),
  ]

  static let dataplaneCases = [
    WrongConfiguration("workers 0", underlay + "dataplane: {workers: »0}\n", "from 1 to 64, not '0'"),
    WrongConfiguration("workers 65", underlay + "dataplane: {workers: »65}\n", "from 1 to 64, not '65'"),
    WrongConfiguration("workers quoted", underlay + "dataplane: {workers: »\"2\"}\n", "not the text '2'"),
    WrongConfiguration("workers hexadecimal", underlay + "dataplane: {workers: »0x2}\n", "whole number"),
    WrongConfiguration("workers octal", underlay + "dataplane: {workers: »010}\n", "whole number"),
    WrongConfiguration("workers a fraction", underlay + "dataplane: {workers: »1.5}\n", "whole number"),
    WrongConfiguration("workers beyond Int", underlay + "dataplane: {workers: »99999999999999999999}\n", "whole number"),
    WrongConfiguration("fewer cores", underlay + "dataplane: {workers: 2, cores: »[1]}\n", "as many as workers: 2, not 1"),
    WrongConfiguration("more cores than the default", underlay + "dataplane: {cores: »[1, 2]}\n", "as many as workers: 1, not 2"),
    WrongConfiguration("core twice", underlay + "dataplane: {workers: 2, cores: [3, »3]}\n", "core 3 is given twice"),
    WrongConfiguration("core no number", underlay + "dataplane: {workers: 1, cores: [»a]}\n", "a core must be"),
    WrongConfiguration("io-core without NIC", underlay + "dataplane: {io-cores: »[1]}\n", "there is no NIC for them; set underlay.dpdk"),
    WrongConfiguration("io-core twice", nic + "dataplane: {io-cores: [3, »3]}\n", "core 3 is given twice"),
    WrongConfiguration("io-core of a worker", nic + "dataplane: {cores: [3], io-cores: »[2, 3]}\n", "core 3 is a worker's already"),
    WrongConfiguration("io-core no number", nic + "dataplane: {io-cores: [»a]}\n", "a core must be"),
    WrongConfiguration("io-cores no list", nic + "dataplane: {io-cores: »1}\n", "io-cores must be a list"),
    WrongConfiguration(
      "many io-cores", nic + "dataplane: {io-cores: »[\((0..<33).map(String.init).joined(separator: ", "))]}\n", "at most 32, not 33"),
    WrongConfiguration("polling", underlay + "dataplane: {polling: »lazy}\n", "polling must be adaptive or busy"),
    WrongConfiguration("hugepages", underlay + "dataplane: {hugepages: »2M}\n", "auto, required or off"),
    WrongConfiguration("memory", underlay + "dataplane: {memory-mb: »31}\n", "memory-mb must be a whole number from 32"),
    WrongConfiguration("small table", underlay + "dataplane: {mac-table-size: »15}\n", "from 16 to 16777216"),
    WrongConfiguration("large table", underlay + "dataplane: {mac-table-size: »16777217}\n", "from 16 to 16777216"),
  ]

  static let underlayCases = [
    WrongConfiguration("underlay is nothing", "underlay:»\n", "key 'addresses' is missing").twice("key 'device' is missing"),
    WrongConfiguration("underlay is text", "underlay: »eth0\n", "underlay must be a mapping"),
    WrongConfiguration("no addresses", "underlay:\n  »device: eth0\n", "key 'addresses' is missing"),
    WrongConfiguration("empty addresses", "underlay: {addresses: »[], device: eth0}\n", "at least one VTEP address"),
    WrongConfiguration("no device", "underlay:\n  »addresses: [192.0.2.1]\n", "key 'device' is missing"),
    WrongConfiguration("empty device list", "underlay: {addresses: [192.0.2.1], device: »[]}\n", "at least one device"),
    WrongConfiguration("device too long", "underlay: {addresses: [192.0.2.1], device: »abcdefghijklmnop}\n", "1 to 15 characters"),
    WrongConfiguration("device with slash", "underlay: {addresses: [192.0.2.1], device: [eth0, »a/b]}\n", "'a/b' is not an interface name"),
    WrongConfiguration("BFD is text", "underlay: {addresses: [192.0.2.1], device: eth0, bfd: »perhaps}\n", "bfd must be true or false"),
    WrongConfiguration("BFD too fast", "underlay: {addresses: [192.0.2.1], device: eth0, bfd: {min-tx-ms: »9}}\n", "min-tx-ms"),
    WrongConfiguration("BFD's form", "underlay: {addresses: [192.0.2.1], device: eth0, bfd: {form: »rfc}}\n", "form"),
    WrongConfiguration(
      "BFD decays to faster", "underlay: {addresses: [192.0.2.1], device: eth0, »bfd: {min-rx-ms: 300, decay-min-rx-ms: 200}}\n",
      "decay-min-rx-ms must be 0 or at least min-rx-ms, which is 300"),
    WrongConfiguration(
      "BFD with ourselves", "underlay: {addresses: [192.0.2.1], device: eth0, bfd: {vteps: [»192.0.2.1]}}\n", "this host's own address"),
    WrongConfiguration(
      "BFD twice", "underlay: {addresses: [192.0.2.1], device: eth0, bfd: {vteps: [192.0.2.2, »192.0.2.2]}}\n", "given twice"),
    WrongConfiguration(
      "seven priorities", "underlay: {addresses: [192.0.2.1], device: eth0, pcp-to-dscp: »[0, 1, 2, 3, 4, 5, 6]}\n", "must have 8 values"),
    WrongConfiguration(
      "wrong DSCPs",
      "underlay: {addresses: [192.0.2.1], device: eth0, pcp-to-dscp: [0, 1, 2, 3, 4, 5, 6, »64], dscp-to-pcp: {»64: 1, 7: »8}}\n",
      "a DSCP must be a whole number from 0 to 63", "from 0 to 63, not '64'", "the priority of DSCP 7 must be a whole number from 0 to 7"),
    WrongConfiguration("device twice", "underlay: {addresses: [192.0.2.1], device: [eth0, »eth0]}\n", "device eth0 is given twice"),
    WrongConfiguration("address with prefix", "underlay: {addresses: [»192.0.2.1/24], device: eth0}\n", "a VTEP address must be"),
    WrongConfiguration("multicast address", "underlay: {addresses: [»239.1.1.1], device: eth0}\n", "it is a multicast address"),
    WrongConfiguration("unspecified address", "underlay: {addresses: [»\"::\"], device: eth0}\n", "it is the unspecified address"),
    WrongConfiguration("loopback address", "underlay: {addresses: [»127.0.0.1], device: eth0}\n", "it is a loopback address"),
    WrongConfiguration("link-local address", "underlay: {addresses: [»\"fe80::1\"], device: eth0}\n", "it is a link-local address"),
    WrongConfiguration(
      "two of a family", "underlay: {addresses: [192.0.2.1, \"2001:db8::1\", »192.0.2.2], device: eth0}\n", "second IPv4 address"),
    WrongConfiguration(
      "offloads", "underlay: {addresses: [192.0.2.1], dpdk: net_null0, tap: vtep0, offloads: »on}\n", "offloads must be auto, off or trust"),
    WrongConfiguration(
      "offloads without dpdk", "underlay: {addresses: [192.0.2.1], device: eth0, »offloads: off}\n", "'offloads' belongs to 'dpdk'"),
    WrongConfiguration("driver", "underlay: {addresses: [192.0.2.1], device: eth0, driver: »dpdk}\n", "driver must be af_packet or af_xdp"),
    WrongConfiguration("dpdk without tap", "underlay: {addresses: [192.0.2.1], »dpdk: \"0000:03:00.0\"}\n", "key 'tap' is missing"),
    WrongConfiguration("tap without dpdk", "underlay: {addresses: [192.0.2.1], »tap: vtep0}\n", "'tap' belongs to 'dpdk'"),
    WrongConfiguration(
      "device and dpdk", "underlay: {addresses: [192.0.2.1], device: eth0, »dpdk: \"0000:03:00.0\"}\n",
      "'dpdk' and 'device' exclude each other"),
    WrongConfiguration(
      "driver and dpdk", "underlay: {addresses: [192.0.2.1], driver: af_packet, »dpdk: net_null0, tap: vtep0}\n",
      "'dpdk' and 'driver' exclude each other"),
    WrongConfiguration(
      "a kernel interface as dpdk", "underlay: {addresses: [192.0.2.1], dpdk: »eth0, tap: vtep0}\n", "belongs in device"),
    WrongConfiguration(
      "half a PCI address", "underlay: {addresses: [192.0.2.1], dpdk: »\"03:00\", tap: vtep0}\n", "is not a PCI address like 0000:03:00.0"),
    WrongConfiguration(
      "blank in devargs", "underlay: {addresses: [192.0.2.1], dpdk: »\"net_null0, size=64\", tap: vtep0}\n", "without blanks"),
    WrongConfiguration("no NIC", "underlay: {addresses: [192.0.2.1], dpdk: »[], tap: vtep0}\n", "at least one NIC"),
    WrongConfiguration("no tap", "underlay: {addresses: [192.0.2.1], dpdk: net_null0, tap: »[]}\n", "at least one tap"),
    WrongConfiguration(
      "two NICs, one tap", "underlay: {addresses: [192.0.2.1], dpdk: [net_null0, net_null1], tap: »vtep0}\n", "each NIC needs a tap"),
    WrongConfiguration(
      "NIC twice", "underlay: {addresses: [192.0.2.1], dpdk: [net_null0, »\"net_null0,size=64\"], tap: [vtep0, vtep1]}\n",
      "dpdk net_null0 is given twice"),
    WrongConfiguration(
      "tap twice", "underlay: {addresses: [192.0.2.1], dpdk: [net_null0, net_null1], tap: [vtep0, »vtep0]}\n", "tap vtep0 is given twice"),
    WrongConfiguration("tap name", "underlay: {addresses: [192.0.2.1], dpdk: net_null0, tap: »a/b}\n", "'a/b' is not an interface name"),
    WrongConfiguration(
      "NIC of a port",
      "underlay: {addresses: [192.0.2.1], dpdk: net_null0, tap: vtep0}\nports: [{name: a, kind: dpdk, devargs: »net_null0}]\n",
      "devargs net_null0 already belongs to the underlay"),
    WrongConfiguration("udp-port", "underlay: {addresses: [192.0.2.1], device: eth0, udp-port: »65536}\n", "from 1 to 65535"),
    WrongConfiguration("ttl 256", "underlay: {addresses: [192.0.2.1], device: eth0, ttl: »256}\n", "from 1 to 255 or inherit"),
    WrongConfiguration("ttl word", "underlay: {addresses: [192.0.2.1], device: eth0, ttl: »inherited}\n", "from 1 to 255 or inherit"),
    WrongConfiguration("multicast-ttl", "underlay: {addresses: [192.0.2.1], device: eth0, multicast-ttl: »0}\n", "from 1 to 255"),
    WrongConfiguration("dscp", "underlay: {addresses: [192.0.2.1], device: eth0, dscp: »64}\n", "from 0 to 63 or inherit"),
    WrongConfiguration("udp-checksum", "underlay: {addresses: [192.0.2.1], device: eth0, udp-checksum: »yes}\n", "auto, on or off"),
    WrongConfiguration(
      "udp6-zero-checksum-rx", "underlay: {addresses: [192.0.2.1], device: eth0, udp6-zero-checksum-rx: »1}\n", "true or false"),
    WrongConfiguration(
      "unknown", "underlay: {addresses: [192.0.2.1], device: eth0, »udp6-zero-checksum: true}\n", "unknown key 'udp6-zero-checksum'"),
  ]

  static let protectionCases = [
    WrongConfiguration("protection", underlay + "protection: »5\n", "protection must be a mapping"),
    WrongConfiguration("moves", underlay + "protection: {mac-move: {moves: »65}}\n", "from 0 to 64, not '65'"),
    WrongConfiguration("window", underlay + "protection: {mac-move: {window-seconds: »0}}\n", "from 1 to 3600, not '0'"),
    WrongConfiguration("hold", underlay + "protection: {mac-move: {hold-seconds: »0}}\n", "from 1 to 86400, not '0'"),
    WrongConfiguration("probe interval", underlay + "protection: {loop-probe: {interval-seconds: »0}}\n", "from 1 to 60, not '0'"),
    WrongConfiguration("probe hold", underlay + "protection: {loop-probe: {hold-seconds: »86401}}\n", "from 1 to 86400, not '86401'"),
    WrongConfiguration("guard's hold", underlay + "protection: {bpdu-guard: {hold-seconds: »0}}\n", "from 1 to 86400, not '0'"),
    WrongConfiguration("unknown guard", underlay + "protection: {»mac-moves: 5}\n", "unknown key 'mac-moves', did you mean 'mac-move'?"),
  ]

  private static func router(_ name: String, _ keys: String, _ messages: String...) -> WrongConfiguration {
    let text = underlay + "vnis: [{vni: 7, flood: none}, {vni: 8, flood: none}]\nrouters: [\(keys)]\n"
    var wrong = WrongConfiguration(name, text)
    wrong.messages = messages
    return wrong
  }

  static let routerCases = [
    router("no name", "»{interfaces: []}", "key 'name' is missing"),
    router("unknown key", "{name: r, »vni: 7}", "unknown key 'vni'"),
    router(
      "address without length", "{name: r, interfaces: [{vni: 7, addresses: [»192.0.2.1]}]}",
      "an address of a router must have a prefix length"),
    router("network's number", "{name: r, interfaces: [{vni: 7, addresses: [»192.0.2.0/24]}]}", "the number of its network"),
    router("broadcast", "{name: r, interfaces: [{vni: 7, addresses: [»192.0.2.255/24]}]}", "the broadcast address of its network"),
    router("no such VNI", "{name: r, interfaces: [»{vni: 9, addresses: [192.0.2.1/24]}]}", "VNI 9 is not configured"),
    router("no address", "{name: r, interfaces: [»{vni: 7, addresses: []}]}", "has no address"),
    router(
      "overlap", "{name: r, interfaces: [{vni: 7, addresses: [192.0.2.1/24]}, {vni: 8, addresses: [»192.0.2.129/25]}]}",
      "overlaps 192.0.2.1/24"),
    router(
      "next hop elsewhere",
      "{name: r, interfaces: [{vni: 7, addresses: [192.0.2.1/24]}], routes: [{prefix: »0.0.0.0/0, via: 203.0.113.1}]}",
      "in none of the router's networks"),
    router(
      "next hop of the other family",
      "{name: r, interfaces: [{vni: 7, addresses: [192.0.2.1/24]}], routes: [{prefix: »'::/0', via: 192.0.2.2}]}",
      "of the other address family"),
    router(
      "route to itself", "{name: r, interfaces: [{vni: 7, addresses: [192.0.2.1/24]}], routes: [{prefix: »0.0.0.0/0, via: 192.0.2.1}]}",
      "is the router itself"),
    router("wrong prefix", "{name: r, routes: [{prefix: »default, via: 192.0.2.2}]}", "must be a prefix"),
    router(
      "two routers with one MAC address",
      "{name: a, mac: '0e:00:00:00:00:01', interfaces: [{vni: 7, addresses: [192.0.2.1/24]}]}, "
        + "{name: b, mac: '0e:00:00:00:00:01', interfaces: [»{vni: 7, addresses: [192.0.2.2/24]}]}",
      "is that of router a in VNI 7"),
    router(
      "no such ACL", "{name: r, interfaces: [{vni: 7, addresses: [192.0.2.1/24], acl: »b}]}", "no access control list 'b'; add it to acls"),
    router("twice", "{name: r}, {name: »r}", "router name 'r' is given twice"),
  ]

  static let vniCases = [
    WrongConfiguration("vnis is a mapping", underlay + "vnis: »{5001: none}\n", "vnis must be a list"),
    WrongConfiguration("vni is a number", underlay + "vnis: [»5001]\n", "VNI must be a mapping"),
    WrongConfiguration("vni missing", underlay + "vnis:\n  - »flood: none\n", "key 'vni' is missing"),
    WrongConfiguration("vni too large", underlay + "vnis:\n  - {vni: »16777216, flood: none}\n", "from 0 to 16777215"),
    WrongConfiguration(
      "vni twice", underlay + "vnis:\n  - {vni: 7, flood: none}\n  - {flood: none, vni: »7}\n", "VNI 7 is given twice"),
    WrongConfiguration("flood", underlay + "vnis:\n  - {vni: 7, flood: »broadcast}\n", "multicast, replicate or none"),
    WrongConfiguration("no group", underlay + "vnis:\n  - {vni: 7, flood: »multicast}\n", "needs a group"),
    WrongConfiguration("no group, no flood", underlay + "vnis:\n  - »vni: 7\n", "flood multicast needs a group"),
    WrongConfiguration("group is no address", underlay + "vnis:\n  - {vni: 7, flood: multicast, group: »all}\n", "group must be"),
    WrongConfiguration("unicast group", underlay + "vnis:\n  - {vni: 7, flood: multicast, group: »192.0.2.9}\n", "not a multicast address"),
    WrongConfiguration(
      "group of another family", underlay + "vnis:\n  - {vni: 7, flood: multicast, group: »\"ff05::1\"}\n",
      "the underlay has no IPv6 address"),
    WrongConfiguration(
      "group for replicate", underlay + "vnis:\n  - {vni: 7, flood: replicate, group: »239.1.1.1}\n", "a group needs flood multicast"),
    WrongConfiguration(
      "peers for multicast", underlay + "vnis:\n  - {vni: 7, group: 239.1.1.1, peers: »[192.0.2.2]}\n", "peers need flood replicate"),
    WrongConfiguration(
      "own address as peer", underlay + "vnis:\n  - {vni: 7, flood: replicate, peers: [192.0.2.2, »192.0.2.1]}\n", "this host's own address"
    ),
    WrongConfiguration(
      "peer twice", underlay + "vnis:\n  - {vni: 7, flood: replicate, peers: [192.0.2.2, 192.0.2.3, »192.0.2.2]}\n", "given twice"),
    WrongConfiguration(
      "multicast peer", underlay + "vnis:\n  - {vni: 7, flood: replicate, peers: [»239.1.1.1]}\n", "peer 239.1.1.1 is a multicast address"),
    WrongConfiguration(
      "peer of another family", underlay + "vnis:\n  - {vni: 7, flood: replicate, peers: [»\"2001:db8::2\"]}\n", "no IPv6 address"),
    WrongConfiguration("peer is nothing", underlay + "vnis:\n  - {vni: 7, flood: replicate, peers: [»~]}\n", "a peer must be"),
    WrongConfiguration("learning", underlay + "vnis:\n  - {vni: 7, flood: none, learning: »on}\n", "true or false"),
    WrongConfiguration("accept-from", underlay + "vnis:\n  - {vni: 7, flood: none, accept-from: »all}\n", "any or peers"),
    WrongConfiguration(
      "accept-from nobody", underlay + "vnis:\n  - {vni: 7, group: 239.1.1.1, accept-from: »peers}\n", "accepts no VTEP"),
    WrongConfiguration(
      "neighbor-suppression", underlay + "vnis:\n  - {vni: 7, flood: none, neighbor-suppression: »on}\n", "off or known"),
    WrongConfiguration(
      "ip of a static mac", underlay + "vnis:\n  - {vni: 7, flood: none, macs: [{mac: '02:00:00:00:00:01', vtep: 192.0.2.9, ip: »x}]}\n",
      "ip must be an IPv4 or IPv6 address"),
    WrongConfiguration("inner-vlan", underlay + "vnis:\n  - {vni: 7, flood: none, inner-vlan: »keep}\n", "discard or carry"),
    WrongConfiguration("ageing", underlay + "vnis:\n  - {vni: 7, flood: none, ageing-seconds: »1000001}\n", "from 0 to 1000000"),
    WrongConfiguration(
      "storm-control", underlay + "vnis:\n  - {vni: 7, flood: none, storm-control: {broadcast: »-1, »multicast: 1}}\n",
      "from 0 to 1000000000, not '-1'", "unknown key 'multicast'"),
    WrongConfiguration("mac-limit", underlay + "vnis:\n  - {vni: 7, flood: none, mac-limit: »-1}\n", "mac-limit must be"),
    WrongConfiguration(
      "static mac incomplete", underlay + "vnis:\n  - vni: 7\n    flood: none\n    macs:\n      - »{ mac: \"02:00:00:00:00:21\" }\n",
      "static mac: key 'vtep' is missing"),
    WrongConfiguration(
      "static mac without a place or an address",
      underlay + "vnis:\n  - vni: 7\n    flood: none\n    macs:\n      - »{ mac: \"02:00:00:00:00:21\", ip: [] }\n",
      "static mac: key 'vtep' is missing"),
    WrongConfiguration(
      "address of a multicast mac", underlay + "vnis:\n  - {vni: 7, flood: none, macs: [{mac: »\"01:00:5e:00:00:01\", ip: 10.0.0.1}]}\n",
      "multicast address"),
    WrongConfiguration(
      "static mac is no mac", underlay + "vnis:\n  - {vni: 7, flood: none, macs: [{mac: »\"02:00:00:00:21\", vtep: 192.0.2.2}]}\n",
      "mac must be a MAC address"),
    WrongConfiguration(
      "static multicast mac", underlay + "vnis:\n  - {vni: 7, flood: none, macs: [{mac: »\"01:00:5e:00:00:01\", vtep: 192.0.2.2}]}\n",
      "is a multicast address"),
    WrongConfiguration(
      "static mac behind ourselves",
      underlay + "vnis:\n  - {vni: 7, flood: none, macs: [{mac: \"02:00:00:00:00:21\", vtep: »192.0.2.1}]}\n", "this host's own address"),
    WrongConfiguration(
      "static mac twice",
      underlay
        + "vnis:\n  - vni: 7\n    flood: none\n    macs:\n      - {mac: \"02:00:00:00:00:21\", vtep: 192.0.2.2}\n      - {mac: »\"02:00:00:00:00:21\", vtep: 192.0.2.3}\n",
      "given twice"),
    WrongConfiguration("unknown key of a VNI", underlay + "vnis:\n  - {vni: 7, flood: none, »ageing: 3}\n", "unknown key 'ageing'"),
  ]

  static let vnis = "vnis: [{vni: 7, flood: none, macs: [{mac: \"02:00:00:00:00:21\", vtep: 192.0.2.2}]}, {vni: 8, flood: none}]\n"

  static let ovsdbCases = [
    WrongConfiguration("ovsdb is text", underlay + "ovsdb: »yes\n", "ovsdb must be a mapping"),
    WrongConfiguration("unknown key of ovsdb", underlay + "ovsdb: {»remote: x}\n", "did you mean 'remotes'?"),
    WrongConfiguration("scheme", underlay + "ovsdb: {remotes: [»\"https:example.net:443\"]}\n", "unknown scheme 'https'"),
    WrongConfiguration("no scheme", underlay + "ovsdb: {remotes: [»db.example.net]}\n", "is not a remote"),
    WrongConfiguration("port", underlay + "ovsdb: {remotes: [»\"tcp:db:70000\"]}\n", "from 1 to 65535"),
    WrongConfiguration("bare IPv6", underlay + "ovsdb: {remotes: [»\"tcp:2001:db8::1:6640\"]}\n", "brackets"),
    WrongConfiguration("relative path", underlay + "ovsdb: {remotes: [»\"unix:db.sock\"]}\n", "absolute"),
    WrongConfiguration("remote twice", underlay + "ovsdb: {remotes: [\"tcp:a\", »\"tcp:a:6640\"]}\n", "given twice"),
    WrongConfiguration("a listener twice", underlay + "ovsdb: {remotes: [\"ptcp:6640\", \"tcp:a\", »\"ptcp:\"]}\n", "is given twice"),
    WrongConfiguration("revocation without certificates", underlay + "ovsdb: {remotes: [\"tcp:a\"], »crl: /c}\n", "crl needs private-key"),
    WrongConfiguration(
      "revocation at our own server", underlay + "ovsdb: {private-key: /k, certificate: /c, ca-certificate: /a, »crl: /r}\n",
      "ovsdb-server cannot check revocation lists"),
    WrongConfiguration("back-off", underlay + "ovsdb: {max-backoff-seconds: »0}\n", "from 1 to 3600"),
    WrongConfiguration("DSCP", underlay + "ovsdb: {dscp: »64}\n", "from 0 to 63"),
    WrongConfiguration(
      "TLS without files", underlay + "ovsdb: {remotes: [\"tcp:a\", »\"ssl:b\"]}\n",
      "ssl:b:6640 needs private-key, certificate and ca-certificate"),
    WrongConfiguration("listening TLS without files", underlay + "ovsdb: {remotes: [»\"pssl:6640\"]}\n", "pssl:6640 needs private-key"),
    WrongConfiguration(
      "one file of three", underlay + "ovsdb: {remotes: [\"ssl:b\"], »certificate: /c}\n",
      "certificate needs private-key and ca-certificate, too"),
    WrongConfiguration(
      "relative file", underlay + "ovsdb: {private-key: /k, certificate: /c, ca-certificate: »ca.pem}\n", "must be an absolute path"),
    WrongConfiguration("a name without TLS", underlay + "ovsdb: {remotes: [\"tcp:a\"], peer-name: »a}\n", "needs a remote with TLS"),
    WrongConfiguration(
      "half a fingerprint",
      underlay + "ovsdb: {remotes: [\"ssl:a\"], private-key: /k, certificate: /c, ca-certificate: /a, peer-name: »\"sha256:0123\"}\n",
      "64 hexadecimal digits"),
    WrongConfiguration("probe", underlay + "ovsdb: {inactivity-probe-seconds: »-1}\n", "from 0 to 3600"),
    WrongConfiguration("hold", underlay + "ovsdb: {stale-hold: »forever}\n", "from 0 to 86400"),
  ]

  static let aclCases = [
    WrongConfiguration("ACL without name", underlay + "acls:\n  - »entries: []\n", "key 'name' is missing"),
    WrongConfiguration("ACL name", underlay + "acls: [{name: »\"a b\"}]\n", "without blanks"),
    WrongConfiguration("ACL twice", underlay + "acls: [{name: a}, {name: »a}]\n", "ACL 'a' is given twice"),
    WrongConfiguration(
      "ACL entry",
      underlay + "acls:\n  - name: a\n    entries:\n      - {direction: »in, action: »drop, »port: 80, source-ip: »10.0.0.0/33}\n",
      "direction must be ingress or egress", "action must be permit or deny", "unknown key 'port'",
      "source-ip must be an IPv4 or IPv6 address"),
    WrongConfiguration(
      "ACL entry alone",
      underlay + "acls:\n  - name: a\n    entries:\n      - »»{protocol: tcp}\n      - »{direction: ingress}\n",
      "key 'direction' is missing", "key 'action' is missing", "key 'action' is missing"),
    WrongConfiguration(
      "contradiction",
      underlay + "acls:\n  - name: a\n    entries:\n      - {direction: ingress, action: deny, destination-ports: »80}\n",
      "ingress entry 10: ports need protocol tcp"),
    WrongConfiguration(
      "sequence twice",
      underlay
        + "acls:\n  - name: a\n    entries:\n      - {sequence: 5, direction: egress, action: deny}\n      - {sequence: 5, direction: ingress, action: deny}\n      - {sequence: »5, direction: egress, action: permit}\n",
      "egress entry 5 is given twice"),
    WrongConfiguration(
      "no such ACL",
      underlay + "acls: [{name: a}]\nports: [{name: p, kind: tap, device: t0, acl: »b, vlan-acls: {7: a, »8: c, »0: a}}]\n",
      "there is no access control list 'b'", "there is no access control list 'c', of VLAN 8", "from 1 to 4094, not '0'"),
  ]

  static let portCases = [
    WrongConfiguration("port without name", underlay + "ports:\n  - »kind: tap\n    device: t0\n", "key 'name' is missing"),
    WrongConfiguration("port without kind", underlay + "ports:\n  - »name: vm1\n    device: t0\n", "key 'kind' is missing"),
    WrongConfiguration("port without device", underlay + "ports:\n  - »name: vm1\n    kind: tap\n", "key 'device' is missing"),
    WrongConfiguration(
      "tpid", underlay + "ports: [{name: vm1, kind: tap, device: t0, tpid: »0x9100}]\n", "tpid must be 0x8100, 0x88a8 or any, not '0x9100'"),
    WrongConfiguration("kind", underlay + "ports: [{name: vm1, kind: »bridge, device: t0}]\n", "kind must be tap, netdev"),
    WrongConfiguration(
      "keys of another kind", underlay + "ports: [{name: vm1, kind: netdev, device: t0, »socket: vm1.sock, »role: client, »queues: 1}]\n",
      "a port of kind netdev has no 'socket'", "a port of kind netdev has no 'role'", "a port of kind netdev has no 'queues'"),
    WrongConfiguration("no socket", underlay + "ports:\n  - »name: vm1\n    kind: vhost-user\n", "key 'socket' is missing"),
    WrongConfiguration(
      "role", underlay + "ports: [{name: vm1, kind: vhost-user, socket: s, role: »master}]\n", "role must be client or server"),
    WrongConfiguration(
      "queues", underlay + "ports: [{name: vm1, kind: vhost-user, socket: s, queues: »0}]\n", "queues must be a whole number from 1 to 64"),
    WrongConfiguration(
      "socket with a comma", underlay + "ports: [{name: vm1, kind: vhost-user, socket: »\"a,b\"}]\n", "is not a valid path"),
    WrongConfiguration(
      "socket of two ports",
      underlay + "ports:\n  - {name: a, kind: vhost-user, socket: s}\n  - {name: b, kind: vhost-user, socket: »s}\n",
      "socket s already belongs to port a"),
    WrongConfiguration("port name", underlay + "ports: [{name: »\"vm 1\", kind: tap, device: t0}]\n", "letters, digits"),
    WrongConfiguration(
      "port name twice", underlay + "ports:\n  - {name: a, kind: tap, device: t0}\n  - {name: »a, kind: tap, device: t1}\n",
      "port name 'a' is given twice"),
    WrongConfiguration(
      "device of two ports", underlay + "ports:\n  - {name: a, kind: tap, device: t0}\n  - {name: b, kind: tap, device: »t0}\n",
      "device t0 already belongs to port a"),
    WrongConfiguration(
      "device of the underlay", underlay + "ports: [{name: a, kind: netdev, device: »eth0}]\n", "already belongs to the underlay"),
    WrongConfiguration("device name", underlay + "ports: [{name: a, kind: tap, device: »abcdefghijklmnop}]\n", "1 to 15 characters"),
    WrongConfiguration("unknown VNI", underlay + vnis + "ports: [{name: a, kind: tap, device: t0, vni: »9}]\n", "VNI 9 is not defined"),
    WrongConfiguration(
      "VLAN to an unknown VNI", underlay + vnis + "ports: [{name: a, kind: tap, device: t0, vlans: {100: »9}}]\n", "VNI 9 of VLAN 100"),
    WrongConfiguration(
      "VLAN 0", underlay + vnis + "ports: [{name: a, kind: tap, device: t0, vlans: {»0: 7}}]\n", "from 1 to 4094, not '0'"),
    WrongConfiguration("VLAN 4095", underlay + vnis + "ports: [{name: a, kind: tap, device: t0, vlans: {»4095: 7}}]\n", "from 1 to 4094"),
    WrongConfiguration(
      "VLAN twice", underlay + vnis + "ports: [{name: a, kind: tap, device: t0, vlans: {100: 7, »100: 8}}]\n", "'100' is given twice"),
    WrongConfiguration(
      "VLAN twice, once quoted", underlay + vnis + "ports: [{name: a, kind: tap, device: t0, vlans: {100: 7, »\"100\": 8}}]\n",
      "key '100' is given twice, first in line 3"),
    WrongConfiguration(
      "vlans is a list", underlay + vnis + "ports: [{name: a, kind: tap, device: t0, vlans: »[100]}]\n", "vlans must be a mapping"),
    WrongConfiguration(
      "macs without vni", underlay + vnis + "ports: [{name: a, kind: tap, device: t0, macs: »[\"02:00:00:00:00:01\"]}]\n", "macs need a vni"
    ),
    WrongConfiguration(
      "mac twice",
      underlay + vnis + "ports: [{name: a, kind: tap, device: t0, vni: 7, macs: [\"02:00:00:00:00:01\", »\"02:00:00:00:00:01\"]}]\n",
      "given twice"),
    WrongConfiguration(
      "mac at two ports",
      underlay + vnis
        + "ports:\n  - {name: a, kind: tap, device: t0, vni: 7, macs: [\"02:00:00:00:00:01\"]}\n  - {name: b, kind: tap, device: t1, vni: 7, macs: [»\"02:00:00:00:00:01\"]}\n",
      "is already behind port a"),
    WrongConfiguration(
      "mac here and behind a VTEP", underlay + vnis + "ports: [{name: a, kind: tap, device: t0, vni: 7, macs: [»\"02:00:00:00:00:21\"]}]\n",
      "is already behind a remote VTEP"),
    WrongConfiguration(
      "zero mac", underlay + vnis + "ports: [{name: a, kind: tap, device: t0, vni: 7, macs: [»\"00:00:00:00:00:00\"]}]\n",
      "is the zero address"),
    WrongConfiguration("offloads", underlay + vnis + "ports: [{name: a, kind: tap, device: t0, vni: 7, offloads: »on}]\n", "auto"),
    WrongConfiguration("mtu", underlay + vnis + "ports: [{name: a, kind: tap, device: t0, vni: 7, mtu: »67}]\n", "from 68 to 65521"),
    WrongConfiguration(
      "mtu of a memif server", underlay + vnis + "ports: [{name: a, kind: memif, socket: s, role: server, vni: 7, mtu: »2027}]\n",
      "role: server has at most 2026; set a smaller one, or use role: client here"),
    WrongConfiguration(
      "queues of a memif client", underlay + vnis + "ports: [{name: a, kind: memif, socket: s, vni: 7, queues: »33}]\n", "at most 32"),
    WrongConfiguration(
      "mtu of a memif client", underlay + vnis + "ports: [{name: a, kind: memif, socket: s, vni: 7, mtu: »16363}]\n",
      "role: client has at most 16362; set a smaller one"),
    WrongConfiguration(
      "unknown key of a port", underlay + "ports: [{name: a, kind: tap, device: t0, »vlan: 5}]\n", "did you mean 'vlans'?"),
    WrongConfiguration(
      "too many ports",
      underlay + "ports:\n" + (1000..<2024).map { "  - {name: p\($0), kind: tap, device: t\($0)}\n" }.joined()
        + "  - {name: »p9999, kind: tap, device: t9999}\n",
      "at most 1024 ports, not 1025"),
    WrongConfiguration(
      "too many ports of DPDK's",
      underlay + "ports:\n" + (10..<41).map { "  - {name: p\($0), kind: memif, socket: s\($0)}\n" }.joined()
        + "  - {name: »p99, kind: memif, socket: s99}\n",
      "dpdk together, not 32"),
  ]
}

extension WrongConfiguration {
  /// The same with a second message at the last mark.
  func twice(_ message: String) -> WrongConfiguration {
    var copy = self
    guard let mark = copy.markedText.lastIndex(of: "»") else { return copy }
    copy.markedText.insert("»", at: mark)
    copy.messages.append(message)
    return copy
  }
}
