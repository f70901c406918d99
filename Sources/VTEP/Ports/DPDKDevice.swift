// DPDKDevice: text that names a device of DPDK and its arguments, `0000:03:00.0,rx_burst=…` or `net_memif0,role=server,…`.

enum DPDKDevice {
  /// `0000:03:00.0` of `0000:03:00.0,rx_burst=…`.
  static func name(_ devargs: String) -> String { String(devargs.prefix { $0 != "," }) }

  static func arguments(_ devargs: String) -> String { String(devargs.dropFirst(name(devargs).count + 1)) }

  /// Name of the bus that it is on.
  static func bus(_ devargs: String) -> String { name(devargs).contains(":") ? "pci" : "vdev" }

  /// Its driver waits for a back end while it is opened.
  static func waitsForBackEnd(_ devargs: String) -> Bool {
    ["net_virtio_user", "virtio_user"].contains { name(devargs).hasPrefix($0) } && !devargs.contains(",path=/dev/")
  }

  /// Why the text names no device; nil: it may name one.
  static func reasonAgainst(_ devargs: String) -> String? {
    guard !name(devargs).isEmpty, devargs.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f }), devargs.utf8.count <= 1024 else {
      return "'\(devargs)' must be a device and its arguments, separated by commas, without blanks"
    }
    return nil
  }

  /// The same for an uplink, where the name of a kernel interface is an obvious mistake.
  static func reasonAgainst(uplink devargs: String) -> String? {
    if let reason = reasonAgainst(devargs) { return reason }
    let name = name(devargs)
    if name.contains(":") { return isPCIAddress(name) ? nil : "'\(name)' is not a PCI address like 0000:03:00.0" }
    if waitsForBackEnd(devargs) { return "'\(devargs)': vtepd cannot wait for this driver's back end" }
    guard ["net_", "eth_", "virtio_user"].contains(where: { name.hasPrefix($0) }) else {
      return "'\(name)' is neither a PCI address (0000:03:00.0) nor a virtual device of DPDK (net_memif0,…); "
        + "an interface of the kernel belongs in device"
    }
    return nil
  }

  /// `DDDD:BB:DD.F` or `BB:DD.F`, hexadecimal digits.
  private static func isPCIAddress(_ text: String) -> Bool {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard (2...3).contains(parts.count), let last = parts.last else { return false }
    let place = last.split(separator: ".", omittingEmptySubsequences: false)
    guard place.count == 2 else { return false }
    let numbers = parts.dropLast() + place
    return numbers.allSatisfy { (1...4).contains($0.count) && $0.allSatisfy { $0.isASCII && $0.isHexDigit } }
  }
}
