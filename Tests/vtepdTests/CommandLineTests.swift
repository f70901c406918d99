// vtepctl as a process against a control server: exit statuses, tables, JSON, paging, and a reader that disconnects.

import Foundation
import Testing
import VTEPControl

@testable import vtepd

/// The results of a run of vtepctl.
private struct Run: CustomStringConvertible {
  var status: Int32
  var output: String
  var errors: String

  var description: String { "status \(status)\n\(output.prefix(2000))\n\(errors)" }

  /// Runs the vtepctl built with this test.
  init(_ arguments: [String], shell script: String? = nil) throws {
    let bundle = try #require(CommandLine.arguments.first)
    let executable = URL(filePath: bundle).deletingLastPathComponent().appending(path: "vtepctl")
    let process = Process()
    process.executableURL = script == nil ? executable : URL(filePath: "/bin/bash")
    process.arguments = script.map { ["-c", $0, executable.path] + arguments } ?? arguments
    let output = Pipe()
    let errors = Pipe()
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    self.output = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    self.errors = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    status = process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
  }
}

@Suite(.serialized) struct CommandLineTests {
  private func words(_ text: String) -> [String] { text.split(separator: " ").map(String.init) }

  /// Runs `vtepctl --socket PATH …`.
  private func run(_ path: String, _ arguments: String) throws -> Run {
    try Run(["--socket", path] + words(arguments))
  }

  @Test(arguments: [
    "", "bogus", "show", "show bogus", "mac", "--format xml status", "--timeout 0 status", "--timeout nan status", "status --wait=-1",
    "status extra", "mac add --vni 1 --mac m", "mac add --vni 1 --mac m --port p --vtep a", "mac add --vni x --mac m --port p",
    "mac add --vni 1 --mac m --vtep a --vlan 3", "mac delete --vni 1", "vni add", "vni add --vni 1 --flood all", "vni delete",
    "vni delete x", "peer add 192.0.2.2", "peer delete --vni 1", "port add --name p --kind bridge --device d",
    "port add --name p --kind tap --device d --vlan 0:1", "port add --name p --kind tap --device d --vlan 5",
    "port add --name p --kind tap --device d --vlan 5:1 --vlan 5:2", "port delete", "config check", "config check /nonexistent/f.yaml",
    "binding add --port p --vlan 0 --vni 1", "binding add --port p --vlan 4095 --vni 1", "binding add --vlan 1 --vni 1",
    "binding add --port p --vlan 1", "binding delete", "binding delete --port p --vlan x", "show bindings --vni x",
    "acl", "acl add", "acl add a --action deny", "acl add a --direction ingress", "acl add a --direction in --action deny", "acl delete",
    "acl bind a", "acl bind --port p", "acl bind a --port p --vlan 0", "acl unbind",
    "completions", "completions tcsh", "show mac-table --type dynamic", "show mac-table --vni -1",
  ])
  func usageErrorsAreTwo(_ arguments: String) throws {
    let result = try Run(words(arguments))
    #expect(result.status == 2, "\(result)")
    #expect(result.output.isEmpty && !result.errors.isEmpty, "\(result)")
  }

  @Test func helpAndCompletionsSucceed() throws {
    for arguments in ["--help", "help", "show --help", "mac add --help", "completions bash", "completions zsh", "completions fish"] {
      let result = try Run(words(arguments))
      #expect(result.status == 0 && result.output.contains("vtepctl") && result.errors.isEmpty, "\(arguments): \(result)")
    }
  }

  @Test func unreachableDaemonIsThree() throws {
    let directory = try ScratchDirectory()
    for arguments in ["status", "status --wait 0.1", "show vnis", "vni delete 5", "--timeout 1 show mac-table"] {
      let result = try run(directory.socketPath, arguments)
      #expect(result.status == 3 && result.output.isEmpty && result.errors.contains("is vtepd running?"), "\(arguments): \(result)")
    }
    // A daemon that accepts and does not answer.
    let silent = try ControlSocket(path: directory.socketPath)
    let result = try run(directory.socketPath, "--timeout 0.2 status")
    #expect(result.status == 3 && result.errors.contains("no answer within 0.2 s"), "\(result)")
    withExtendedLifetime(silent) {}
  }

