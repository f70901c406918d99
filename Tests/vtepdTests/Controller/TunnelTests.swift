// Tunnel rows: what of a controller's BFD parameters becomes settings, and what is published (vtep(5), table Tunnel).

import Encap
import OVSDBClient
import Testing
import VTEP

@testable import vtepd

@Suite("Tunnel rows")
struct TunnelTests {
  private let own = IPAddress(ipv4: 0xc000_0201)
  private let remote = IPAddress(ipv4: 0xc000_0202)
  private let up = ["enabled": "true", "state": "up", "forwarding": "true"]

  private struct Bench {
    var database: FakeDatabase
    var publisher = Publisher(adoptionEndSeconds: 300)
    var mapping = ControllerMapping(switchName: "hv1")

    var own = IPAddress(ipv4: 0xc000_0201)

    mutating func publish(_ tunnels: SwitchState.Tunnels, now: Double = 0) {
      var state = SwitchState(name: "hv1", description: "vtepd", tunnelAddress: own)
      state.tunnels = tunnels
      for round in 0..<3 {
        _ = mapping.load(database.replica)
        let operations = publisher.operations(state, mapping, now: now)
        // The switch first, then what refers to it.
        #expect(round < 2 || operations == [], "written again")
        database.transact(operations)
      }
      _ = mapping.load(database.replica)
    }

    var rows: [HardwareVTEP.Tunnel] {
      let listed = database.replica.physicalSwitch(named: "hv1")?.tunnels ?? []
      return database.replica.all(HardwareVTEP.Tunnel.self, in: .tunnel).values.filter { listed.contains($0.id) }.sorted { $0.id < $1.id }
    }

    mutating func set(_ columns: [String: OVSDBDatum]) { for row in rows { _ = database.set(.tunnel, row.id, columns) } }
  }

  private func bench() throws -> Bench {
    var database = try FakeDatabase()
    let ls = database.addSwitch("ls0", key: 5000)
    database.add("02:00:00:00:00:01", ls, via: "192.0.2.2")
    return Bench(database: database)
  }

  @Test("a row for each VTEP in use whose locator the controller has written; it goes with the VTEP")
  func rows() throws {
    var bench = try bench()
    bench.publish(.init(remotes: [remote, IPAddress(ipv4: 0xc000_0209)]))
    let row = try #require(bench.rows.first)
    #expect(bench.rows.count == 1)
    #expect(bench.database.replica.address(ofLocator: row.local) == own && bench.database.replica.address(ofLocator: row.remote) == remote)
    #expect(row.bfdConfigLocal == ["bfd_dst_mac": "00:23:20:00:00:01", "bfd_dst_ip": "169.254.1.0"])
    #expect(row.bfdParams.isEmpty && row.bfdStatus.isEmpty)
    // Our address changes, and the other end's row stays.
    bench.own = IPAddress(ipv4: 0xc000_020b)
    bench.publish(.init(remotes: [remote]))
    #expect(bench.rows.map(\.id) == [row.id] && bench.rows.map { bench.database.replica.address(ofLocator: $0.local) } == [bench.own])
    #expect(bench.database.locator("192.0.2.1") == nil)
    bench.publish(.init())
    #expect(bench.rows.isEmpty)
  }

  @Test("the state of BFD where it is enabled, and nothing where it is not")
  func status() throws {
    var bench = try bench()
    let tunnels = SwitchState.Tunnels(remotes: [remote], status: [remote: up])
    bench.publish(tunnels)
    #expect(bench.rows.first?.bfdStatus == [:])
    bench.set(["bfd_params": OVSDBDatum(["enable": "true"])])
    bench.publish(tunnels)
    #expect(bench.rows.first?.bfdStatus == up)
    bench.publish(.init(remotes: [remote]))
    #expect(bench.rows.first?.bfdStatus["enabled"] == "false")
    bench.set(["bfd_params": OVSDBDatum(["enable": "false"])])
    bench.publish(tunnels)
    #expect(bench.rows.first?.bfdStatus == [:])
  }

  @Test("rows from before the start stay until it is known what is used; the controller's stay while they want BFD")
  func adoption() throws {
    var bench = try bench()
    bench.publish(.init(remotes: [remote]))
    bench.publisher = Publisher(adoptionEndSeconds: 300)
    bench.publish(.init(), now: 10)
    #expect(bench.rows.count == 1)
    bench.set(["bfd_params": OVSDBDatum(["enable": "true"])])
    bench.publish(.init(), now: 400)
    #expect(bench.rows.count == 1)
    bench.set(["bfd_params": OVSDBDatum([String: String]())])
    bench.publish(.init(), now: 400)
    #expect(bench.rows.isEmpty)
  }

