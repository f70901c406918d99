// The seeds: files with one input each, and captures (pcap) with many. A capture of Ethernet frames holds packets, for every target
// that takes packets; one of the private link type 147 holds raw inputs.

import FoundationEssentials

/// One seed and its name.
struct Seed {
  var name: String
  var bytes: [UInt8]
}

extension FuzzTarget {
  private static let repository = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }

  /// All inputs for this target: the repository's seeds, and those that the fuzzer has left on this machine.
  func seeds() throws -> [Seed] {
    var folders = ["Fuzz/seeds/\(name)", ".build/fuzz-corpus/\(name)"]
    if !packetOptions.isEmpty { folders.append("Fuzz/seeds/packets") }
    return try folders.flatMap { folder in
      let files = (try? FileManager.default.contentsOfDirectory(atPath: Self.repository + "/" + folder)) ?? []
      return try files.sorted().flatMap { file in
        let path = "\(folder)/\(file)"
        let bytes = [UInt8](try Data(contentsOf: URL(filePath: Self.repository + "/" + path)))
        return file.hasSuffix(".pcap") ? try inputs(ofCapture: bytes, path) : [Seed(name: path, bytes: bytes)]
      }
    }
  }

  private func inputs(ofCapture bytes: [UInt8], _ path: String) throws -> [Seed] {
    guard let capture = Capture(reading: bytes) else { throw Finding(description: "\(path) is no capture") }
    let options = capture.linkType == Capture.inputs ? [[]] : packetOptions
    return capture.packets.enumerated().flatMap { index, packet in
      options.map { Seed(name: "\(path), packet \(index + 1), options \($0)", bytes: $0 + packet) }
    }
  }

  /// Puts the input files of a folder into one capture in the repository.
  func keep(_ folder: String) throws {
    let files = try FileManager.default.contentsOfDirectory(atPath: folder)
    let inputs = try files.map { [UInt8](try Data(contentsOf: URL(filePath: "\(folder)/\($0)"))) }
    // Sorted, so that unchanged inputs cause no difference.
    let packets = inputs.sorted { $0.count != $1.count ? $0.count < $1.count : $0.lexicographicallyPrecedes($1) }
    let capture = Capture(linkType: Capture.inputs, packets: packets)
    let path = Self.repository + "/Fuzz/seeds/" + name
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    try Data(capture.bytes).write(to: URL(filePath: path + "/corpus.pcap"))
  }
}

/// A libpcap capture file, little-endian, with microseconds.
struct Capture {
  /// LINKTYPE_USER0: records are inputs of the target.
  static let inputs: UInt32 = 147
  private static let magic: UInt32 = 0xa1b2_c3d4

  var linkType: UInt32
  var packets: [[UInt8]] = []

  init(linkType: UInt32, packets: [[UInt8]]) {
    self.linkType = linkType
    self.packets = packets
  }

  /// Nil for anything else.
  init?(reading bytes: [UInt8]) {
    func word(_ offset: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << UInt32(8 * $1) } }
    guard bytes.count >= 24, word(0) == Self.magic else { return nil }
    linkType = word(20)
    var offset = 24
    while offset + 16 <= bytes.count {
      let end = offset + 16 + Int(word(offset + 8))
      guard end <= bytes.count else { return nil }
      packets.append(Array(bytes[(offset + 16)..<end]))
      offset = end
    }
    guard offset == bytes.count else { return nil }
  }

  var bytes: [UInt8] {
    func words(_ values: UInt32...) -> [UInt8] { values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } } }
    let header = words(Self.magic, 4 << 16 | 2, 0, 0, 1 << 20, linkType)
    return packets.reduce(into: header) { $0 += words(0, 0, UInt32($1.count), UInt32($1.count)) + $1 }
  }
}