  @Test func refusalsAreOne() async throws {
    try await withServer(handler: RecordingHandler()) { path throws in
      for (arguments, message) in [
        ("vni delete 9", "there is no VNI 9"), ("vni delete 5001", "bound to: bm1, vm1"), ("vni add --vni 16777216", "vni 16777216"),
        ("peer add --vni 5002 nowhere", "address 'nowhere'"), ("peer delete --vni 5002 192.0.2.77", "no peer"),
        ("port delete nothing", "no port 'nothing'"), ("binding delete --port bm1 --vlan 7", "does not bind VLAN 7"),
        ("binding add --port bm1 --vlan 100 --vni 5002", "already binds VLAN 100 to VNI 5001"),
        ("port set bm1 --tpid 0x9100", "tpid must be 0x8100, 0x88a8 or any"), ("mac add --vni 5001 --mac m --vtep 192.0.2.2", "mac 'm'"),
        ("mac delete --vni 1 --mac m", "no such entry"), ("show workers", "cannot encode the answer"),
      ] {
        let result = try run(path, arguments)
        #expect(result.status == 1 && result.output.isEmpty && result.errors.contains(message), "\(arguments): \(result)")
      }
    }
  }

  @Test func changesAreMadeAndReportedOnce() async throws {
    let handler = try RecordingHandler()
    try await withServer(handler: handler) { path throws in
      for arguments in [
        "vni add --vni 7 --flood replicate --peer 192.0.2.7 --peer 192.0.2.8 --no-learning --accept-from peers --inner-vlan carry --ageing-seconds 9 --mac-limit 8 --storm-broadcast 70 --neighbor-suppression known",
        "port add --name x --kind tap --device tx --vni 7 --vlan 100:5001 --vlan 200:7 --mac 02:00:00:00:00:01 --mac 02:00:00:00:00:02 --mtu 1300",
        "port add --name g --kind vhost-user --socket g.sock --role server --queues 2 --vni 7 --offloads off",
        "port set x --mac-limit 9 --ingress-bits 1000000 --storm-broadcast 50 --no-enabled --l2-protocols punt --bpdu-guard --no-loop-probe",
        "port set g --egress-packets 700 --unset vni",
        "mac add --vni 7 --mac 02:00:00:00:00:03 --vtep 192.0.2.7", "mac add --vni 7 --mac 02:00:00:00:00:04 --port x",
        "peer add --vni 7 192.0.2.9", "port set x --isolated --tpid 0x88a8",
        "binding add --port x --vlan 300 --vni 7 --mac 02:00:00:00:00:05",
        "binding add --port g --vni 7",
      ] {
        let first = try run(path, arguments)
        #expect(first.status == 0 && first.output.isEmpty && first.errors.isEmpty, "\(arguments): \(first)")
        let second = try run(path, arguments + " --format json")
        #expect(second.status == 0 && second.output == "{\"changed\":false}\n", "\(arguments): \(second)")
      }
      let state = handler.desired.withLock { $0 }
      let text = try Configuration(name: "h", desired: state).yaml()
      for line in [
        "peers: [192.0.2.7, 192.0.2.8, 192.0.2.9]", "learning: false", "accept-from: peers", "inner-vlan: carry", "ageing-seconds: 9",
        "neighbor-suppression: known",
        "mac-limit: 8", "mac-limit: 9", "rate-limit: {ingress: {bits: 1000000}}", "storm-control: {broadcast: 50}",
        "storm-control: {broadcast: 70, unknown-unicast: 0, unknown-multicast: 0}", "enabled: false",
        "vlans: {100: 5001, 200: 7, 300: 7}", "isolated: true", "tpid: \"0x88a8\"", "vlan-macs: {300: [\"02:00:00:00:00:05\"]}",
        "mtu: 1300", "offloads: \"off\"",
        "l2-protocols: punt", "bpdu-guard: true", "loop-probe: false",
        #"macs: ["02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:04"]"#,
        #"- {mac: "02:00:00:00:00:03", vtep: 192.0.2.7}"#,
      ] {
        #expect(text.contains(line), "\(line)\n\(text)")
      }
      for arguments in [
        "mac flush --vni 7 --port x --vtep 192.0.2.7", "binding delete --port x --vlan 300", "binding delete --port g", "port delete x",
        "port delete g", "peer delete --vni 7 192.0.2.9", "vni delete 7",
      ] {
        let result = try run(path, arguments)
        #expect(result.status == 0, "\(arguments): \(result)")
      }
    }
  }

