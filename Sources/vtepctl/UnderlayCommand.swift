// UnderlayCommand: `vtepctl underlay take` and `release`: give a NIC to DPDK, and back to the kernel. The daemon need not run.

import ArgumentParser
import VTEPControl

struct UnderlayCommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "underlay", abstract: "Gives a NIC to DPDK (vfio-pci), or back to the kernel.",
    subcommands: [Take.self, Release.self])

  struct Take: ClientCommand {
    static let configuration = CommandConfiguration(
      commandName: "take", abstract: "Binds a NIC to vfio-pci, for underlay.dpdk.",
      discussion: "Works without a running vtepd. The NIC's interface disappears, and its addresses with it.")

    @Argument(help: "PCI address, for example 0000:03:00.0.") var device: String
    @Flag(help: "Print the steps, and do nothing.") var dryRun = false
    @Flag(help: "Also while the NIC's interface is up.") var force = false
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws { Output.standard.write(try run(PCIDevice(device))) }

    /// - Returns: what to print.
    func run(_ device: PCIDevice) throws(CommandFailure) -> String {
      if device.driver == PCIDevice.vfio { return "\(device.address) is bound to vfio-pci already\n" }
      if !force, let name = device.activeInterface {
        throw CommandFailure(
          message: "\(device.address): its interface \(name) is up; make sure that the host needs it no more and take it down "
            + "(ip link set \(name) down), or use --force", isUsage: false)
      }
      let steps = device.steps(to: PCIDevice.vfio)
      if dryRun { return ((device.hasVFIO ? [] : ["modprobe vfio-pci"]) + steps.map(\.description)).joined(separator: "\n") + "\n" }
      guard device.hasVFIO else { throw CommandFailure(message: "the driver vfio-pci is missing; modprobe vfio-pci", isUsage: false) }
      try device.carryOut(steps)
      guard device.driver == PCIDevice.vfio else {
        // Back to the kernel's driver.
        try device.carryOut(device.steps(to: nil))
        throw CommandFailure(
          message: "\(device.address): vfio-pci has not taken it, and \(device.driver ?? "no driver") has it; is there an IOMMU "
            + "(ls /sys/kernel/iommu_groups; dmesg)?", isUsage: false)
      }
      return "\(device.address) is bound to vfio-pci\n"
    }
  }

  struct Release: ClientCommand {
    static let configuration = CommandConfiguration(
      commandName: "release", abstract: "Gives a NIC back to the kernel's driver.",
      discussion: "Works without a running vtepd, and refuses while a process uses the NIC.")

    @Argument(help: "PCI address, for example 0000:03:00.0.") var device: String
    @Flag(help: "Print the steps, and do nothing.") var dryRun = false
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      let device = try PCIDevice(device)
      // Without an answer nobody uses it, as far as vtepd is concerned.
      let rows = (try? session.ask(ShowUnderlay())) ?? []
      let isUsed = rows.contains { row in row.dpdk.map { $0.prefix { $0 != "," }.lowercased() } == device.address }
      Output.standard.write(try run(device, usedByDaemon: isUsed))
    }

    /// - Returns: what to print.
    func run(_ device: PCIDevice, usedByDaemon: Bool) throws(CommandFailure) -> String {
      if usedByDaemon {
        throw CommandFailure(
          message: "\(device.address): vtepd uses it; stop vtepd, or take it out of underlay.dpdk and reload", isUsage: false)
      }
      if let driver = device.driver, !PCIDevice.ofProcesses.contains(driver) {
        return "\(device.address) has the kernel's driver \(driver) already\(Self.interfaces(device))\n"
      }
      let steps = device.steps(to: nil)
      if dryRun { return steps.map(\.description).joined(separator: "\n") + "\n" }
      if let group = device.heldGroup {
        throw CommandFailure(message: "\(device.address): a process uses it (fuser -v \(group)); stop it first", isUsage: false)
      }
      try device.carryOut(steps)
      guard let driver = device.driver, !PCIDevice.ofProcesses.contains(driver) else {
        throw CommandFailure(
          message: "\(device.address): no driver of the kernel has taken it; load its module (lspci -k -s \(device.address) names it)",
          isUsage: false)
      }
      return "\(device.address) has the kernel's driver \(driver)\(Self.interfaces(device))\n"
    }

    private static func interfaces(_ device: PCIDevice) -> String {
      let names = device.interfaces
      return names.isEmpty ? "" : ": \(names.joined(separator: ", "))"
    }
  }
}
