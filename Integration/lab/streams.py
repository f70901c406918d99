"""Traffic between guests of any kind: TCP streams judged by checksum, and echo streams judged packet by packet."""
import os
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from .frames import echo_request, internet_checksum, mac_bytes
from .jobs import Job, listen
from .namespaces import wait_until

SO_TIMESTAMPNS = 35


def tcp_stream(source, target, address, kilobytes=1024, port=5000, seconds=120):
    """Sends random bytes from one guest to an address of the other, and asserts that they arrive.

    Both ends use busybox: virtual machines have nothing else, and namespaces have it too.
    """
    sent, got, held = f"{source.scratch}/sent", f"{target.scratch}/got", f"{target.scratch}/held"
    target.shell(f"rm -f {got} {held}; mkfifo {held}")
    # Standard input stays open: nc would close the connection when it ends.
    with listen(target, port, f"nc -l -p {port} <>{held} >{got}") as listener:
        source.shell(f"dd if=/dev/urandom of={sent} bs=1k count={kilobytes} 2>/dev/null", seconds=seconds)
        for job in (Job(source, f"nc {address} {port} <{sent}"), listener):
            with job:
                status = job.wait(seconds)
                assert status == 0, f"{job.guest.name}: nc {'has not ended' if status is None else f'ended with status {status}'}"
    sums = [guest.shell(f"sha256sum <{path}; wc -c <{path}").split() for guest, path in ((source, sent), (target, got))]
    assert sums[0] == sums[1], f"{source.name} sent {sums[0]}, {target.name} received {sums[1]}"
    assert int(sums[0][-1]) == kilobytes * 1024
    source.shell(f"rm -f {sent}")
    target.shell(f"rm -f {got} {held}")


def large_writes(source, target, address, kilobytes=16384, port=5001, seconds=120):
    """As `tcp_stream`, between guests in namespaces, in writes of 256 KB: the kernel makes large segments of them.

    nc writes 1 KB at a time. Where the other end keeps up, each of its writes leaves as a segment of its own.
    """
    data = os.urandom(kilobytes << 10)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with target.namespace.entered():
        listener = socket.create_server((address, port), family=family)
    with source.namespace.entered():
        sender = socket.socket(family, socket.SOCK_STREAM)
    with listener, sender:
        for end in (listener, sender):
            end.settimeout(seconds)

        def send():
            sender.connect((address, port))
            for start in range(0, len(data), 256 << 10):
                sender.sendall(data[start:start + (256 << 10)])
            sender.shutdown(socket.SHUT_WR)

        with ThreadPoolExecutor(1) as pool:
            sent = pool.submit(send)
            receiver = listener.accept()[0]
            with receiver, receiver.makefile("rb") as stream:
                receiver.settimeout(seconds)
                got = stream.read()
            sent.result()
    assert got == data, f"{source.name} sent {len(data)} octets, {target.name} received {len(got)}, or others"


class EchoStream:
    """Echo requests from a namespace's guest to another guest at a steady rate, from construction to `stop`.

    `sent` has the time of each, in nanoseconds of the real-time clock; `answered` the numbers of the answered ones.
    """

    def __init__(self, guest, mac, address, rate=1000):
        self.raw = guest.namespace.raw_socket(guest.device)
        self.raw.settimeout(0.2)
        self.request = echo_request(guest.mac, mac, guest.ipv4, address)
        self.interval = 1 / rate
        self.sent, self.answered, self.ended = [], set(), threading.Event()
        self.sender, self.receiver = threading.Thread(target=self.send), threading.Thread(target=self.receive)
        self.sender.start()
        self.receiver.start()

    def send(self):
        due = time.monotonic()
        while not self.ended.wait(max(0, due - time.monotonic())):
            number = struct.pack("!I", len(self.sent))  # as identifier and sequence number
            icmp = self.request[34:36] + b"\x00\x00" + number + self.request[42:]
            checksum = struct.pack("!H", internet_checksum(icmp))
            self.sent.append(time.time_ns())
            self.raw.send(self.request[:36] + checksum + number + self.request[42:])
            due += self.interval

    def receive(self):
        while not self.ended.is_set():
            try:
                frame = self.raw.recv(2048)
            except TimeoutError:
                continue
            if frame[12:14] == b"\x08\x00" and frame[23] == 1 and frame[34] == 0 and frame[6:12] == self.request[:6]:
                self.answered.add(struct.unpack("!I", frame[38:42])[0])

    def stop(self):
        self.ended.set()
        self.sender.join()
        self.receiver.join()

    def wait_answers(self, count, seconds=60):
        """Waits until this many more requests are answered."""
        wanted = len(self.answered) + count
        wait_until(lambda: len(self.answered) >= wanted, lambda: f"{count} more answers: {len(self.sent)}, {len(self.answered)}", seconds)

    def lost(self, begin, end):
        """How many requests sent between two times are unanswered."""
        return sum(begin <= when < end and number not in self.answered for number, when in enumerate(self.sent))


class Announcements:
    """Listens on a host's underlay device for a guest's frames from a certain VTEP."""

    def __init__(self, host, mac, vtep):
        self.raw = host.namespace.raw_socket("u0")
        self.raw.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
        self.raw.setblocking(False)
        self.mac, self.vtep = mac_bytes(mac), socket.inet_aton(vtep)

    def first(self):
        """When the first one arrived, in nanoseconds of the real-time clock; None if none has."""
        while True:
            try:
                packet, notes, _, _ = self.raw.recvmsg(2048, 64)
            except BlockingIOError:
                return None
            if packet[26:30] == self.vtep and packet[36:38] == b"\x12\xb5" and packet[56:62] == self.mac:
                seconds, nanoseconds = struct.unpack("qq", notes[0][2])
                return seconds * 1_000_000_000 + nanoseconds
