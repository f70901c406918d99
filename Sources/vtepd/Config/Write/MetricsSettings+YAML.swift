// MetricsSettings+YAML: the `metrics:` section in the file's own format.

extension MetricsSettings {
  var node: YAMLNode {
    var pairs: [(String, YAMLNode)] = []
    if listen.count == 1 {
      pairs.append(("listen", YAMLNode(text: "\(listen[0])")))
    } else if !listen.isEmpty {
      pairs.append(("listen", .flow(listen.map { YAMLNode(text: "\($0)") })))
    }
    if let agentX { pairs.append(("agentx", YAMLNode(text: agentX))) }
    return .block(pairs + [("vnis", YAMLNode(number: vnis)), ("vteps", YAMLNode(number: vteps))])
  }
}
