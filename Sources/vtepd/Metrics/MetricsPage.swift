// MetricsPage: samples as text, in the Prometheus text format 0.0.4 and in OpenMetrics 1.0.0.

/// The formats of /metrics.
enum MetricsFormat: Sendable {
  case prometheus, openMetrics

  var contentType: String {
    switch self {
    case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
    case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
    }
  }

  /// The format that a client prefers (RFC 9110, section 12.5.1). Ties, and clients that accept neither, get the Prometheus text format, which
  /// every scraper reads.
  init(accept: String) {
    var best = (quality: 0.0, isOpen: false)
    for range in accept.split(separator: ",") {
      let parts = range.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" }.lowercased() }
      guard let type = parts.first else { continue }
      let quality = parts.dropFirst().first { $0.hasPrefix("q=") }.flatMap { Double($0.dropFirst(2)) } ?? 1
      let isOpen = type == "application/openmetrics-text"
      // Version 1.0.0, or none named.
      if isOpen, let version = parts.first(where: { $0.hasPrefix("version=") }), version != "version=1.0.0" { continue }
      guard isOpen || ["text/plain", "text/*", "*/*"].contains(type) else { continue }
      if quality > best.quality || quality == best.quality && isOpen && best.quality > 0 && type != "*/*" { best = (quality, isOpen) }
    }
    self = best.isOpen ? .openMetrics : .prometheus
  }
}

/// The text of one answer, family after family.
struct MetricsPage {
  private let format: MetricsFormat
  private(set) var bytes: [UInt8] = []

  init(_ format: MetricsFormat, reserving capacity: Int = 1 << 16) {
    self.format = format
    bytes.reserveCapacity(capacity)
  }

  /// Begins a family: its samples must follow.
  mutating func begin(_ family: MetricFamily) {
    let name = format == .openMetrics ? family.rawValue : family.sampleName
    let kind = format == .openMetrics || family.kind != .info ? family.kind.rawValue : MetricFamily.Kind.gauge.rawValue
    bytes += "# TYPE \(name) \(kind)\n".utf8
    if format == .openMetrics, let unit = family.unit { bytes += "# UNIT \(name) \(unit)\n".utf8 }
    bytes += "# HELP \(name) ".utf8
    // The two formats differ: a quote is escaped only in OpenMetrics.
    append(escaped: family.help, quotes: format == .openMetrics)
    bytes.append(UInt8(ascii: "\n"))
  }

  /// - Parameter labels: values, one for each of the family's labels.
  mutating func add(_ family: MetricFamily, _ labels: [String], _ value: UInt64) {
    begin(sample: family, labels)
    bytes += String(value).utf8
    bytes.append(UInt8(ascii: "\n"))
  }

  /// - Parameter value: finite.
  mutating func add(_ family: MetricFamily, _ labels: [String], _ value: Double) {
    begin(sample: family, labels)
    bytes += "\(value)".utf8
    bytes.append(UInt8(ascii: "\n"))
  }

  /// Completes the page; nothing may follow.
  mutating func end() {
    if format == .openMetrics { bytes += "# EOF\n".utf8 }
  }

  private mutating func begin(sample family: MetricFamily, _ labels: [String]) {
    precondition(labels.count == family.labels.count, "labels of \(family.rawValue)")
    bytes += family.sampleName.utf8
    for (position, (name, value)) in zip(family.labels, labels).enumerated() {
      bytes.append(UInt8(ascii: position == 0 ? "{" : ","))
      bytes += name.utf8
      bytes += "=\"".utf8
      append(escaped: value, quotes: true)
      bytes.append(UInt8(ascii: "\""))
    }
    if !labels.isEmpty { bytes.append(UInt8(ascii: "}")) }
    bytes.append(UInt8(ascii: " "))
  }

  private mutating func append(escaped text: String, quotes: Bool) {
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\\"): bytes += "\\\\".utf8
      case UInt8(ascii: "\n"): bytes += "\\n".utf8
      case UInt8(ascii: "\"") where quotes: bytes += "\\\"".utf8
      default: bytes.append(byte)
      }
    }
  }
}
