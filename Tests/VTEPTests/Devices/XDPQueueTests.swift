// The rings of an AF_XDP socket, in memory of the test's own, which plays the kernel.

import CDPDK
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("AF_XDP rings") struct XDPQueueTests {
    private static let chunkByteCount = 2048
    private static let receiveCount = 64
    private static let sendCount = 16

    /// A ring without a kernel: its positions, flags, and entries.
    private final class Ring {
      let positions = UnsafeMutablePointer<UInt32>.allocate(capacity: 3)
      let entries: UnsafeMutableRawPointer
      let size: UInt32

      init(size: Int, entryByteCount: Int, startingAt start: UInt32 = 0) {
        self.size = UInt32(size)
        entries = .allocate(byteCount: size * entryByteCount, alignment: 8)
        positions.initialize(repeating: start, count: 3)
        positions[2] = 0
      }

      deinit {
        positions.deallocate()
        entries.deallocate()
      }

      var producer: UInt32 {
        get { positions[0] }
        set { positions[0] = newValue }
      }
      var consumer: UInt32 {
        get { positions[1] }
        set { positions[1] = newValue }
      }

      var value: cdpdk_xdp_ring {
        cdpdk_xdp_ring(
          producer: positions, consumer: positions + 1, flags: positions + 2, entries: entries, size: size, memory: nil, byte_count: 0)
      }

      subscript<Entry>(position: UInt32, as type: Entry.Type) -> Entry {
        get { entries.assumingMemoryBound(to: type)[Int(position & (size - 1))] }
        set { entries.assumingMemoryBound(to: type)[Int(position & (size - 1))] = newValue }
      }
    }

    /// A socket's memory.
    private final class Kernel {
      let fill = Ring(size: receiveCount, entryByteCount: 8)
      let completion = Ring(size: sendCount, entryByteCount: 8)
      let receive = Ring(size: receiveCount, entryByteCount: MemoryLayout<xdp_desc>.size)
      let transmit = Ring(size: sendCount, entryByteCount: MemoryLayout<xdp_desc>.size)
      let frames = UnsafeMutableRawPointer.allocate(byteCount: chunkByteCount * (receiveCount + sendCount), alignment: 4096)
      var queue: XDPQueue

      init() throws {
        let socket = cdpdk_xdp_socket(
          descriptor: -1, is_zero_copy: 0, frames: frames, frames_byte_count: 0, fill: fill.value, completion: completion.value,
          receive: receive.value, transmit: transmit.value)
        queue = try #require(
          XDPQueue(socket, chunkByteCount: chunkByteCount, receiveCount: receiveCount, sendCount: sendCount))
        // Nobody is there to be woken.
        queue.sender.isZeroCopy = true
      }

      deinit {
        queue.deallocate()
        frames.deallocate()
      }

      /// A packet arrives, in the next chunk and behind the kernel's headroom.
      func deliver(_ bytes: [UInt8]) -> Bool {
        guard fill.consumer != fill.producer else { return false }
        let chunk = fill[fill.consumer, as: UInt64.self]
        fill.consumer &+= 1
        bytes.withUnsafeBytes { (frames + Int(chunk) + 256).copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        receive[receive.producer, as: xdp_desc.self] = xdp_desc(addr: chunk + 256, len: UInt32(bytes.count), options: 0)
        receive.producer &+= 1
        return true
      }

      /// Takes what is to be sent, and has it sent at once or keeps it for later.
      func takeSent() -> [[UInt8]] {
        var sent: [[UInt8]] = []
        while transmit.consumer != transmit.producer {
          let entry = transmit[transmit.consumer, as: xdp_desc.self]
          transmit.consumer &+= 1
          sent.append([UInt8](UnsafeRawBufferPointer(start: frames + Int(entry.addr), count: Int(entry.len))))
          held.append(entry.addr)
        }
        return sent
      }

      var held: [UInt64] = []

      func complete(_ count: Int) {
        for chunk in held.prefix(count) {
          completion[completion.producer, as: UInt64.self] = chunk
          completion.producer &+= 1
        }
        held.removeFirst(min(count, held.count))
      }
    }

    private func packet(_ number: Int, _ byteCount: Int = 100) -> [UInt8] { (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 + number) } }

    @Test func packetsComeInOrderAndChunksGoBack() throws {
      let runtime = try TestRuntime.shared().runtime
      let kernel = try Kernel()
      let frames = UnsafeMutablePointer<OpaquePointer?>.allocate(capacity: Limits.burst)
      defer { frames.deallocate() }
      #expect(kernel.fill.producer == UInt32(Self.receiveCount))
      #expect(kernel.queue.receiver.receive(into: frames, pool: runtime.pool, largePool: runtime.largePool) == -1)
      var next = 0
      var seen = 0
      // Several times around the rings.
      for round in 0..<40 {
        for _ in 0..<(round * 7 % 45) where kernel.deliver(packet(next)) { next += 1 }
        while true {
          let count = kernel.queue.receiver.receive(into: frames, pool: runtime.pool, largePool: runtime.largePool)
          guard count > 0 else { break }
          #expect(count <= Limits.burst)
          for index in 0..<count {
            let mbuf = Mbuf(frames[index]!)
            #expect(mbuf.isContiguous && mbuf.bytes.withUnsafeBytes { [UInt8]($0) } == packet(seen))
            seen += 1
            mbuf.free()
          }
        }
        #expect(kernel.fill.producer &- kernel.fill.consumer == UInt32(Self.receiveCount))
      }
      #expect(seen == next && seen > 3 * Self.receiveCount)
    }

    @Test func packetsWithoutBuffersAreCounted() throws {
      let shared = try TestRuntime.shared()
      let kernel = try Kernel()
      let frames = UnsafeMutablePointer<OpaquePointer?>.allocate(capacity: Limits.burst)
      defer { frames.deallocate() }
      for number in 0..<5 { #expect(kernel.deliver(packet(number))) }
      shared.withFreeBuffers(2) {
        let count = kernel.queue.receiver.receive(into: frames, pool: shared.runtime.pool, largePool: shared.runtime.largePool)
        #expect(count == 2 && kernel.queue.receiver.unbufferedCount == 3 && kernel.queue.receiver.unbufferedByteCount == 300)
        for index in 0..<count { Mbuf(frames[index]!).free() }
      }
      // No chunk is lost.
      #expect(kernel.fill.producer &- kernel.fill.consumer == UInt32(Self.receiveCount))
    }

    @Test func batchesFindRoomUntilChunksAreUsedUp() throws {
      let runtime = try TestRuntime.shared().runtime
      let kernel = try Kernel()
      var batch: [OpaquePointer?] = []
      for number in 0..<20 {
        let head = try #require(cdpdk_mbuf_alloc(runtime.pool))
        cdpdk_mbuf_append(head, 60)!.copyMemory(from: packet(number, 60), byteCount: 60)
        // In two buffers.
        let tail = try #require(cdpdk_mbuf_alloc(runtime.pool))
        cdpdk_mbuf_append(tail, 40)!.copyMemory(from: packet(number + 60, 40), byteCount: 40)
        #expect(cdpdk_mbuf_chain(head, tail) == 0)
        batch.append(head)
      }
      defer { for buffer in batch { cdpdk_mbuf_free(buffer!) } }
      func send() -> Int { batch.withUnsafeMutableBufferPointer { kernel.queue.sender.send($0.baseAddress!, $0.count) } }
      #expect(send() == Self.sendCount)
      #expect(kernel.takeSent() == (0..<Self.sendCount).map { packet($0) })
      // None is back yet.
      #expect(send() == 0)
      kernel.complete(3)
      #expect(send() == 3 && kernel.takeSent() == (0..<3).map { packet($0) })
      for _ in 0..<50 {
        kernel.complete(Self.sendCount)
        #expect(send() == Self.sendCount && kernel.takeSent().count == Self.sendCount)
      }
      #expect(Set(kernel.held).count == Self.sendCount, "each chunk is out once")
    }

    @Test func chunksFitTheMTU() {
      #expect(XDPDevice.chunkByteCount(mtu: 1500) == 2048 && XDPDevice.chunkByteCount(mtu: 1770) == 2048)
      #expect(XDPDevice.chunkByteCount(mtu: 1771) == 4096 && XDPDevice.chunkByteCount(mtu: XDPDevice.mtuLimit) == 4096)
      #expect(XDPDevice.mtuLimit == 3818 && XDPDevice.chunkByteCount(mtu: XDPDevice.mtuLimit + 1) == nil)
    }
  }
}
