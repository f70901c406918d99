// Event: an event as readers get it, with names in place of the data plane's indexes.

import Encap
import MACTable

/// Something that happened.
public struct Event: Sendable {
  /// What an event is about, besides addresses of the MAC table. Made by whoever reports it.
  public struct Subject: Equatable, Sendable {
    public var vni: VNI?
    public var mac: MACAddress?
    public var port: String?
    /// A VTEP, a next hop or a group.
    public var address: IPAddress?
    /// An uplink.
    public var device: String?

    public init(vni: VNI? = nil, mac: MACAddress? = nil, port: String? = nil, address: IPAddress? = nil, device: String? = nil) {
      self.vni = vni
      self.mac = mac
      self.port = port
      self.address = address
      self.device = device
    }
  }

  /// Of no other event since the daemon's start; from 1, without gaps.
  public var sequence: UInt64
  /// Since 1970, UTC.
  public var milliseconds: UInt64
  public var type: EventType
  public var subject = Subject()
  public var from: MACReport.Place?
  public var to: MACReport.Place?
  /// Of an entry that was placed or removed.
  public var source: MACEntryType?
  /// Of a flush.
  public var count: Int?
  /// One line.
  public var text: String
}

/// What a reader wants; nil or empty: everything.
public struct EventFilter: Sendable {
  public var types: Set<EventType> = []
  public var vni: VNI?
  public var port: String?
  public var mac: MACAddress?

  public init(types: Set<EventType> = [], vni: VNI? = nil, port: String? = nil, mac: MACAddress? = nil) {
    self.types = types
    self.vni = vni
    self.port = port
    self.mac = mac
  }

  func wants(_ type: EventType) -> Bool { types.isEmpty || types.contains(type) }

  /// Whether an event of a type that is wanted is wanted.
  func matches(_ event: Event) -> Bool {
    if let vni, event.subject.vni != vni { return false }
    if let mac, event.subject.mac != mac { return false }
    guard let port else { return true }
    return event.subject.port == port
      || [event.from, event.to].contains { place in
        if case .port(port, _)? = place { true } else { false }
      }
  }
}

extension EventRecord {
  /// Nil: the ring does not have it itself.
  var eventType: EventType? {
    switch kind {
    case .learned: .macLearned
    case .moved: .macMoved
    case .aged: .macAged
    case .evicted: .macEvicted
    case .frozen: .macFrozen
    case .released: .macReleased
    case .placed: .macPlaced
    case .removed: .macRemoved
    case .flushedDomain, .flushedPlace, .flushedDomainAtPlace: .macFlushed
    case .note: nil
    }
  }

  var isFlush: Bool { kind == .flushedDomain || kind == .flushedPlace || kind == .flushedDomainAtPlace }
}

extension Event {
  /// An event of the MAC table.
  init(_ record: EventRecord, _ type: EventType, _ names: EventNames) {
    let vni = record.kind == .flushedPlace ? nil : names.vni(record.key.domain, at: record.sequence)
    let from = names.place(record.from, at: record.sequence)
    let to = names.place(record.to, at: record.sequence)
    sequence = record.sequence
    milliseconds = record.milliseconds
    self.type = type
    subject = Subject(vni: vni, mac: record.isFlush ? nil : record.key.mac)
    let name = (vni.map { "VNI \($0): " } ?? "") + (subject.mac.map { "\($0)" } ?? "")
    func text(_ place: MACReport.Place?) -> String { place.map { "\($0)" } ?? "a place that is gone" }
    switch record.kind {
    case .learned:
      self.to = to
      self.text = "\(name) learned at \(text(to))"
    case .moved:
      (self.from, self.to) = (from, to)
      self.text = "\(name) moved from \(text(from)) to \(text(to))"
    case .aged:
      self.from = from
      self.text = "\(name) aged, was at \(text(from))"
    case .evicted:
      self.from = from
      self.text = "\(name) evicted, was at \(text(from))"
    case .frozen:
      (self.from, self.to) = (from, to)
      self.text = "\(name) frozen at \(text(from)), also seen at \(text(to))"
    case .released:
      (self.from, self.to) = (from, to)
      self.text = "\(name) no longer frozen at \(text(from))"
    case .placed:
      self.to = to
      if record.from != record.to { self.from = from }
      source = record.type
      let before = self.from.map { ", was at \($0)" } ?? ""
      self.text = "\(name) placed at \(text(to)) by the \(record.type.owner)\(before)"
    case .removed:
      self.from = from
      source = record.type
      self.text = "\(name) removed, was at \(text(from)) (\(record.type))"
    case .flushedDomain, .flushedPlace, .flushedDomainAtPlace:
      count = record.count
      if record.kind != .flushedDomain { self.from = from }
      let place = record.kind == .flushedDomain ? "" : " at \(text(from))"
      self.text = "\(name)\(record.count) address\(record.count == 1 ? "" : "es")\(place) flushed"
    case .note: self.text = ""
    }
  }
}

extension MACEntryType {
  /// Who says so.
  public var owner: String {
    switch self {
    case .learned: "data plane"
    case .static: "configuration"
    case .controller: "controller"
    }
  }
}
