// ControlRequest+Values: converts the text and numbers of a control request to the daemon's values, and the daemon's problems
// to an error response.

import Encap
import VTEP
import VTEPControl

extension VNI {
  /// - Throws: `invalidParameters` above 16777215.
  init(parameter value: UInt32) throws(ControlError) {
    guard let vni = VNI(value) else { throw ControlError(.invalidParameters, "vni \(value) is not from 0 to \(VNI.maximum)") }
    self = vni
  }
}

extension IPAddress {
  /// - Throws: `invalidParameters`, naming the parameter.
  init(parameter text: String, _ name: String) throws(ControlError) {
    guard let address = IPAddress(text) else { throw ControlError(.invalidParameters, "\(name) '\(text)' is not an IPv4 or IPv6 address") }
    self = address
  }
}

extension MACAddress {
  /// - Throws: `invalidParameters`.
  init(parameter text: String) throws(ControlError) {
    guard let mac = MACAddress(text) else { throw ControlError(.invalidParameters, "mac '\(text)' is not a MAC address") }
    self = mac
  }
}

extension RawRepresentable<String> where Self: CaseIterable {
  /// - Throws: `invalidParameters`, listing the valid values.
  init(parameter text: String, _ name: String) throws(ControlError) {
    guard let value = Self(rawValue: text) else {
      let choices = Self.allCases.map(\.rawValue).joinedAsChoice
      throw ControlError(.invalidParameters, "\(name) must be \(choices), not '\(text)'")
    }
    self = value
  }
}

extension Optional {
  /// `map` with a typed error.
  func converted<Value>(_ body: (Wrapped) throws(ControlError) -> Value) throws(ControlError) -> Value? {
    guard let self else { return nil }
    return try body(self)
  }
}

extension ControlError {
  /// The refusal of a change that would leave a wrong state; nil when there is no problem.
  init?(_ problems: [DesiredState.Problem]) {
    guard let first = problems.first else { return nil }
    self.init(.refused, first.description, details: problems.dropFirst().map(\.description))
  }

  /// The refusal of a configuration, with each problem as `file:line:column: message`.
  init(_ error: ConfigurationError) {
    let count = error.problems.count == 1 ? "1 problem" : "\(error.problems.count) problems"
    self.init(.refused, "\(error.file): \(count)", details: error.lines)
  }
}
