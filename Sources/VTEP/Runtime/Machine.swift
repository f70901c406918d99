// Machine: a machine as far as the placement of workers, receive queues and packet buffers depends on it: a description, made up in a test
// or read from sysfs. "Socket" is DPDK's word for a NUMA node.

import Glibc

/// CPUs and the sockets that they and NICs are on.
public struct Machine: Equatable, Sendable {
  /// CPUs that this process may run on, and their sockets.
  var socketOfCPU: [Int: Int]
  /// CPUs that the scheduler leaves alone (`isolcpus`).
  var isolated: Set<Int> = []

  /// Ascending.
  var cpus: [Int] { socketOfCPU.keys.sorted() }
  var sockets: [Int] { Set(socketOfCPU.values).sorted() }

  func cpus(onSocket socket: Int) -> [Int] { cpus.filter { socketOfCPU[$0] == socket } }

  /// An interface of the kernel or a NIC of DPDK that the configuration names.
  public struct NIC: Equatable, Sendable {
    var name: String
    /// Nil: it is on none, like a virtual device, or the machine does not say.
    var socket: Int?
  }
}

extension Machine {
  /// This machine.
  ///
  /// - Parameter cpus: those that the process may run on.
  /// - Parameter root: of sysfs.
  static func read(cpus: [Int], root: String = "/sys") -> Machine {
    var sockets: [Int: Int] = [:]
    for socket in list(root + "/devices/system/node/online") {
      for cpu in list("\(root)/devices/system/node/node\(socket)/cpulist") { sockets[cpu] = socket }
    }
    let isolated = Set(list(root + "/devices/system/cpu/isolated"))
    // A kernel without NUMA has no nodes.
    return Machine(
      socketOfCPU: Dictionary(uniqueKeysWithValues: cpus.map { ($0, sockets[$0] ?? 0) }), isolated: isolated.intersection(cpus))
  }

  /// The socket of an interface of the kernel or of a PCI device.
  ///
  /// - Parameter name: `eth0`, `0000:03:00.0` or `03:00.0`.
  static func socket(ofDevice name: String, root: String = "/sys") -> Int? {
    guard !name.contains("/"), !name.isEmpty else { return nil }
    let paths =
      name.contains(":")
      ? [name, "0000:" + name].map { "\(root)/bus/pci/devices/\($0)/numa_node" } : ["\(root)/class/net/\(name)/device/numa_node"]
    // -1: the machine does not say.
    return paths.lazy.compactMap { text($0) }.first.flatMap { Int($0) }.flatMap { $0 >= 0 ? $0 : nil }
  }

  /// Numbers of a list like `0-3,8,10-11`; empty: it is none.
  public static func numbers(_ list: String) -> [Int] {
    list.split(separator: ",").flatMap { part -> [Int] in
      let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
      guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2, first >= 0, first <= last, last < 65_536 else {
        return []
      }
      return Array(first...last)
    }
  }

  /// The reverse.
  public static func list(_ numbers: [Int]) -> String {
    var ranges: [ClosedRange<Int>] = []
    for number in numbers.sorted() {
      if let last = ranges.last, last.upperBound + 1 == number {
        ranges[ranges.count - 1] = last.lowerBound...number
      } else if ranges.last?.upperBound != number {
        ranges.append(number...number)
      }
    }
    return ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",")
  }

  private static func list(_ path: String) -> [Int] { numbers(text(path) ?? "") }

  /// The one line of a file of sysfs.
  private static func text(_ path: String) -> String? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 4096)
    guard fgets(&line, Int32(line.count), file) != nil else { return nil }
    return String(decoding: line.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
