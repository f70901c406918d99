// PCIDevice: which driver has a PCI device, and how another one gets it, through the files of sysfs. Works without the daemon.

import Glibc

/// A PCI device in sysfs.
struct PCIDevice {
  /// `DDDD:BB:DD.F`.
  let address: String
  private let tree: Tree

  /// Where the kernel's files are: elsewhere in tests.
  struct Tree {
    var sys = "/sys"
    var dev = "/dev"
  }

  /// - Parameter text: an address, with or without the domain.
  init(_ text: String, tree: Tree = Tree()) throws(CommandFailure) {
    guard let address = Self.address(text) else {
      throw CommandFailure(message: "'\(text)' is no PCI address such as 0000:03:00.0 (lspci -D lists them)", isUsage: true)
    }
    self.address = address
    self.tree = tree
    guard access("\(folder)", F_OK) == 0 else {
      throw CommandFailure(message: "\(address): there is no such PCI device (lspci -D lists them)", isUsage: false)
    }
  }

  private static func address(_ text: String) -> String? {
    let full = text.split(separator: ":", omittingEmptySubsequences: false).count == 2 ? "0000:" + text : text
    let parts = full.lowercased().split(whereSeparator: { $0 == ":" || $0 == "." })
    let digits = Array(full).filter { !$0.isHexDigit }
    guard parts.map(\.count) == [4, 2, 2, 1], digits == [":", ":", "."] else { return nil }
    return full.lowercased()
  }

  private var folder: String { "\(tree.sys)/bus/pci/devices/\(address)" }

  // -- what there is ------------------------------------------------------------------------------------------------------

  /// Nil: the device has none.
  var driver: String? { Self.target(of: "\(folder)/driver") }

  /// The kernel's network interfaces on the device.
  var interfaces: [String] {
    // virtio has a device of its own in between.
    let parents = [folder] + Self.entries(folder).filter { $0.hasPrefix("virtio") }.map { "\(folder)/\($0)" }
    return parents.flatMap { Self.entries("\($0)/net") }.sorted()
  }

  var hasVFIO: Bool { access("\(tree.sys)/bus/pci/drivers/\(Self.vfio)", F_OK) == 0 }

  /// An interface that is up; nil: none is.
  var activeInterface: String? {
    interfaces.first { name in
      Self.content("\(tree.sys)/class/net/\(name)/flags").flatMap { UInt32($0.dropFirst(2), radix: 16) }.map { $0 & 1 != 0 } ?? false
    }
  }

  /// The group's device file that a process has open; nil: none has, or nobody can tell.
  var heldGroup: String? {
    guard let group = Self.target(of: "\(folder)/iommu_group") else { return nil }
    let path = "\(tree.dev)/vfio/\(group)"
    let descriptor = open(path, O_RDWR | O_CLOEXEC)
    guard descriptor < 0 else {
      close(descriptor)
      return nil
    }
    return errno == EBUSY ? path : nil
  }

  // -- changes ------------------------------------------------------------------------------------------------------------

  static let vfio = "vfio-pci"
  /// Drivers that leave a device to a process.
  static let ofProcesses: Set<String> = [vfio, "igb_uio", "uio_pci_generic"]

  /// A file, and what is written to it.
  struct Step: CustomStringConvertible {
    var path: String
    var text: String

    var description: String { text.isEmpty ? "echo >\(path)" : "echo \(text) >\(path)" }
  }

  /// What gives the device to a driver; nil: to the one that the kernel chooses.
  func steps(to driver: String?) -> [Step] {
    var steps = [Step(path: "\(folder)/driver_override", text: driver ?? "")]
    if self.driver != nil { steps.append(Step(path: "\(folder)/driver/unbind", text: address)) }
    steps.append(Step(path: "\(tree.sys)/bus/pci/drivers_probe", text: address))
    return steps
  }

  func carryOut(_ steps: [Step]) throws(CommandFailure) {
    for step in steps {
      let descriptor = open(step.path, O_WRONLY | O_CLOEXEC | O_TRUNC)
      let bytes = Array((step.text + "\n").utf8)
      let count = descriptor < 0 ? -1 : bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      let code = errno
      if descriptor >= 0 { close(descriptor) }
      guard count < 0 else { continue }
      let hint = code == EACCES || code == EPERM ? "; run it as root" : ""
      throw CommandFailure(
        message: "\(step): \(strerror(code).map { String(cString: $0) } ?? "error \(code)")\(hint)", isUsage: false)
    }
  }

  // -- files --------------------------------------------------------------------------------------------------------------

  /// Last component of what a link leads to.
  private static func target(of path: String) -> String? {
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = readlink(path, &buffer, buffer.count)
    guard count > 0 else { return nil }
    return String(decoding: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self).split(separator: "/").last.map(String.init)
  }

  private static func entries(_ path: String) -> [String] {
    guard let folder = opendir(path) else { return [] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names
  }

  private static func content(_ path: String) -> Substring? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var buffer = [UInt8](repeating: 0, count: 64)
    let count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
    return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self).prefix { !$0.isWhitespace } : nil
  }
}
