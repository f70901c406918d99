"""A guest's virtio-net driver and its hypervisor in one: the vhost-user front end over a Unix socket, with rings and buffers in a
memfd. Each step is separate, so a test can also take wrong ones."""
import mmap
import os
import socket
import struct

from .namespaces import wait_until

GET_FEATURES, SET_FEATURES, SET_OWNER, RESET_OWNER, SET_MEM_TABLE = 1, 2, 3, 4, 5
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL = 8, 9, 10, 11, 12, 13
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM, SET_VRING_ENABLE, NET_SET_MTU = 15, 16, 17, 18, 20

F_CSUM, F_GUEST_CSUM, F_MTU, F_MRG_RXBUF, F_MQ, F_EVENT_IDX, F_PROTOCOL, F_VERSION_1 = (
    1 << bit for bit in (0, 1, 3, 15, 22, 29, 30, 32))
F_GUEST_TSO4, F_GUEST_TSO6, F_HOST_TSO4, F_HOST_TSO6, F_HOST_UFO = (1 << bit for bit in (7, 8, 11, 12, 14))
PROTOCOL_MQ, PROTOCOL_REPLY_ACK, PROTOCOL_MTU = 1 << 0, 1 << 3, 1 << 4
USED_NO_NOTIFY = 1
BASE = 0x7000_0000_0000  # address of the memory in the hypervisor's own address space


class Ring:
    """A split virtqueue and its buffers. `start` is its offset in the guest's memory."""

    def __init__(self, memory, start, size, buffer_bytes, is_receive):
        self.memory, self.size, self.buffer_bytes = memory, size, buffer_bytes
        self.descriptors, self.available = start, start + 16 * size
        self.used = (self.available + 6 + 2 * size + 4095) & ~4095
        self.buffers = (self.used + 6 + 8 * size + 4095) & ~4095
        self.end = self.buffers + size * buffer_bytes
        self.kick, self.call = (os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(2))
        self.next, self.seen = 0, 0
        for index in range(size):
            self.write("<QIHH", self.descriptors + 16 * index, self.buffers + index * buffer_bytes, buffer_bytes, 2 if is_receive else 0, 0)
        self.write("<HH", self.available, 0, 0)
        self.write("<HH", self.used, 0, 0)
        if is_receive:
            for index in range(size):
                self.offer(index)

    # An index must change at once, as drivers write it. `pack_into` clears the place first and then writes octet by octet: the other side
    # would now and then see an index that goes back, which means tens of thousands of buffers.

    def write(self, form, place, *values):
        packed = struct.pack(form, *values)
        self.memory[place:place + len(packed)] = packed

    def read(self, form, place):
        return struct.unpack(form, self.memory[place:place + struct.calcsize(form)])

    def offer(self, index):
        """Makes a descriptor available to the other side."""
        self.write("<H", self.available + 4 + 2 * (self.next % self.size), index)
        self.next = (self.next + 1) & 0xFFFF
        self.write("<H", self.available + 2, self.next)

    def notify(self):
        if not self.read("<H", self.used)[0] & USED_NO_NOTIFY:
            os.eventfd_write(self.kick, 1)

    def returned(self):
        """(descriptor, bytes) pairs that the other side has finished."""
        done = []
        while self.seen != self.read("<H", self.used + 2)[0]:
            done.append(self.read("<II", self.used + 4 + 8 * (self.seen % self.size)))
            self.seen = (self.seen + 1) & 0xFFFF
        return done

    def close(self):
        os.close(self.kick)
        os.close(self.call)


