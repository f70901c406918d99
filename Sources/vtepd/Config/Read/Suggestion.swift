// Suggestion: the known word closest to a misspelt one, for "did you mean" in messages about the configuration file.

extension Sequence where Element == String {
  /// The word with the smallest edit distance from `word`; nil if none is close.
  func closest(to word: String) -> String? {
    let limit = Swift.max(1, word.count / 3)
    let ranked = map { (word: $0, distance: editDistance($0, word)) }
    return ranked.filter { $0.distance <= limit }.min { $0.distance < $1.distance }?.word
  }
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
private func editDistance(_ left: String, _ right: String) -> Int {
  let left = Array(left.lowercased()), right = Array(right.lowercased())
  var previous: [Int] = []
  var current = Array(0...right.count)
  for row in left.indices {
    let beforePrevious = previous
    previous = current
    current = [row + 1]
    for column in right.indices {
      var best = Swift.min(previous[column + 1], current[column]) + 1
      best = Swift.min(best, previous[column] + (left[row] == right[column] ? 0 : 1))
      if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
        best = Swift.min(best, beforePrevious[column - 1] + 1)
      }
      current.append(best)
    }
  }
  return current[right.count]
}
