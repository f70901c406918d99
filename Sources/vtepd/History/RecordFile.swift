// RecordFile: the form of the files in which configurations are kept: two lines that describe the rest, and then the texts themselves, as
// they are, so that an operator can read them without vtepd. A file that was cut off or changed is noticed.

import FoundationEssentials
import VTEPControl

/// A description, and texts that belong to it.
struct RecordFile<Description: Codable & Equatable & Sendable>: Equatable, Sendable {
  var description: Description
  /// nil: there is none, which is not the same as an empty one.
  var texts: [String?]

  /// The second line.
  private struct Lengths: Codable {
    /// In bytes of UTF-8.
    var lengths: [Int?]
    /// Of everything behind this line.
    var checksum: String
  }

  private static var title: String { "vtepd record 1" }

  var bytes: Data {
    get throws {
      var rest = try JSONLine.encode(description) + Data("\n".utf8)
      for text in texts { rest += Data((text ?? "").utf8) }
      let lengths = try JSONLine.encode(Lengths(lengths: texts.map { $0?.utf8.count }, checksum: Self.checksum(rest)))
      return Data((Self.title + "\n").utf8) + lengths + Data("\n".utf8) + rest
    }
  }

  /// - Throws: what is wrong with the bytes.
  init(bytes: Data) throws(RecordError) {
    let (description, lengths, rest) = try Self.head(bytes)
    guard rest.count == lengths.texts.reduce(0, { $0 + ($1 ?? 0) }) else { throw RecordError(description: "it is cut off") }
    guard Self.checksum(lengths.checked) == lengths.checksum else { throw RecordError(description: "its contents were changed") }
    self.description = description
    texts = []
    var place = rest.startIndex
    for length in lengths.texts {
      guard let length else {
        texts.append(nil)
        continue
      }
      guard let text = String(validating: rest[place..<(place + length)], as: UTF8.self) else {
        throw RecordError(description: "it is not text")
      }
      texts.append(text)
      place += length
    }
  }

  init(_ description: Description, texts: [String?]) {
    self.description = description
    self.texts = texts
  }

  /// The description alone, from the first bytes of a file.
  ///
  /// - Parameters:
  ///   - beginning: at least the first two lines and the description.
  ///   - size: of the whole file, in bytes.
  static func description(beginning: Data, size: Int) throws(RecordError) -> Description {
    let (description, lengths, rest) = try head(beginning)
    let textCount = lengths.texts.reduce(0) { $0 + ($1 ?? 0) }
    guard size - (rest.startIndex - beginning.startIndex) == textCount else { throw RecordError(description: "it is cut off") }
    return description
  }

  private static func head(
    _ bytes: Data
  ) throws(RecordError) -> (Description, lengths: (texts: [Int?], checksum: String, checked: Data), rest: Data) {
    let lines = bytes.split(separator: UInt8(ascii: "\n"), maxSplits: 3, omittingEmptySubsequences: false)
    guard lines.count == 4 else { throw RecordError(description: "it is cut off") }
    guard String(validating: lines[0], as: UTF8.self) == title else { throw RecordError(description: "it was written by another version") }
    do {
      let lengths = try JSONDecoder().decode(Lengths.self, from: Data(lines[1]))
      guard lengths.lengths.allSatisfy({ ($0 ?? 0) >= 0 }) else { throw RecordError(description: "it cannot be parsed") }
      let description = try JSONDecoder().decode(Description.self, from: Data(lines[2]))
      return (description, (lengths.lengths, lengths.checksum, bytes[lines[2].startIndex...]), lines[3])
    } catch {
      throw RecordError(description: "it cannot be parsed")
    }
  }

  /// FNV-1a with 64 bits: it is to notice accidents, not forgeries.
  private static func checksum(_ bytes: Data) -> String {
    let sum = bytes.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    return String(sum, radix: 16)
  }
}

/// Why a record cannot be used.
struct RecordError: Error, Equatable, CustomStringConvertible {
  var description: String
}
