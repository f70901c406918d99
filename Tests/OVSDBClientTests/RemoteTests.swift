// RemoteTests: the notation of remotes, valid and invalid.

import Testing

@testable import OVSDBClient

@Suite struct RemoteTests {
  @Test(arguments: [
    ("unix:/run/db.sock", Remote(.unix(path: "/run/db.sock"))),
    ("unix:/run/a:b", Remote(.unix(path: "/run/a:b"))),
    ("tcp:192.0.2.1:6641", Remote(.dial(host: "192.0.2.1", port: 6641))),
    ("tcp:[2001:db8::1]:6641", Remote(.dial(host: "2001:db8::1", port: 6641))),
    ("ssl:db.example.net:6640", Remote(.dial(host: "db.example.net", port: 6640), usesTLS: true)),
    ("ptcp:6640", Remote(.listen(port: 6640, address: nil))),
    ("ptcp:6640:127.0.0.1", Remote(.listen(port: 6640, address: "127.0.0.1"))),
    ("pssl:6640:[::1]", Remote(.listen(port: 6640, address: "::1"), usesTLS: true)),
  ])
  func isReadAndWrittenBack(text: String, remote: Remote) throws {
    #expect(try Remote(parsing: text) == remote)
    #expect(remote.description == text)
  }

  @Test func thePortMayBeLeftOut() throws {
    #expect(try Remote(parsing: "ssl:db.example.net").description == "ssl:db.example.net:6640")
    #expect(try Remote(parsing: "tcp:[::1]").description == "tcp:[::1]:6640")
    #expect(try Remote(parsing: "ptcp:").description == "ptcp:6640")
  }

  @Test(arguments: [
    ("", "is not a remote"), ("db.example.net", "is not a remote"), ("http:example.net:80", "unknown scheme 'http'"),
    ("tcp::6640", "there is no host"),
    ("tcp:2001:db8::1:6640", "brackets"), ("tcp:[2001:db8::1:6640", "not closed"), ("tcp:[::1]6640", "must follow the bracket"),
    ("tcp:[db]:6640", "only IPv6 addresses"), ("tcp:db:0", "from 1 to 65535"), ("tcp:db:65536", "from 1 to 65535"),
    ("tcp:db:x", "not 'x'"),
    ("tcp:db:+1", "from 1 to 65535"), ("unix:db.sock", "absolute"), ("unix:/" + String(repeating: "x", count: 107), "longer than 107"),
    ("ptcp:127.0.0.1:6640", "from 1 to 65535"), ("pssl:6640:::1", "brackets"), ("pssl:6640:[::1]:1", "nothing after it"),
  ])
  func isRefusedWithTheReason(text: String, words: String) throws {
    let error = try #require(throws: RemoteSyntaxError.self) { try Remote(parsing: text) }
    #expect(error.description.contains(words), "\(error)")
  }
}
