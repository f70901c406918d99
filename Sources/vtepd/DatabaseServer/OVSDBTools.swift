// OVSDBTools: finds the programs and the schema from Debian's Open vSwitch packages that the embedded server needs, or names the
// packages to install.

import Glibc

/// The embedded server cannot run.
struct EmbeddedServerError: Error, Equatable, CustomStringConvertible {
  var description: String
}

/// Where the tools are.
struct OVSDBTools: Equatable, Sendable {
  var server: String
  var tool: String
  var schema: String

  /// Folders besides PATH: not every user's PATH includes /usr/sbin.
  private static let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
  private static let schemas = ["/usr/share/openvswitch/vtep.ovsschema", "/usr/local/share/openvswitch/vtep.ovsschema"]

  /// - Throws: every missing program or file, and its package.
  static func find(path: String = getenv("PATH").map { String(cString: $0) } ?? "") throws(EmbeddedServerError) -> OVSDBTools {
    let folders = path.split(separator: ":").map(String.init) + folders
    func program(_ name: String) -> String? { folders.lazy.map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 } }
    let server = program("ovsdb-server")
    let tool = program("ovsdb-tool")
    let schema = schemas.first { access($0, R_OK) == 0 }
    var missing: [String] = []
    if server == nil { missing.append("ovsdb-server (package openvswitch-common)") }
    if tool == nil { missing.append("ovsdb-tool (package openvswitch-common)") }
    if schema == nil { missing.append("\(schemas[0]) (package openvswitch-vtep)") }
    guard let server, let tool, let schema else {
      throw EmbeddedServerError(
        description: "ovsdb: without remotes, vtepd serves the database itself and needs \(missing.joined(separator: ", ")); "
          + "install it (apt-get install openvswitch-common openvswitch-vtep), or name remotes")
    }
    return OVSDBTools(server: server, tool: tool, schema: schema)
  }
}
