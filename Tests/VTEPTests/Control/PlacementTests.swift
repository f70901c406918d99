// Placement on described machines: one socket, two sockets, NICs on either, isolated CPUs.

import Encap
import Glibc
import MACTable
import Testing

@testable import VTEP

@Suite("Placement") struct PlacementTests {
  /// CPUs 0 to 3 on socket 0, and 4 to 7 on socket 1.
  private let large = Machine(socketOfCPU: Dictionary(uniqueKeysWithValues: (0..<8).map { ($0, $0 / 4) }))
  private let small = Machine(socketOfCPU: [0: 0, 1: 0, 2: 0, 3: 0])

  private func nic(_ name: String, _ socket: Int?) -> Machine.NIC { Machine.NIC(name: name, socket: socket) }

  // -- workers and pools -------------------------------------------------------------------------------------------------

  @Test func oneSocket() {
    var machine = small
    machine.isolated = [2, 3]
    let free = Placement(machine, workers: 2, cores: [], nics: [nic("eth0", 0)])
    #expect(free.workers.map(\.cpus) == [[0, 1], [0, 1]] && free.workers.map(\.socket) == [0, 0])
    #expect(free.pools == [Placement.Pool(socket: nil, reason: "the machine has one socket")] && free.memory(megabytes: 256) == nil)
    let pinned = Placement(machine, workers: 2, cores: [1, 3], nics: [nic("eth0", 0)])
    #expect(pinned.workers.map(\.cpus) == [[1], [3]])
    #expect(pinned.workers.map(\.reason) == ["dataplane.cores", "dataplane.cores, isolated"])
    #expect(free.warnings.isEmpty && pinned.warnings.isEmpty)
  }

  @Test func workersAndBuffersAreWhereTheNICIs() {
    let placement = Placement(large, workers: 2, cores: [], nics: [nic("eth0", 1), nic("veth0", nil)])
    #expect(placement.workers.map(\.cpus) == [[4, 5, 6, 7], [4, 5, 6, 7]] && placement.workers.map(\.socket) == [1, 1])
    #expect(placement.workers[0].reason == "no dataplane.cores: the scheduler chooses on socket 1, where eth0 is")
    #expect(placement.pools == [Placement.Pool(socket: 1, reason: "eth0 is there")] && placement.memory(megabytes: 256) == "0,256")
    #expect(placement.warnings.isEmpty)
  }

  @Test func isolatedCPUsAreForThoseWhoNameThem() {
    var machine = large
    machine.isolated = [5, 6, 7]
    #expect(Placement(machine, workers: 1, cores: [], nics: [nic("eth0", 1)]).workers[0].cpus == [4])
    machine.isolated = [4, 5, 6, 7]
    // None is left on the NIC's socket: better isolated ones than another socket.
    #expect(Placement(machine, workers: 1, cores: [], nics: [nic("eth0", 1)]).workers[0].cpus == [4, 5, 6, 7])
  }

