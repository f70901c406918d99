// ConfigurationLoader+Dataplane: the `dataplane:` section, fixed for the life of the process.

import VTEP

extension ConfigurationLoader {
  /// - Parameter hasNICs: DPDK drives NICs of the underlay.
  func readDataplane(_ node: YAMLNode, hasNICs: Bool, _ reader: ConfigurationReader) -> DataplaneSettings {
    var settings = DataplaneSettings()
    guard var section = ConfigurationSection(node, title: "dataplane", reader: reader) else { return settings }
    let workers = section.node("workers")
    if let workers {
      settings.workers = reader.integer(workers, "workers", in: 1...64) ?? settings.workers
    }
    if let cores = section.entry("cores") {
      settings.cores = readCores(cores.value, "cores", reader)
      let isWorkersGood = workers == nil || workers?.plainText == String(settings.workers)
      if isWorkersGood, let count = cores.value.sequence?.count, count != settings.workers {
        reader.report(cores.value.position, "cores must be as many as workers: \(settings.workers), not \(count)")
      }
    }
    if let ioCores = section.entry("io-cores") {
      settings.ioCores = readCores(ioCores.value, "io-cores", reader)
      for core in settings.ioCores where settings.cores.contains(core) {
        reader.report(ioCores.value.position, "io-cores: core \(core) is a worker's already; name another one")
      }
      let limit = DataplaneSettings.maximumIOCores
      if settings.ioCores.count > limit {
        reader.report(ioCores.value.position, "io-cores: at most \(limit), not \(settings.ioCores.count)")
      }
      if !hasNICs, !settings.ioCores.isEmpty {
        reader.report(ioCores.value.position, "io-cores: there is no NIC for them; set underlay.dpdk, or remove io-cores")
      }
    }
    settings.polling = section.choice("polling", as: DataplaneSettings.Polling.self) ?? settings.polling
    settings.hugepages = section.choice("hugepages", as: DataplaneSettings.Hugepages.self) ?? settings.hugepages
    settings.memoryMiB = section.integer("memory-mb", in: 32...65536) ?? settings.memoryMiB
    settings.macTableSize = section.integer("mac-table-size", in: 16...(16 << 20)) ?? settings.macTableSize
    section.finish()
    return settings
  }

  private func readCores(_ node: YAMLNode, _ key: String, _ reader: ConfigurationReader) -> [Int] {
    var cores: [Int] = []
    for element in reader.list(node, key) ?? [] {
      guard let core = reader.integer(element, "a core", in: 0...1023) else { continue }
      if cores.contains(core) { reader.report(element.position, "core \(core) is given twice") }
      cores.append(core)
    }
    return cores
  }
}
