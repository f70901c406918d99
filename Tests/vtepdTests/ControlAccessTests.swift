// Who may run which command: the rule as a value, and a server that asks the kernel who its clients are.

import Glibc
import Testing
import VTEPControl

@testable import vtepd

@Suite struct ControlAccessTests {
  private let groups = ControlGroups(change: 901, view: 902)

  @Test func groupsDecide() {
    #expect(groups.access(of: ControlPeer(user: 1234, groups: [1234, 901])) == .change)
    #expect(groups.access(of: ControlPeer(user: 1234, groups: [1234, 902])) == .read)
    #expect(groups.access(of: ControlPeer(user: 1234, groups: [902, 901])) == .change)
    #expect(groups.access(of: ControlPeer(user: 1234, groups: [0, 1234])) == nil, "root's group is none of ours")
    #expect(groups.access(of: ControlPeer(user: 0, groups: [])) == .change)
    #expect(groups.access(of: ControlPeer(user: geteuid(), groups: [])) == .change)
    #expect(ControlGroups(change: 901, view: nil).access(of: ControlPeer(user: 1234, groups: [902])) == nil)
    #expect(groups.socketMode == 0o666 && ControlGroups(change: nil, view: 902).socketMode == 0o666)
  }

  @Test func withoutGroupsTheFileModeDecides() {
    #expect(ControlGroups().access(of: ControlPeer(user: 1234, groups: [])) == .change)
    #expect(ControlGroups().socketMode == 0o660)
  }

  @Test func refusalsNameTheGroupAndTheRemedy() {
    let change = ControlGroups.refusal("port.add", needs: .change, user: 0)
    #expect(change.code == .permissionDenied)
    #expect(
      change.message == "permission denied: port.add is for members of group vtepd: sudo usermod -aG vtepd root, and log in again")
    let nothing = ControlGroups.refusal(nil, needs: .read, user: 4_000_000_000).message
    #expect(nothing.contains("vtepd-view (may look) and vtepd (may change)"))
    #expect(nothing.contains("usermod -aG vtepd-view USER"))
  }

  /// Needs a user other than root, who may do everything.
  @Test(.enabled(if: geteuid() == 0, "becoming another user needs root"))
  func theKernelIdentifiesClients() async throws {
    // Above every group that Debian assigns; the client below gets the first and the last of many.
    let view: gid_t = 3_000_000_001
    try await withServer(handler: RecordingHandler(), groups: ControlGroups(change: 3_000_000_000, view: view)) { path in
      let directory = String(path.dropLast("/vtepd.sock".count))
      #expect(chmod(directory, 0o755) == 0)
      func ask(_ groups: String, _ method: String) throws -> String {
        try output(of: [
          "/usr/bin/setpriv", "--reuid", "3000000003", "--regid", "3000000003", "--groups", groups, "/usr/bin/python3", "-c",
          """
          import socket, sys
          client = socket.socket(socket.AF_UNIX)
          client.connect(sys.argv[1])
          try:
              client.sendall(b'{"jsonrpc":"2.0","id":1,"method":"%s","params":{"vni":1}}\\n' % sys.argv[2].encode())
          except BrokenPipeError:
              pass  # who is refused at once reads why
          print(client.makefile().readline())
          """, path, method,
        ])
      }
      let many = (3_000_000_100...3_000_000_900).map(String.init).joined(separator: ",")
      let looks = try ask("\(view)", "show.workers")
      #expect(looks.contains("there is no such parameter"), "the command is read")
      let mayNot = try ask("\(view),\(many)", "vni.delete")
      #expect(mayNot.contains("vni.delete is for members of group vtepd:"))
      let changes = try ask("\(many),3000000000,3000001000", "vni.delete")
      #expect(changes.contains("there is no VNI 1"), "the handler is asked")
      let nobody = try ask(many, "status")
      #expect(nobody.contains("is for members of group vtepd-view (may look)"))
    }
  }
}

/// What a program writes to standard output.
private func output(of arguments: [String]) throws -> String {
  let path = "/tmp/vtepd-test-output-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
  defer { unlink(path) }
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  posix_spawn_file_actions_addopen(&actions, 1, path, O_WRONLY | O_CREAT, 0o600)
  defer { posix_spawn_file_actions_destroy(&actions) }
  let words = arguments.map { strdup($0) } + [nil]
  defer { for word in words { free(word) } }
  var process: pid_t = 0
  try #require(posix_spawn(&process, arguments[0], &actions, nil, words, environ) == 0)
  var status: Int32 = 0
  waitpid(process, &status, 0)
  let file = try #require(fopen(path, "r"))
  defer { fclose(file) }
  var line = [CChar](repeating: 0, count: 4096)
  return fgets(&line, Int32(line.count), file).map { String(cString: $0) } ?? ""
}