  @Test func nicsOnBothSockets() {
    let nics = [nic("eth0", 1), nic("eth1", 0), nic("eth2", 1)]
    let two = Placement(large, workers: 2, cores: [], nics: nics)
    #expect(two.workers.map(\.socket) == [1, 0] && two.warnings.isEmpty)
    #expect(two.pools.map(\.socket) == [1, 0] && two.pools.map(\.reason) == ["eth0, eth2 is there", "eth1 is there"])
    #expect(two.memory(megabytes: 256) == "128,128")
    let one = Placement(large, workers: 1, cores: [], nics: nics)
    #expect(one.workers.map(\.socket) == [1])
    #expect(
      one.warnings == ["no worker runs on socket 0, where eth1 is: its packets cross sockets; raise dataplane.workers to 2"])
  }

  @Test func coresThatCrossSocketsAreReported() {
    let placement = Placement(large, workers: 2, cores: [1, 2], nics: [nic("eth0", 1)])
    #expect(placement.workers.map(\.socket) == [0, 0] && placement.pools.map(\.socket) == [1])
    #expect(
      placement.warnings == [
        "no worker runs on socket 1, where eth0 is: its packets cross sockets; name one of its CPUs 4-7 in dataplane.cores",
        "worker 0 runs on socket 0, where none of the NICs is: all its packets cross sockets",
        "worker 1 runs on socket 0, where none of the NICs is: all its packets cross sockets",
      ])
    let half = Placement(large, workers: 2, cores: [1, 5], nics: [nic("eth0", 1)])
    #expect(half.warnings == ["worker 0 runs on socket 0, where none of the NICs is: all its packets cross sockets"])
  }

  @Test func nothingSaysWhereItIs() {
    let free = Placement(large, workers: 1, cores: [], nics: [nic("veth0", nil)])
    #expect(free.workers[0].cpus == Array(0..<8) && free.workers[0].socket == nil && free.pools.map(\.socket) == [nil])
    let pinned = Placement(large, workers: 1, cores: [6], nics: [])
    #expect(pinned.pools.map(\.socket) == [1] && pinned.memory(megabytes: 64) == "0,64")
    #expect(free.warnings.isEmpty && pinned.warnings.isEmpty)
    // A socket without CPUs for us is as good as none.
    #expect(Placement(large, workers: 1, cores: [], nics: [nic("eth0", 7)]).workers[0].cpus == Array(0..<8))
  }

  // -- io-cores ----------------------------------------------------------------------------------------------------------

  @Test func workersKeepOffIOCores() {
    let eth0 = nic("eth0", 0)
    let placement = Placement(small, workers: 2, cores: [], nics: [eth0], ioCores: [0, 2], owned: [eth0])
    #expect(
      placement.ioCores.map(\.cpus) == [[0], [2]] && placement.ioCores.map(\.reason) == ["dataplane.io-cores", "dataplane.io-cores"])
    #expect(placement.workers.map(\.cpus) == [[1, 3], [1, 3]] && placement.warnings.isEmpty)
    #expect(placement.ioCoreCount(near: 0) == 2 && placement.ioCoreCount(near: nil) == 2)
    let none = Placement(small, workers: 1, cores: [], nics: [eth0], ioCores: [0, 1, 2, 3], owned: [eth0])
    #expect(none.workers[0].cpus == [0, 1, 2, 3])
    #expect(none.warnings == ["workers share CPUs with io-cores: no others are left; name fewer in dataplane.io-cores"])
    var machine = small
    machine.isolated = [1, 2]
    let isolated = Placement(machine, workers: 1, cores: [2], nics: [], ioCores: [1])
    #expect(isolated.ioCores.map(\.reason) == ["dataplane.io-cores, isolated"])
    // The only CPUs that the scheduler uses are io-cores: better isolated ones.
    #expect(Placement(machine, workers: 1, cores: [], nics: [], ioCores: [0, 3]).workers[0].cpus == [1, 2])
  }

  @Test func ioCoresAreWhereTheirNICIs() {
    let (eth0, eth1) = (nic("eth0", 0), nic("eth1", 1))
    let near = Placement(large, workers: 1, cores: [5], nics: [eth1], ioCores: [4], owned: [eth1])
    #expect(near.warnings.isEmpty && near.ioCoreCount(near: 1) == 1)
    #expect(Placement(large, workers: 1, cores: [], nics: [eth1], ioCores: [4], owned: [eth1]).workers[0].cpus == [5, 6, 7])
    let far = Placement(large, workers: 1, cores: [5], nics: [eth1], ioCores: [0, 1], owned: [eth1])
    #expect(
      far.warnings == [
        "no io-core runs on socket 1, where eth1 is: its packets cross sockets; name one of its CPUs 4-7 in dataplane.io-cores",
        "io-core 0 runs on socket 0, where none of its NICs is: it has work only if no io-core is near a NIC",
        "io-core 1 runs on socket 0, where none of its NICs is: it has work only if no io-core is near a NIC",
      ])
    #expect(far.ioCoreCount(near: 1) == 2)
    let queue = far.place(ioQueueOnSocket: 1, loads: [1, 0])
    #expect(queue.worker == 1 && queue.crossesSockets && queue.reason == "fewest queues: no io-core is on its socket")
    // One on each socket, with a NIC each.
    let both = Placement(large, workers: 2, cores: [1, 5], nics: [eth0, eth1], ioCores: [0, 4], owned: [eth0, eth1])
    #expect(both.warnings.isEmpty && both.ioCoreCount(near: 0) == 1 && both.ioCoreCount(near: nil) == 2)
    #expect(both.place(ioQueueOnSocket: 1, loads: [0, 3]).worker == 1 && !both.place(ioQueueOnSocket: 1, loads: [0, 3]).crossesSockets)
    // Every worker has a ring, also those on the other socket.
    let rings = (0..<2).map { both.place(ring: $0, onSocket: 0) }
    #expect(rings.map(\.worker) == [0, 1] && rings.map(\.crossesSockets) == [false, true])
  }

  // -- receive queues ----------------------------------------------------------------------------------------------------

  @Test func queuesGoToTheirSocket() {
    let placement = Placement(large, workers: 4, cores: [1, 2, 5, 6], nics: [nic("eth0", 1)])
    #expect(placement.place(queueOnSocket: 1, loads: [0, 0, 1, 0]).worker == 3)
    #expect(placement.place(queueOnSocket: 1, loads: [0, 0, 9, 9]).worker == 2)
    #expect(placement.place(queueOnSocket: nil, loads: [3, 2, 1, 1]).worker == 2)
    #expect(!placement.place(queueOnSocket: 1, loads: [0, 0, 0, 0]).crossesSockets)
    let far = Placement(large, workers: 2, cores: [1, 2], nics: []).place(queueOnSocket: 1, loads: [1, 0])
    #expect(far.worker == 1 && far.crossesSockets && far.reason == "fewest queues: no worker is on its socket")
    let only = Placement(large, workers: 1, cores: [1], nics: []).place(queueOnSocket: 1, loads: [5])
    #expect(only.worker == 0 && only.crossesSockets)
    let near = Placement(small, workers: 2, cores: [1, 2], nics: []).place(queueOnSocket: 0, loads: [1, 0])
    #expect(near.worker == 1 && !near.crossesSockets && near.reason == "fewest queues")
  }

  /// The reconciler's records follow it.
  @Test func theReconcilerFollows() throws {
    let effects = try RecordedEffects()
    effects.sockets = ["eth0": 1]
    let placement = Placement(large, workers: 2, cores: [0, 4], nics: [nic("eth0", 1)])
    var underlay = UnderlaySettings(addresses: [IPAddress(ipv4: 0xc000_0201)], devices: ["eth0"])
    underlay.driver = .afPacket
    var state = ControlState(underlay, workers: 2, effects: effects, placement: placement)
    try state.attachUnderlay(underlay)
    #expect(state.model.receiveQueues.map(\.count) == [0, 1])
    #expect(state.placedQueues.values.map(\.reason) == ["fewest queues on its socket"])
    state.detachUnderlay(keeping: [])
    #expect(state.placedQueues.isEmpty)
  }

  // -- the machine -------------------------------------------------------------------------------------------------------

  @Test func listsOfNumbers() {
    for (list, numbers) in [("0-3,8,10-11", [0, 1, 2, 3, 8, 10, 11]), ("5", [5]), ("", [])] {
      #expect(Machine.numbers(list) == numbers && Machine.list(numbers) == list)
    }
    #expect(Machine.numbers("3-1") == [] && Machine.numbers("x") == [] && Machine.numbers("-1") == [])
    #expect(Machine.list([3, 1, 2, 2]) == "1-3")
  }

  @Test func machineFromFiles() throws {
    let root = "/tmp/vtepd-machine-\(getpid())"
    var made: [String] = []
    func write(_ path: String, _ text: String) {
      var folder = root
      for part in path.split(separator: "/") {
        if mkdir(folder, 0o700) == 0 { made.append(folder) }
        folder += "/" + part
      }
      guard let file = fopen(folder, "w") else { return }
      fputs(text + "\n", file)
      fclose(file)
      made.append(folder)
    }
    defer { for path in made.reversed() { remove(path) } }
    write("devices/system/node/online", "0-1")
    write("devices/system/node/node0/cpulist", "0-1")
    write("devices/system/node/node1/cpulist", "2-3")
    write("devices/system/cpu/isolated", "3")
    write("class/net/eth0/device/numa_node", "1")
    write("class/net/eth1/device/numa_node", "-1")
    write("bus/pci/devices/0000:03:00.0/numa_node", "0")
    #expect(Machine.read(cpus: [1, 2, 3], root: root) == Machine(socketOfCPU: [1: 0, 2: 1, 3: 1], isolated: [3]))
    #expect(Machine.socket(ofDevice: "eth0", root: root) == 1 && Machine.socket(ofDevice: "eth1", root: root) == nil)
    #expect(Machine.socket(ofDevice: "0000:03:00.0", root: root) == 0 && Machine.socket(ofDevice: "03:00.0", root: root) == 0)
    #expect(Machine.socket(ofDevice: "net_null0", root: root) == nil && Machine.socket(ofDevice: "../eth0", root: root) == nil)
    // Without NUMA.
    #expect(Machine.read(cpus: [0], root: root + "/none") == Machine(socketOfCPU: [0: 0]))
  }
}
