// DuplicateKeys: parses YAML although a key stands twice in a mapping. The YAML library stops at the first such key,
// which would hide every other problem of the file. So the earlier of the two is renamed, the name is kept beside it,
// and the text is parsed again.

import Yams

/// The keys that were given again further down, by position.
struct DuplicateKeys {
  /// Position of each earlier key, and its name as the file has it.
  private(set) var names: [FilePosition: String] = [:]

  /// More than anybody wants to read about; each costs one more parsing.
  private static let maximumCount = 100
  /// The first of the private-use characters; each renamed key begins with another one, or they would be equal again.
  private static let firstMarker: UInt32 = 0xE000

  /// Composes the tree of a single document.
  ///
  /// - Returns: nil for a file without content.
  /// - Throws: a syntax error, or a duplicate key that cannot be renamed.
  static func compose(_ text: String) throws(YamlError) -> (root: Node?, duplicates: DuplicateKeys) {
    var duplicates = DuplicateKeys()
    var text = text
    var pending: YamlError?
    while true {
      do {
        return (try Yams.compose(yaml: text), duplicates)
      } catch let error as YamlError {
        guard case .duplicatedKeysInMapping(let keys, let context) = error, let name = keys.first,
          let marker = Unicode.Scalar(firstMarker + UInt32(duplicates.names.count)),
          let renamed = rename(name, at: context.mark, to: marker, in: text),
          // Each round names one more key, so that this ends.
          duplicates.names.count < maximumCount,
          duplicates.names.updateValue(name, forKey: FilePosition(line: context.mark.line, column: context.mark.column)) == nil
        else {
          // When the renaming itself broke the syntax, the duplicate is what there is to say.
          throw pending ?? error
        }
        pending = error
        text = renamed
      } catch {
        throw .memory
      }
    }
  }

  private static func rename(_ name: String, at mark: Mark, to marker: Unicode.Scalar, in text: String) -> String? {
    var scalars = text.unicodeScalars
    var index = scalars.startIndex
    for _ in 1..<max(mark.line, 1) {
      guard let newline = scalars[index...].firstIndex(of: "\n") else { return nil }
      index = scalars.index(after: newline)
    }
    guard let start = scalars.index(index, offsetBy: mark.column - 1, limitedBy: scalars.endIndex), start < scalars.endIndex else {
      return nil
    }
    let isQuoted = scalars[start] == "\"" || scalars[start] == "'"
    let first = isQuoted ? scalars.index(after: start) : start
    // Not what stands there: the library counts exotic line breaks that this walk does not.
    guard first < scalars.endIndex, scalars[first] == name.unicodeScalars.first else { return nil }
    scalars.replaceSubrange(first...first, with: [marker])
    return String(scalars)
  }
}
