// YAMLWriter: writes a tree as text with libyaml's emitter: blocks are indented by two, and each `isFlow` node takes one line.

import CYAML

extension YAMLNode {
  /// The document that reads as this tree.
  ///
  /// - Throws: libyaml's error; in practice, only lack of memory.
  func document() throws(YAMLError) -> String {
    let writer = YAMLWriter()
    try writer.emit { yaml_stream_start_event_initialize($0, YAML_UTF8_ENCODING) }
    try writer.emit { yaml_document_start_event_initialize($0, nil, nil, nil, 1) }
    try writer.write(self)
    try writer.emit { yaml_document_end_event_initialize($0, 1) }
    try writer.emit { yaml_stream_end_event_initialize($0) }
    return String(decoding: writer.bytes, as: UTF8.self)
  }
}

/// One writing.
private final class YAMLWriter {
  private(set) var bytes: [UInt8] = []
  // At a fixed address: libyaml keeps pointers into its emitter.
  private let emitter = UnsafeMutablePointer<yaml_emitter_t>.allocate(capacity: 1)

  init() {
    emitter.initialize(to: yaml_emitter_t())
    _ = yaml_emitter_initialize(emitter)
    yaml_emitter_set_unicode(emitter, 1)
    yaml_emitter_set_width(emitter, -1)
    yaml_emitter_set_output(
      emitter,
      { writer, buffer, size in
        guard let writer, let buffer else { return 0 }
        let writing = Unmanaged<YAMLWriter>.fromOpaque(writer).takeUnretainedValue()
        writing.bytes += UnsafeBufferPointer(start: buffer, count: size)
        return 1
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  deinit {
    yaml_emitter_delete(emitter)
    emitter.deallocate()
  }

  /// - Parameter event: makes the event; 0: no memory is left. The emitter frees it.
  func emit(_ event: (UnsafeMutablePointer<yaml_event_t>) -> Int32) throws(YAMLError) {
    var made = yaml_event_t()
    guard event(&made) == 1, yaml_emitter_emit(emitter, &made) == 1 else {
      throw YAMLError(message: emitter.pointee.problem.map { String(cString: $0) } ?? "out of memory")
    }
  }

  func write(_ node: YAMLNode) throws(YAMLError) {
    switch node.content {
    case .scalar(var text, let isPlain):
      let style = isPlain ? YAML_PLAIN_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE
      try emit { event in
        text.withUTF8 { yaml_scalar_event_initialize(event, nil, nil, $0.baseAddress, Int32($0.count), 1, 1, style) }
      }
    case .sequence(let elements):
      let style = node.isFlow ? YAML_FLOW_SEQUENCE_STYLE : YAML_BLOCK_SEQUENCE_STYLE
      try emit { yaml_sequence_start_event_initialize($0, nil, nil, 1, style) }
      for element in elements { try write(element) }
      try emit { yaml_sequence_end_event_initialize($0) }
    case .mapping(let mapping):
      let style = node.isFlow ? YAML_FLOW_MAPPING_STYLE : YAML_BLOCK_MAPPING_STYLE
      try emit { yaml_mapping_start_event_initialize($0, nil, nil, 1, style) }
      for pair in mapping.pairs {
        try write(pair.key)
        try write(pair.value)
      }
      try emit { yaml_mapping_end_event_initialize($0) }
    }
  }
}
