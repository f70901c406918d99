// How the daemon reads request lines: valid ones, lines that are not requests, and wrong parameters.

import FoundationEssentials
import Testing

@testable import VTEPControl

@Suite struct IncomingTests {
  private func incoming(_ text: String) throws -> JSONRPC.Incoming {
    try JSONRPC.Incoming(line: Data(text.utf8))
  }

  @Test(arguments: [
    ("", ControlError.Code.parseError), ("{", .parseError), ("nonsense", .parseError), ("\u{0}", .parseError),
    (#"{"jsonrpc":"2.0","id":1,"method":"status"} trailing"#, .parseError),
    ("[]", .invalidRequest), ("7", .invalidRequest), ("null", .invalidRequest), (#""status""#, .invalidRequest),
    (#"[{"jsonrpc":"2.0","id":1,"method":"status"}]"#, .invalidRequest),
    ("{}", .invalidRequest), (#"{"jsonrpc":"1.0","id":1,"method":"status"}"#, .invalidRequest),
    (#"{"jsonrpc":"2.0","id":1}"#, .invalidRequest), (#"{"jsonrpc":"2.0","id":{},"method":"status"}"#, .invalidRequest),
    (#"{"jsonrpc":"2.0","id":1,"method":7}"#, .invalidRequest),
  ])
  func whatIsNoRequestIsRefused(_ text: String, _ code: ControlError.Code) throws {
    let failure = try #require(throws: JSONRPC.Failure.self) { try incoming(text) }
    #expect(failure.error.code == code, "\(failure)")
  }

  @Test func invalidUTF8IsAParseError() throws {
    let line = Data(#"{"jsonrpc":"2.0","id":1,"method":""#.utf8) + [0xff, 0xfe] + Data(#""}"#.utf8)
    let failure = try #require(throws: JSONRPC.Failure.self) { try JSONRPC.Incoming(line: line) }
    #expect(failure.error.code == .parseError)
  }

  @Test func identifierIsKept() throws {
    #expect(try incoming(#"{"jsonrpc":"2.0","id":7,"method":"status"}"#).id == .number(7))
    #expect(try incoming(#"{"jsonrpc":"2.0","id":"x","method":"status"}"#).id == .string("x"))
    #expect(try incoming(#"{"jsonrpc":"2.0","id":null,"method":"status"}"#).id == .null)
    #expect(try incoming(#"{"jsonrpc":"2.0","method":"status"}"#).id == nil)
    let failure = try #require(throws: JSONRPC.Failure.self) { try incoming(#"{"jsonrpc":"1","id":9,"method":"status"}"#) }
    #expect(failure.id == .number(9))
  }

  @Test func parametersMayBeAbsentWhenNoneIsNeeded() throws {
    #expect(try incoming(#"{"jsonrpc":"2.0","id":7,"method":"mac.flush"}"#).parameters(as: FlushMACs.self) == FlushMACs())
    #expect(
      try incoming(#"{"jsonrpc":"2.0","id":7,"method":"mac.flush","params":{"vni":3,"port":null}}"#).parameters(as: FlushMACs.self)
        == FlushMACs(vni: 3))
  }

  @Test(arguments: [
    (#"{"vnii":5}"#, "'vnii'"), (#"{"vni":"5"}"#, "'vni' has the wrong type"), (#"{"vni":-1}"#, "a number"),
    (#"{"vni":4294967296}"#, "a number"), (#"{"vni":1.5}"#, "a number"), (#"{"vni":1}"#, "'mac' is missing"),
    (#"{"vni":1,"mac":null}"#, "'mac' is null"), (#"{"vni":1,"mac":[]}"#, "'mac' has the wrong type"), ("[]", "params"),
    ("null", "params"), ("7", "params"),
  ])
  func wrongParametersAreNamed(_ parameters: String, _ message: String) throws {
    let request = try incoming(#"{"jsonrpc":"2.0","id":7,"method":"mac.add","params":"# + parameters + "}")
    let error = try #require(throws: ControlError.self) { try request.parameters(as: AddMAC.self) }
    #expect(error.code == .invalidParameters)
    #expect(error.message.contains(message), "\(error)")
  }

  @Test func parameterNamesAreThoseOfTheType() throws {
    #expect(
      AddVNI.parameterNames.sorted() == [
        "accept_from", "ageing_s", "flood", "group", "inner_vlan", "learning", "mac_limit", "mac_move_action", "neighbor_suppression",
        "peers",
        "storm_broadcast", "storm_unknown_multicast", "storm_unknown_unicast", "vni",
      ])
    #expect(GetStatus.parameterNames.isEmpty)
  }
}
