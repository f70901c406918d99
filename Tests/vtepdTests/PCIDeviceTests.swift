// `vtepctl underlay take` and `release` on a tree of files that stands for sysfs.

import Foundation
import Testing

@testable import vtepctl

@Suite final class PCIDeviceTests {
  private let root = FileManager.default.temporaryDirectory.appendingPathComponent("vtepd-sysfs-\(UUID())")
  private let address = "0000:03:00.0"
  private var tree: PCIDevice.Tree { PCIDevice.Tree(sys: root.path + "/sys", dev: root.path + "/dev") }
  private var folder: URL { root.appendingPathComponent("sys/bus/pci/devices/\(address)") }

  init() throws {
    for path in ["sys/bus/pci/drivers/vfio-pci", "sys/bus/pci/drivers/e1000e", "sys/class/net/eth3", "dev/vfio"] {
      try FileManager.default.createDirectory(at: root.appendingPathComponent(path), withIntermediateDirectories: true)
    }
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    for path in ["sys/bus/pci/drivers_probe", "sys/bus/pci/drivers/vfio-pci/unbind", "sys/bus/pci/drivers/e1000e/unbind"] {
      try write("", path)
    }
    try write("(null)\n", "sys/bus/pci/devices/\(address)/driver_override")
  }

  deinit { try? FileManager.default.removeItem(at: root) }

  private func write(_ text: String, _ path: String) throws {
    try Data(text.utf8).write(to: root.appendingPathComponent(path))
  }

  private func read(_ path: String) throws -> String {
    String(decoding: try Data(contentsOf: root.appendingPathComponent(path)), as: UTF8.self)
  }

  private func bind(_ driver: String) throws {
    let link = folder.appendingPathComponent("driver")
    try? FileManager.default.removeItem(at: link)
    try FileManager.default.createSymbolicLink(
      atPath: link.path, withDestinationPath: root.path + "/sys/bus/pci/drivers/\(driver)")
  }

  private func addInterface(isUp: Bool) throws {
    try FileManager.default.createDirectory(at: folder.appendingPathComponent("net/eth3"), withIntermediateDirectories: true)
    try write(isUp ? "0x1003\n" : "0x1002\n", "sys/class/net/eth3/flags")
  }

  private func take(_ words: String...) throws -> UnderlayCommand.Take {
    try #require(VTEPCtl.parseAsRoot(["underlay", "take", address] + words) as? UnderlayCommand.Take)
  }
  private func release(_ words: String...) throws -> UnderlayCommand.Release {
    try #require(VTEPCtl.parseAsRoot(["underlay", "release", address] + words) as? UnderlayCommand.Release)
  }
  private func device(_ text: String = "03:00.0") throws -> PCIDevice { try PCIDevice(text, tree: tree) }

  @Test(arguments: ["03:00.0", "0000:03:00.0"])
  func addresses(_ text: String) throws {
    #expect(try device(text).address == address)
  }

  @Test(arguments: ["", "eth0", "3:0.0", "0000:03:00", "0000:03.00:0", "0000:0g:00.0", "net_tap0", "../0000:03:00.0"])
  func noAddresses(_ text: String) throws {
    let failure = #expect(throws: CommandFailure.self) { try device(text) }
    #expect(failure?.isUsage == true && failure?.message.contains("lspci -D") == true)
  }

  @Test func missingDevice() throws {
    let failure = #expect(throws: CommandFailure.self) { try device("04:00.0") }
    #expect(failure?.message == "0000:04:00.0: there is no such PCI device (lspci -D lists them)" && failure?.isUsage == false)
  }

  @Test func released() throws {
    try bind("vfio-pci")
    let steps = """
      echo >\(folder.path)/driver_override
      echo \(address) >\(folder.path)/driver/unbind
      echo \(address) >\(root.path)/sys/bus/pci/drivers_probe

      """
    #expect(try release("--dry-run").run(device(), usedByDaemon: false) == steps)
    #expect(try read("sys/bus/pci/drivers_probe") == "")
    // The files do what they are told, but no kernel is behind them.
    let failure = #expect(throws: CommandFailure.self) { try release().run(device(), usedByDaemon: false) }
    #expect(failure?.message == "\(address): no driver of the kernel has taken it; load its module (lspci -k -s \(address) names it)")
    #expect(try read("sys/bus/pci/devices/\(address)/driver_override") == "\n")
    #expect(try read("sys/bus/pci/drivers/vfio-pci/unbind") == "\(address)\n" && read("sys/bus/pci/drivers_probe") == "\(address)\n")
    try bind("e1000e")
    try addInterface(isUp: false)
    #expect(try release().run(device(), usedByDaemon: false) == "\(address) has the kernel's driver e1000e already: eth3\n")
  }

  @Test func inUse() throws {
    try bind("vfio-pci")
    let failure = #expect(throws: CommandFailure.self) { try release().run(device(), usedByDaemon: true) }
    #expect(failure?.message == "\(address): vtepd uses it; stop vtepd, or take it out of underlay.dpdk and reload")
    #expect(try read("sys/bus/pci/devices/\(address)/driver_override") == "(null)\n")
  }

  @Test func withoutDriver() throws {
    #expect(try release("--dry-run").run(device(), usedByDaemon: false).split(separator: "\n").count == 2)
  }

  @Test func taken() throws {
    try bind("e1000e")
    try addInterface(isUp: true)
    let failure = #expect(throws: CommandFailure.self) { try take().run(device()) }
    #expect(failure?.message.contains("its interface eth3 is up") == true && failure?.message.contains("--force") == true)
    #expect(try read("sys/bus/pci/devices/\(address)/driver_override") == "(null)\n")
    try addInterface(isUp: false)
    #expect(try take("--dry-run").run(device()).split(separator: "\n").first == "echo vfio-pci >\(folder.path)/driver_override")
    let refused = #expect(throws: CommandFailure.self) { try take().run(device()) }
    #expect(refused?.message.contains("vfio-pci has not taken it, and e1000e has it") == true)
    // It is the kernel's again.
    #expect(try read("sys/bus/pci/devices/\(address)/driver_override") == "\n")
    #expect(try read("sys/bus/pci/drivers/e1000e/unbind") == "\(address)\n")
    try bind("vfio-pci")
    #expect(try take().run(device()) == "\(address) is bound to vfio-pci already\n")
    try bind("e1000e")
    try FileManager.default.removeItem(at: root.appendingPathComponent("sys/bus/pci/drivers/vfio-pci"))
    #expect(try take("--dry-run").run(device()).hasPrefix("modprobe vfio-pci\n"))
    let missing = #expect(throws: CommandFailure.self) { try take().run(device()) }
    #expect(missing?.message == "the driver vfio-pci is missing; modprobe vfio-pci")
  }

  @Test func unwritable() throws {
    try bind("vfio-pci")
    try FileManager.default.removeItem(at: folder.appendingPathComponent("driver_override"))
    let failure = #expect(throws: CommandFailure.self) { try release().run(device(), usedByDaemon: false) }
    #expect(failure?.message.contains("driver_override: No such file or directory") == true)
  }
}
