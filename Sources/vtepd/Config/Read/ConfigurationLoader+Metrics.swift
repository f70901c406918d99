// ConfigurationLoader+Metrics: the `metrics:` section.

extension ConfigurationLoader {
  func readMetrics(_ node: YAMLNode, _ reader: ConfigurationReader) -> MetricsSettings {
    var settings = MetricsSettings()
    guard var section = ConfigurationSection(node, title: "metrics", reader: reader) else { return settings }
    let listen = section.entry("listen")
    if let entry = section.entry("agentx"), let path = reader.text(entry.value, "agentx") {
      if path.hasPrefix("/") {
        settings.agentX = path
      } else {
        reader.report(entry.value.position, "agentx must be an absolute path, not '\(path)'")
      }
    } else if listen == nil {
      reader.report(section.position, "metrics: key 'listen' is missing, or 'agentx'")
    }
    if let node = listen?.value {
      // One, or a list.
      for element in node.sequence ?? [node] {
        guard let text = reader.text(element, "listen") else { continue }
        guard let endpoint = MetricsSettings.Endpoint(text) else {
          reader.report(
            element.position, "listen must be an address and a TCP port, like 127.0.0.1:9478 or \"[::1]:9478\", not '\(text)'")
          continue
        }
        if settings.listen.contains(endpoint) { reader.report(element.position, "listen: \(endpoint) is given twice") }
        settings.listen.append(endpoint)
      }
    }
    settings.vnis = section.integer("vnis", in: 0...100_000) ?? settings.vnis
    settings.vteps = section.integer("vteps", in: 0...100_000) ?? settings.vteps
    section.finish()
    return settings
  }
}