  @Test("parameters: the schema's defaults, each key, and nonsense that is told")
  func parameters() throws {
    var bench = try bench()
    bench.publish(.init(remotes: [remote]))
    #expect(bench.mapping.layer.bfd == [:])
    bench.set(["bfd_params": OVSDBDatum(["enable": "true"])])
    bench.publish(.init(remotes: [remote]))
    var settings = BFDSettings()
    (settings.minRx, settings.minTx) = (1000, 100)
    #expect(bench.mapping.layer.bfd == [remote: settings] && bench.mapping.faults == DatabaseFaults())
    bench.set([
      "bfd_params": OVSDBDatum([
        "enable": "true", "min_rx": "200", "min_tx": "50", "decay_min_rx": "4000", "forwarding_if_rx": "true", "cpath_down": "true",
        "check_tnl_key": "true",
      ]), "bfd_config_remote": OVSDBDatum(["bfd_dst_mac": "00:23:20:00:00:02", "bfd_dst_ip": "169.254.1.9"]),
    ])
    bench.publish(.init(remotes: [remote]))
    (settings.minRx, settings.minTx, settings.decayMinRx) = (200, 50, 4000)
    (settings.forwardingIfRx, settings.pathIsDown, settings.checksTunnelKey) = (true, true, true)
    (settings.destinationMAC, settings.destinationIP) = (MACAddress(bits: 0x0023_2000_0002), IPAddress(ipv4: 0xa9fe_0109))
    #expect(bench.mapping.layer.bfd == [remote: settings])
    bench.set([
      "bfd_params": OVSDBDatum(["enable": "true", "min_rx": "0", "min_tx": "soon", "decay_min_rx": "5", "cpath_down": "maybe"]),
      "bfd_config_remote": OVSDBDatum(["bfd_dst_mac": "x", "bfd_dst_ip": "::1"]),
    ])
    bench.publish(.init(remotes: [remote]))
    settings = BFDSettings()
    (settings.minRx, settings.minTx) = (1000, 100)
    #expect(bench.mapping.layer.bfd == [remote: settings])
    #expect(bench.mapping.faults.messages.count == 6 && bench.mapping.faults.ofSwitch.isEmpty)
    bench.set(["bfd_params": OVSDBDatum(["enable": "please"])])
    bench.publish(.init(remotes: [remote]))
    #expect(bench.mapping.layer.bfd == [:] && bench.mapping.faults.messages.count == 1 && bench.rows.first?.bfdStatus == [:])
  }

  @Test("other spellings of values, and of the other end's address")
  func spellings() throws {
    var bench = try bench()
    let address = IPAddress(high: 0x2001_0db8_0000_0000, low: 2)
    let ls = bench.database.switches()[0].id
    bench.database.add("02:00:00:00:00:02", ls, via: " 2001:DB8:0::2")
    let tunnels = SwitchState.Tunnels(remotes: [address], status: [address: up])
    bench.publish(tunnels)
    let published = try #require(bench.rows.first)
    #expect(bench.rows.count == 1 && bench.database.replica.address(ofLocator: published.remote) == address)
    bench.set([
      "bfd_params": OVSDBDatum(["enable": " TRUE", "min_rx": " 200 ", "forwarding_if_rx": "True", "cpath_down": "FALSE"]),
      "bfd_config_remote": OVSDBDatum(["bfd_dst_mac": "00-23-20-00-00-0A", "bfd_dst_ip": "::ffff:169.254.1.9"]),
    ])
    bench.publish(tunnels)
    var settings = BFDSettings()
    (settings.minRx, settings.minTx, settings.forwardingIfRx) = (200, 100, true)
    (settings.destinationMAC, settings.destinationIP) = (MACAddress(bits: 0x0023_2000_000a), IPAddress(ipv4: 0xa9fe_0109))
    #expect(bench.mapping.layer.bfd == [address: settings] && bench.mapping.faults == DatabaseFaults())
    #expect(bench.rows.first?.bfdStatus == up)
    // A row of the controller's for the same VTEP.
    bench.database.add("02:00:00:00:00:03", ls, via: "2001:db8::2")
    let row = HardwareVTEP.Tunnel(
      local: published.local, remote: try #require(bench.database.locator("2001:db8::2")), bfdParams: ["enable": "true"])
    let own = try #require(bench.database.replica.physicalSwitch(named: "hv1")).id
    bench.database.transact([
      row.insertion(into: .tunnel, name: "t"),
      .mutate(
        table: "Physical_Switch", where: [.row(own)], mutations: [OVSDBMutation("tunnels", .insert, OVSDBDatum(set: [.named("t")]))]),
    ])
    bench.publish(tunnels)
    #expect(bench.mapping.layer.bfd == [address: settings] && bench.rows.map(\.bfdStatus) == [up, up])
    #expect(
      bench.mapping.faults.messages == ["tunnel to 2001:db8::2: several rows with different parameters; using the one with the lowest UUID"]
    )
  }
}
