// CaptureFile: a packet out of a pcap or pcapng file, for `vtepctl trace`. Both byte orders. Formats: draft-ietf-opsawg-pcap and
// draft-ietf-opsawg-pcapng.

import FoundationEssentials

enum CaptureFile {
  /// Why a file is of no use.
  struct Problem: Error {
    var text: String
  }

  /// The octets of a packet in hex digits.
  ///
  /// - Parameter number: from 1.
  static func packet(_ number: Int, of path: String) throws -> String {
    let data: Data
    do { data = try Data(contentsOf: URL(filePath: path)) } catch { throw Problem(text: "cannot be read: \(reason(error))") }
    return try packet(number, in: [UInt8](data)).map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }.joined()
  }

  private static func reason(_ error: any Error) -> String {
    (error as? CocoaError)?.code == .fileReadNoSuchFile ? "no such file; a frame in hex digits has neither '.' nor '/'" : "\(error)"
  }

  /// - Parameter number: from 1.
  static func packet(_ number: Int, in file: [UInt8]) throws -> ArraySlice<UInt8> {
    guard let magic = file.number(0, 4, isLittle: true) else { throw Problem(text: "\(file.count) octets are no capture file") }
    switch magic {
    case 0xa1b2_c3d4, 0xa1b2_3c4d: return try pcap(number, file, isLittle: true)
    case 0xd4c3_b2a1, 0x4d3c_b2a1: return try pcap(number, file, isLittle: false)
    case 0x0a0d_0d0a: return try pcapng(number, file)
    default: throw Problem(text: "neither pcap nor pcapng; give a capture file or hex digits")
    }
  }

  private static func pcap(_ number: Int, _ file: [UInt8], isLittle: Bool) throws -> ArraySlice<UInt8> {
    try checkLink(file.number(20, 4, isLittle: isLittle).map { $0 & 0xffff })
    var offset = 24
    var count = 0
    while let captured = file.number(offset + 8, 4, isLittle: isLittle), let length = file.number(offset + 12, 4, isLittle: isLittle),
      offset + 16 + captured <= file.count
    {
      count += 1
      if count == number { return try whole(file[(offset + 16)..<(offset + 16 + captured)], length: length, number) }
      offset += 16 + captured
    }
    throw missing(number, count)
  }

  private static func pcapng(_ number: Int, _ file: [UInt8]) throws -> ArraySlice<UInt8> {
    var offset = 0
    var count = 0
    var isLittle = true
    var links: [Int] = []
    while offset + 12 <= file.count {
      let type = file.number(offset, 4, isLittle: isLittle)
      if file.number(offset, 4, isLittle: true) == 0x0a0d_0d0a {
        isLittle = file.number(offset + 8, 4, isLittle: true) == 0x1a2b_3c4d
        links = []
      }
      guard let size = file.number(offset + 4, 4, isLittle: isLittle), size >= 12, offset + size <= file.count else { break }
      switch type {
      case 1: links.append(file.number(offset + 8, 2, isLittle: isLittle) ?? -1)
      case 6:
        guard let interface = file.number(offset + 8, 4, isLittle: isLittle),
          let captured = file.number(offset + 20, 4, isLittle: isLittle),
          let length = file.number(offset + 24, 4, isLittle: isLittle), captured + 32 <= size
        else { throw Problem(text: "damaged at octet \(offset)") }
        count += 1
        if count == number {
          try checkLink(interface < links.count ? links[interface] : nil)
          return try whole(file[(offset + 28)..<(offset + 28 + captured)], length: length, number)
        }
      default: break
      }
      offset += size
    }
    throw missing(number, count)
  }

  private static func checkLink(_ type: Int?) throws {
    guard type != 1 else { return }
    throw Problem(text: "link type \(type.map { "\($0)" } ?? "unknown") is not Ethernet; capture on one interface, not on 'any'")
  }

  private static func whole(_ packet: ArraySlice<UInt8>, length: Int, _ number: Int) throws -> ArraySlice<UInt8> {
    guard packet.count == length else {
      throw Problem(
        text: "packet \(number): only \(packet.count) of \(length) octets were captured; capture again without a limit (tcpdump -s 0)")
    }
    return packet
  }

  private static func missing(_ number: Int, _ count: Int) -> Problem {
    Problem(text: "there is no packet \(number): it has \(count)")
  }
}

extension [UInt8] {
  fileprivate func number(_ offset: Int, _ size: Int, isLittle: Bool) -> Int? {
    guard offset >= 0, offset + size <= count else { return nil }
    let bytes = self[offset..<offset + size]
    return isLittle ? bytes.reversed().reduce(0) { $0 << 8 | Int($1) } : bytes.reduce(0) { $0 << 8 | Int($1) }
  }
}
