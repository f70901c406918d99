// BPFProgram: a classic BPF socket filter. The kernel runs it before it queues a packet to the socket, so unwanted packets cost
// neither a copy nor a wake-up.

import CMNL
import Glibc

/// One instruction, laid out like the kernel's `struct sock_filter`.
public struct BPFInstruction: Equatable, Sendable {
  /// Operation, BPF_* constants or-ed.
  public var code: UInt16
  /// Instructions to skip if the comparison is true, and if it is false.
  public var jumpTrue: UInt8
  public var jumpFalse: UInt8
  /// Operand, in host byte order.
  public var operand: UInt32

  init(_ code: Int32, _ operand: UInt32 = 0, jumpTrue: UInt8 = 0, jumpFalse: UInt8 = 0) {
    self.code = UInt16(code)
    self.operand = operand
    self.jumpTrue = jumpTrue
    self.jumpFalse = jumpFalse
  }
}

/// A classic BPF program. The kernel verifies it when it is attached.
public struct BPFProgram: Equatable, Sendable {
  public var instructions: [BPFInstruction]

  /// Drops everything.
  public static let dropAll = BPFProgram(instructions: [BPFInstruction(BPF_RET | BPF_K, 0)])

  /// Makes the program the socket's filter, replacing any other.
  /// - Throws: ENOTSOCK, EINVAL (program refused), ENOMEM (net.core.optmem_max).
  public func attach(toSocket fd: Int32) throws(NetlinkError) {
    var filters = instructions.map {
      sock_filter(code: $0.code, jt: $0.jumpTrue, jf: $0.jumpFalse, k: $0.operand)
    }
    let code: Int32 = filters.withUnsafeMutableBufferPointer { buffer in
      var program = sock_fprog(len: UInt16(buffer.count), filter: buffer.baseAddress)
      return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, socklen_t(MemoryLayout<sock_fprog>.size)) == 0
        ? 0 : errno
    }
    if code != 0 { throw NetlinkError("attach filter", subject: "socket \(fd)", code: code) }
  }
}

/// Assembles a program; jumps name labels, which resolve to forward distances. Classic BPF cannot jump back.
struct BPFAssembler {
  /// A position in the program, defined by `place` after all jumps to it.
  struct Label { fileprivate let id: Int }

  private var instructions: [BPFInstruction] = []
  private var positions: [Int: Int] = [:]
  private var labelCount = 0
  /// Unresolved jumps: instruction, label if true, label if false; nil: the next instruction.
  private var jumps: [(at: Int, ifTrue: Label?, ifFalse: Label?)] = []

  mutating func label() -> Label {
    labelCount += 1
    return Label(id: labelCount)
  }

  /// Number of bytes to keep: all.
  static let acceptAll: UInt32 = 0xffff_ffff

  /// Offset of the kernel's metadata about a packet (SKF_AD_OFF).
  static func ancillary(_ field: Int32) -> UInt32 { UInt32(bitPattern: SKF_AD_OFF + field) }

  /// Frames sent by this host go to `label`.
  mutating func rejectOutgoing(to label: Label) {
    emit(BPF_LD | BPF_W | BPF_ABS, Self.ancillary(SKF_AD_PKTTYPE))
    jump(BPF_JEQ, UInt32(PACKET_OUTGOING), ifTrue: label)
  }

  mutating func place(_ label: Label) { positions[label.id] = instructions.count }

  mutating func emit(_ code: Int32, _ operand: UInt32 = 0) { instructions.append(BPFInstruction(code, operand)) }

  /// - Parameter comparison: BPF_JEQ, BPF_JGE or BPF_JSET of the accumulator with `operand`.
  mutating func jump(_ comparison: Int32, _ operand: UInt32, ifTrue: Label? = nil, ifFalse: Label? = nil) {
    jumps.append((instructions.count, ifTrue, ifFalse))
    emit(BPF_JMP | comparison | BPF_K, operand)
  }

  mutating func jump(to label: Label) {
    jumps.append((instructions.count, label, nil))
    emit(BPF_JMP | BPF_JA)
  }

  /// Resolves the jumps. Traps on an undefined label or a distance above 255: the programs are fixed.
  func program() -> BPFProgram {
    var resolved = instructions
    for jump in jumps {
      func distance(_ label: Label?) -> UInt8 {
        guard let label else { return 0 }
        guard let position = positions[label.id] else { preconditionFailure("label without a place") }
        return UInt8(position - jump.at - 1)
      }
      if Int32(resolved[jump.at].code) == BPF_JMP | BPF_JA {
        resolved[jump.at].operand = UInt32(distance(jump.ifTrue))
      } else {
        resolved[jump.at].jumpTrue = distance(jump.ifTrue)
        resolved[jump.at].jumpFalse = distance(jump.ifFalse)
      }
    }
    return BPFProgram(instructions: resolved)
  }
}
