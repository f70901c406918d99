// MonitorCommand: `vtepctl monitor`: prints events as they come, until it is interrupted.

import ArgumentParser
import Glibc
import VTEPControl

struct MonitorCommand: ClientCommand {
  static let configuration = CommandConfiguration(
    commandName: "monitor", abstract: "Prints events as they come: addresses, ports, VTEPs, limits, the controller, the configuration.",
    discussion: """
      Events must match all given filters. docs/events.md lists their types. A line that says 'gap' stands for events that came faster than \
      they were read, or that are no longer kept: the daemon keeps the latest 65,536.
      """)

  @Flag(help: "JSON, an object per line; the same as --format json.")
  var json = false
  @Option(help: "Only events of this type or group, such as mac-moved or port. May be given more than once.")
  var type: [String] = []
  @Option(help: "Only events of this VNI.") var vni: UInt32?
  @Option(help: "Only events of this port.") var port: String?
  @Option(help: "Only events of this MAC address.") var mac: String?
  @Option(help: "Begin with what came after this sequence number; 0: with the oldest that is kept. Default: with what comes from now on.")
  var since: UInt64?
  @Option(help: "End after so many events.") var count: Int?
  @ParentCommand var root: VTEPCtl
  @OptionGroup var options: CommandOptions

  func validate() throws {
    if let count, count < 1 { throw ValidationError("The count must be 1 or more.") }
  }

  /// The longest that the daemon waits for an event.
  private static let waitMilliseconds = 1000

  func run(_ session: Session) throws {
    let isJSON = json || session.format == .json
    // An answer must come within the timeout, with events or without.
    let wait = min(Self.waitMilliseconds, Int(session.timeoutSeconds * 500))
    var client = try session.connect()
    var request = Monitor(
      types: type.isEmpty ? nil : type, vni: vni, port: port, mac: mac, since: since, limit: count, waitMilliseconds: wait)
    var left = count
    var began: UInt64?
    while left != 0 {
      let page: EventPage
      do {
        page = try client.send(request)
      } catch ControlClientError.refused(let refusal) {
        throw ControlClientError.refused(refusal)
      } catch {
        // The daemon closes the connection of a reader that has stopped for a minute.
        guard began != nil else { throw error }
        client = try session.connect()
        page = try client.send(request)
      }
      guard began == nil || began == page.began else {
        throw CommandFailure(message: "vtepd has been restarted, and counts events anew", isUsage: false)
      }
      began = page.began
      if let gap = page.gap { try print(gap, isJSON) }
      for event in page.events { try print(event, isJSON) }
      Output.standard.flush()
      request.since = page.last
      if let before = left {
        left = before - page.events.count
        request.limit = left
      }
    }
  }

  private func print(_ event: EventRow, _ isJSON: Bool) throws {
    if isJSON {
      Output.standard.write(try JSONLine.encode(event))
      Output.standard.write("\n")
    } else {
      Output.standard.write("\(event.line)\n")
    }
  }

  private func print(_ gap: EventGap, _ isJSON: Bool) throws {
    if isJSON {
      Output.standard.write(try JSONLine.encode(["gap": gap]))
      Output.standard.write("\n")
    } else {
      Output.standard.write("gap: \(gap.count) events, \(gap.from) to \(gap.to), are missing here\n")
    }
  }
}

extension EventRow {
  /// Number, local time, level, type, text.
  var line: String {
    let level = self.level.padded(7)
    return "\(seq)  \(LocalTime.text(time))  \(level)  \(type.padded(16))  \(text)"
  }
}

extension String {
  fileprivate func padded(_ width: Int) -> String { self + String(repeating: " ", count: max(width - count, 0)) }
}

/// Times of the daemon for people.
enum LocalTime {
  /// `2026-11-29 20:15:01.123` in the time zone of the reader.
  ///
  /// - Parameter seconds: since 1970.
  static func text(_ seconds: Double, hasFraction: Bool = true) -> String {
    var time = time_t(seconds.rounded(.down))
    var parts = tm()
    localtime_r(&time, &parts)
    func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let date = "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
    let clock = "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
    guard hasFraction else { return "\(date) \(clock)" }
    let fraction = "\(1000 + Int((seconds - seconds.rounded(.down)) * 1000 + 0.5))".suffix(3)
    return "\(date) \(clock).\(fraction)"
  }
}