  @Test func tablesAreAligned() async throws {
    try await withServer(handler: RecordingHandler(macCount: 2)) { path throws in
      #expect(
        try run(path, "show mac-table").output == """
           VNI  MAC                TYPE     LOCATION        AGE  MOVES
          5001  02:00:00:00:00:00  learned  vtep 192.0.2.2    1      0
          5001  02:00:00:00:00:01  learned  vtep 192.0.2.2    1      0

          """)
      #expect(
        try run(path, "show multicast").output == """
          GROUP  INTERFACE  JOINED  VNIS  ERROR

          """)
      #expect(
        try run(path, "show underlay").output == """
          ADDRESS    PRESENT  DEVICE  DRIVER      MTU  STATE  MISSED  IGNORED  NOTES
          192.0.2.1  yes      eth0    af_packet  1500  down        0  -

          192.0.2.1 on eth0:
            DESTINATION   STATE     NEXT HOPS
            198.51.100.1  resolved  192.0.2.254%eth0 (reachable) 02:00:00:00:00:fe

          """)
      #expect(
        try run(path, "show underlay --wide").output.hasPrefix(
          """
          ADDRESS    PRESENT  DEVICE  DRIVER      MTU  STATE  MISSED  IGNORED  FEATURES  NOTES
          192.0.2.1  yes      eth0    af_packet  1500  down        0  -        -

          """))
      #expect(
        try run(path, "show bindings").output == """
          PORT  VLAN   VNI  SOURCE  RX PACKETS  RX BYTES  TX PACKETS  TX BYTES
          bm1    100  5001  config           3         0           0         0
          bm1      -  5002  config           0         0           0         0

          """)
      #expect(
        try run(path, "show placement").output == """
          WORKER  CPUS  SOCKET  REASON
               0  2          0  dataplane.cores, isolated
            io 0  1          0  dataplane.io-cores

          WORKER  QUEUE   KIND           SOCKET  REASON
               0  eth0/0  packet-socket       1  the only worker (crosses sockets)

          socket 0: CPUs 0-3, isolated 2-3
          socket 1: CPUs 4-7
          packet buffers: socket 1: eth0 is there
          warning: all packets cross sockets

          """)
      #expect(try run(path, "status").output.hasPrefix("state       running\nname        h\n"))
      #expect(try run(path, "show drops").output == "REASON  WHERE  COUNT  DESCRIPTION\n")
      #expect(try run(path, "show drops --all").output.contains("runt    port vm1      0  too short"))
      let frames = try run(path, "show drops --frames vlan-not-bound").output.split(separator: "\n", omittingEmptySubsequences: false)
      #expect(frames[0] == "vlan-not-bound: not bound")
      #expect(frames[2].hasSuffix(":40.000007  port vm1  vni 5001  90 octets, of which 20 are kept"))
      #expect(
        frames[3...].joined(separator: "\n") == """
            Ethernet  02:00:00:00:00:01 > 33:33:00:00:00:01, VLAN tag
            VLAN      77, priority 7, drop eligible, TPID 0x8100, IPv6
            IPv6      cut short: 2 of 40 octets
              0000  33 33 00 00 00 01 02 00 00 00 00 01 81 00 f0 4d
              0010  86 dd 60 01

          7 dropped since the start, 1 shown
          some were never read

          """)
      let json = try run(path, "--format json show drops --frames vlan-not-bound").output
      #expect(json.contains(#""layers":[{"fields":{"destination":"33:33:00:00:00:01","source":"02:00:00:00:00:01","type":"0x8100"}"#))
      #expect(json.contains(#""octets":"3333000000010200000000018100f04d86dd6001","port":"vm1","time_us":1000000000000007,"vni":5001"#))
      #expect(try run(path, "show drops --count 3").status == 2)
      #expect(try run(path, "show drops --frames x --by vni").status == 2)
    }
  }

  @Test func doctorSaysByItsStatusWhatItFound() async throws {
    try await withServer(handler: RecordingHandler()) { path throws in
      let result = try run(path, "doctor")
      #expect(result.status == 5 && result.errors.isEmpty, "\(result)")
      #expect(
        result.output == """
          ok       kernel        Linux 6.18: offers all that is made use of
          warning  mtu           vm1: MTU 1500
                   cause         too large
                   remedy        lower it

          """)
      let rows = try JSONSerialization.jsonObject(with: Data(try run(path, "--format json doctor").output.utf8)) as? [[String: Any]]
      #expect(rows?.count == 2)
      for row in rows ?? [] { #expect(Set(row.keys) == ["check", "subject", "status", "found", "cause", "remedy"]) }
    }
  }

  @Test func verifySaysByItsStatusWhetherSomethingDiffers() async throws {
    try await withServer(handler: RecordingHandler()) { path throws in
      let result = try run(path, "verify")
      #expect(result.status == 6 && result.errors.isEmpty, "\(result)")
      #expect(
        result.output == """
          kernel: port vm1
            intended  attached to tap1
            actual    the tap is gone

          """)
      let repaired = try run(path, "verify --fix")
      #expect(repaired.status == 0 && repaired.output.hasPrefix("kernel: port vm1 (repaired)\n"), "\(repaired)")
    }
  }

  @Test func jsonIsOneArrayOrOneObject() async throws {
    try await withServer(handler: RecordingHandler(macCount: 10_000)) { path throws in
      func array(_ arguments: String) throws -> [[String: Any]] {
        let result = try run(path, "--format json " + arguments)
        #expect(result.status == 0, "\(result)")
        return try #require(JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [[String: Any]])
      }
      let macs = try array("show mac-table")
      #expect(macs.count == 10_000)
      #expect(Set(macs.compactMap { $0["mac"] as? String }).count == 10_000)
      #expect(macs[0]["port"] is NSNull && macs[0]["vlan"] is NSNull && macs[0]["moves"] as? Int == 0)
      #expect(try array("show vteps").isEmpty)
      #expect(try array("show ports")[0]["vlans"] as? [String: Int] == ["100": 5001])
      #expect(try array("show underlay")[0]["destinations"] is [Any])
      let status = try run(path, "status --format json")
      #expect(status.output.contains(#""uptime_s":1"#) && status.output.hasPrefix("{") && status.output.hasSuffix("}\n"))
    }
  }

  @Test func readerMayDisconnect() async throws {
    try await withServer(handler: RecordingHandler(macCount: 1 << 40)) { path throws in
      let script = #"set -o pipefail; "$0" --socket "$1" show mac-table | head -n 3"#
      let result = try Run([path], shell: script)
      #expect(result.status == 0 && result.errors.isEmpty, "\(result)")
      #expect(result.output.split(separator: "\n").count == 3)
      let full = try Run([path], shell: #""$0" --socket "$1" show mac-table > /dev/full"#)
      #expect(full.status == 1 && full.errors.contains("No space left"), "\(full)")
    }
  }

  @Test func waitEndsWhenTheDaemonRuns() async throws {
    let handler = try RecordingHandler()
    handler.daemonState.withLock { $0 = .starting }
    try await withServer(handler: handler) { path throws in
      let early = try run(path, "status --wait 0.1")
      #expect(early.status == 1 && early.errors.contains("still starting"), "\(early)")
      #expect(try run(path, "status").output.contains("starting"))
      let later = Task.detached {
        try await Task.sleep(for: .milliseconds(200))
        handler.daemonState.withLock { $0 = .running }
      }
      let late = try run(path, "status --wait 60")
      #expect(late.status == 0 && late.output.contains("running"), "\(late)")
      try await later.value
    }
  }

  @Test func configurationsAreCheckedByTheDaemon() async throws {
    try await withServer(handler: RecordingHandler()) { path throws in
      let directory = try ScratchDirectory()
      let file = directory.path + "/file.yaml"
      try fullConfigurationText.write(toFile: file, atomically: false, encoding: .utf8)
      let good = try run(path, "config check \(file)")
      #expect(good.status == 0 && good.output.contains("no problem"), "\(good)")
      let applied = try run(path, "config apply \(file)")
      #expect(applied.output == "vni 5001: added\ndataplane.workers: takes effect when vtepd is restarted\n", "\(applied)")
      try "underlay: {addresses: [x], device: e}\nname: []\n".write(toFile: file, atomically: false, encoding: .utf8)
      for command in ["check", "apply"] {
        let bad = try run(path, "config \(command) \(file)")
        #expect(bad.status == 1 && bad.output.isEmpty, "\(bad)")
        #expect(
          bad.errors.contains("2 problems\n\(file):1:24: a VTEP address must be") && bad.errors.contains("\n\(file):2:7: name must be"),
          "\(bad)")
      }
      #expect(try run(path, "config show").output == "name: h\n")
      #expect(try run(path, "--format json config show").output == #"{"text":"name: h\n"}"# + "\n")
    }
  }
}