class VirtioGuest:
    """`path` is the socket; `listens`: we listen and the daemon connects (like QEMU's server=on)."""

    def __init__(self, lab, path, listens=True, queues=1, features=F_VERSION_1 | F_MRG_RXBUF, mtu=None, ring_size=256,
                 buffer_bytes=2048):
        self.lab, self.path, self.queues, self.mtu = lab, str(path), queues, mtu
        self.features = features | F_PROTOCOL | (F_MQ if queues > 1 else 0) | (F_MTU if mtu else 0)
        self.ring_size, self.buffer_bytes = ring_size, buffer_bytes
        self.listener, self.connection, self.rings, self.memory = None, None, [], None
        if listens:
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.listener.bind(self.path)
            self.listener.listen(1)
            self.listener.settimeout(30)
        lab.on_close(self.close)

    # -- the socket ---------------------------------------------------------------------------------------------------

    def connect(self):
        if self.listener:
            self.connection, _ = self.listener.accept()
        else:
            self.connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.connection.connect(self.path)
        self.connection.settimeout(10)
        return self

    def send_message(self, request, payload=b"", descriptors=(), flags=1, size=None):
        header = struct.pack("<III", request, flags, len(payload) if size is None else size)
        socket.send_fds(self.connection, [header + payload], list(descriptors))

    def ask(self, request, payload=b""):
        self.send_message(request, payload)
        return self.answer()

    def answer(self):
        header = self.take(12)
        return self.take(struct.unpack("<III", header)[2])

    def take(self, count):
        data = b""
        while len(data) < count:
            more = self.connection.recv(count - len(data))
            if not more:
                raise ConnectionError("the daemon closed the connection")
            data += more
        return data

    # -- the device ---------------------------------------------------------------------------------------------------

    def negotiate(self):
        offered = struct.unpack("<Q", self.ask(GET_FEATURES))[0]
        self.features &= offered
        self.send_message(SET_OWNER)
        protocol = struct.unpack("<Q", self.ask(GET_PROTOCOL_FEATURES))[0] & (PROTOCOL_MQ | PROTOCOL_MTU)
        self.send_message(SET_PROTOCOL_FEATURES, struct.pack("<Q", protocol))
        if protocol & PROTOCOL_MQ:
            self.offered_queues = struct.unpack("<Q", self.ask(GET_QUEUE_NUM))[0]
        if self.mtu and protocol & PROTOCOL_MTU:
            self.send_message(NET_SET_MTU, struct.pack("<Q", self.mtu))
        self.send_message(SET_FEATURES, struct.pack("<Q", self.features))

    def share_memory(self):
        span = (self.ring_size * (16 + 2 + 8 + self.buffer_bytes) + 6 * 4096) & ~4095
        self.bytes = span * 2 * self.queues
        self.file = os.memfd_create("guest")
        os.ftruncate(self.file, self.bytes)
        self.memory = mmap.mmap(self.file, self.bytes)
        self.rings = [Ring(self.memory, span * number, self.ring_size, self.buffer_bytes, number % 2 == 0)
                      for number in range(2 * self.queues)]
        self.send_message(SET_MEM_TABLE, struct.pack("<IIQQQQ", 1, 0, 0, self.bytes, BASE, 0), [self.file])

    def start_ring(self, number):
        ring = self.rings[number]
        self.send_message(SET_VRING_NUM, struct.pack("<II", number, ring.size))
        self.send_message(SET_VRING_BASE, struct.pack("<II", number, 0))
        self.send_message(SET_VRING_ADDR, struct.pack(
            "<IIQQQQ", number, 0, BASE + ring.descriptors, BASE + ring.used, BASE + ring.available, 0))
        self.send_message(SET_VRING_CALL, struct.pack("<Q", number), [ring.call])
        self.send_message(SET_VRING_KICK, struct.pack("<Q", number), [ring.kick])

    def enable_ring(self, number, is_enabled=True):
        self.send_message(SET_VRING_ENABLE, struct.pack("<II", number, int(is_enabled)))

    def boot(self, use_queues=None):
        """From connecting to a working device; the driver may use fewer queue pairs than offered."""
        self.connect()
        self.negotiate()
        self.share_memory()
        for number in range(len(self.rings)):
            self.start_ring(number)
        for number in range(2 * (use_queues or self.queues)):
            self.enable_ring(number)
        return self

    def stop_driver(self):
        """Like a guest that shuts down: the rings stop, the connection stays."""
        for number in range(len(self.rings)):
            self.ask(GET_VRING_BASE, struct.pack("<II", number, 0))

    def disconnect(self):
        """Like a hypervisor that died; `boot` may follow."""
        if self.connection:
            self.connection.close()
            self.connection = None
        for ring in self.rings:
            ring.close()
        self.rings = []
        if self.memory:
            self.memory.close()
            os.close(self.file)
            self.memory = None

    def close(self):
        self.disconnect()
        if self.listener:
            self.listener.close()
            if os.path.exists(self.path):
                os.unlink(self.path)
            self.listener = None

    # -- frames -------------------------------------------------------------------------------------------------------

    @property
    def header_bytes(self):
        return 12 if self.features & (F_VERSION_1 | F_MRG_RXBUF) else 10

    def send(self, frame, queue=0, header=b""):
        """Puts a frame into the ring; False if the ring is full."""
        ring = self.rings[2 * queue + 1]
        ring.returned()
        if (ring.next - ring.seen) & 0xFFFF >= ring.size:
            return False
        index = ring.next % ring.size
        data = header.ljust(self.header_bytes, b"\0") + frame
        place = ring.buffers + index * ring.buffer_bytes
        self.memory[place:place + len(data)] = data
        ring.write("<QIHH", ring.descriptors + 16 * index, place, len(data), 0, 0)
        ring.offer(index)
        ring.notify()
        return True

    def frames(self):
        """Received frames from all queues, without virtio's header."""
        return [frame for _, frame in self.packets()]

    def packets(self):
        """The same as pairs of virtio header and frame. A frame fills at most one buffer."""
        return [(header, frame) for _, header, frame in self.take_packets()]

    def frames_by_queue(self):
        """Received frames as pairs of queue and frame."""
        return [(queue, frame) for queue, _, frame in self.take_packets()]

    def take_packets(self):
        found = []
        for queue, ring in enumerate(self.rings[::2]):
            for index, count in ring.returned():
                place = ring.buffers + index * ring.buffer_bytes
                data = bytes(self.memory[place:place + count])
                found.append((queue, data[:self.header_bytes], data[self.header_bytes:]))
                ring.offer(index)
            ring.notify()
        return found

    def wait_frame(self, accept=lambda frame: True, seconds=20):
        seen = []

        def found():
            seen.extend(self.frames())
            return next((frame for frame in seen if accept(frame)), None)

        return wait_until(found, lambda: f"a frame arrives; there were {len(seen)} others", seconds, 0.005)
