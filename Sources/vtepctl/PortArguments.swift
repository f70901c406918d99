// PortArguments: the options of `vtepctl port add` and `port set`: one for each row of VTEPControl's PortKeys that has one.
//
// ArgumentParser finds a type's options by looking at its properties. These are not properties: `customMirror` shows the parser what the
// table asks for, and `init(from:)` takes from it what was given.

import ArgumentParser
import VTEPControl

struct PortArguments: ParsableArguments, CustomReflectable {
  /// What was given, as keys of the configuration file.
  private(set) var values: [String: SettingValue] = [:]
  private var repeatedVLAN: String?

  init() {}

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: OptionName.self)
    for key in PortKey.all {
      guard let option = key.option else { continue }
      let name = OptionName(stringValue: option.name)
      switch key.form {
      case .flag: set(try container.decode(Flag<Bool?>.self, forKey: name).wrappedValue.map { .flag($0) }, key)
      case .texts:
        let given = try container.decode(Option<[SettingValue]>.self, forKey: name).wrappedValue
        set(given.isEmpty ? nil : .list(given), key)
      case .vlans:
        let given = try container.decode(Option<[PortCommand.VLANBinding]>.self, forKey: name).wrappedValue
        let vlans = given.map { ("\($0.vlan)", SettingValue.number(Int64($0.vni))) }
        repeatedVLAN = Dictionary(grouping: vlans) { $0.0 }.first { $0.value.count > 1 }?.key
        set(given.isEmpty ? nil : .map(Dictionary(vlans) { $1 }), key)
      default: set(try container.decode(Option<SettingValue?>.self, forKey: name).wrappedValue, key)
      }
    }
  }

  private mutating func set(_ value: SettingValue?, _ key: PortKey) {
    if let value { values.set(value, at: key.path[...]) }
  }

  func validate() throws {
    if let repeatedVLAN { throw ValidationError("VLAN \(repeatedVLAN) is given twice.") }
  }

  var customMirror: Mirror {
    Mirror(self, children: PortKey.all.compactMap { key in key.option.map { ($0.name, $0.argument(for: key.form)) } })
  }
}

extension PortKey.Option {
  /// What ArgumentParser knows the option by.
  fileprivate func argument(for form: PortKey.Form) -> Any {
    let name = NameSpecification.customLong(name)
    switch form {
    case .flag: return Flag<Bool?>(name: name, inversion: .prefixedNo, help: ArgumentHelp(stringLiteral: help))
    case .vlans: return Option<[PortCommand.VLANBinding]>(wrappedValue: [], name: name, help: ArgumentHelp(help, valueName: valueName))
    case .texts: return Option<[SettingValue]>(wrappedValue: [], name: name, help: ArgumentHelp(help, valueName: valueName)) { .text($0) }
    case .text: return Option<SettingValue?>(name: name, help: ArgumentHelp(help, valueName: valueName)) { .text($0) }
    case .number:
      return Option<SettingValue?>(name: name, help: ArgumentHelp(help, valueName: valueName)) { text in
        guard let number = Int64(text) else { throw ValidationError("it is not a whole number.") }
        return .number(number)
      }
    case .choice(let choices):
      let help = ArgumentHelp("\(help) (values: \(choices.joined(separator: ", ")))", valueName: valueName)
      return Option<SettingValue?>(name: name, help: help, completion: .list(choices)) { text in
        guard choices.contains(text) else { throw ValidationError("it is none of \(choices.joined(separator: ", ")).") }
        return .text(text)
      }
    }
  }
}

/// An option's name, as the parser's key.
private struct OptionName: CodingKey {
  var stringValue: String
  var intValue: Int? { nil }

  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

extension [String: SettingValue] {
  /// Sets a key inside others.
  mutating func set(_ value: SettingValue, at path: ArraySlice<String>) {
    guard let first = path.first else { return }
    guard path.count > 1 else {
      self[first] = value
      return
    }
    var inner: [String: SettingValue] = if case .map(let map)? = self[first] { map } else { [:] }
    inner.set(value, at: path.dropFirst())
    self[first] = .map(inner)
  }
}
