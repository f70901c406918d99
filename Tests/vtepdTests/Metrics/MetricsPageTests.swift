// The two text formats, which of them a client gets, and the reference in docs/.

import Foundation
import Testing

@testable import vtepd

@Suite struct MetricsPageTests {
  private func page(_ format: MetricsFormat, _ body: (inout MetricsPage) -> Void) -> String {
    var page = MetricsPage(format)
    body(&page)
    page.end()
    return String(decoding: page.bytes, as: UTF8.self)
  }

  @Test func counter() {
    func body(_ page: inout MetricsPage) {
      page.begin(.portReceiveBytes)
      page.add(.portReceiveBytes, ["vm1"], 7 as UInt64)
    }
    #expect(
      page(.prometheus, body) == """
        # TYPE vtepd_port_receive_bytes_total counter
        # HELP vtepd_port_receive_bytes_total Bytes of these frames, without a frame check sequence.
        vtepd_port_receive_bytes_total{port="vm1"} 7

        """)
    #expect(
      page(.openMetrics, body) == """
        # TYPE vtepd_port_receive_bytes counter
        # UNIT vtepd_port_receive_bytes bytes
        # HELP vtepd_port_receive_bytes Bytes of these frames, without a frame check sequence.
        vtepd_port_receive_bytes_total{port="vm1"} 7
        # EOF

        """)
  }

  @Test func informationIsAGaugeOfTheOlderFormat() {
    func body(_ page: inout MetricsPage) {
      page.begin(.build)
      page.add(.build, ["1.0", "a\"b\\c\nd"], 1 as UInt64)
    }
    #expect(page(.prometheus, body).hasPrefix("# TYPE vtepd_build_info gauge\n"))
    #expect(page(.openMetrics, body).hasPrefix("# TYPE vtepd_build info\n"))
    #expect(page(.openMetrics, body).contains(#"vtepd_build_info{version="1.0",name="a\"b\\c\nd"} 1"#))
  }

  @Test func quotesInHelp() {
    func body(_ page: inout MetricsPage) { page.begin(.vniFlooded) }
    #expect(page(.prometheus, body).contains(#"vni="other" sums"#))
    #expect(page(.openMetrics, body).contains(#"vni=\"other\" sums"#))
  }

  @Test(arguments: [
    ("", MetricsFormat.prometheus), ("*/*", .prometheus), ("text/plain", .prometheus), ("text/html", .prometheus),
    ("application/openmetrics-text", .openMetrics),
    ("application/openmetrics-text; version=1.0.0; charset=utf-8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", .openMetrics),
    ("application/openmetrics-text;version=0.0.1,text/plain;q=0.5", .prometheus),
    ("text/plain;version=0.0.4;q=0.9,application/openmetrics-text;q=0.5", .prometheus),
    ("application/openmetrics-text;version=1.0.0;q=0", .prometheus),
  ])
  func format(_ accept: String, _ format: MetricsFormat) {
    #expect(MetricsFormat(accept: accept) == format)
  }

  @Test func namesAreUniqueAndHelpIsThere() {
    #expect(Set(MetricFamily.allCases.map(\.sampleName)).count == MetricFamily.allCases.count)
    for family in MetricFamily.allCases {
      #expect(!family.help.isEmpty && !family.help.contains("\n"))
      #expect(!family.rawValue.hasSuffix("_total") && !family.rawValue.hasSuffix("_info"))
    }
  }

  @Test func theReferenceIsThatOfTheCode() throws {
    let path = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../docs/metrics.md")
    let text = try String(contentsOf: path, encoding: .utf8)
    #expect(text.contains(MetricFamily.reference), "docs/metrics.md is not what vtepd --list-metrics prints")
  }
}

@Suite struct MetricsSettingsTests {
  @Test(arguments: ["127.0.0.1:9478", "[::1]:9478", "[2001:db8::1]:1", "0.0.0.0:65535"])
  func endpoint(_ text: String) {
    #expect(MetricsSettings.Endpoint(text)?.description == text)
  }

  @Test(arguments: [
    "", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:09478", "::1:9478", "[127.0.0.1]:9478", "localhost:9478",
    ":9478", "[::1]",
  ])
  func noEndpoint(_ text: String) {
    #expect(MetricsSettings.Endpoint(text) == nil)
  }
}
