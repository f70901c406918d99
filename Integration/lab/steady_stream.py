"""A stream of numbered frames at a steady rate, and its far end: what was lost, and for how long nothing arrived. The kernel stamps each
arrival, so the reader may be late."""
import select
import socket
import struct
import threading
import time

SO_TIMESTAMPNS, SO_RCVBUFFORCE = 35, 33
MARK = b"steady\x00\x01"


class SteadyStream:
    """Sends `make(number)` with `send` at `rate` frames per second, from construction to `stop`."""

    def __init__(self, send, make, rate=10_000):
        self.send, self.make, self.rate = send, make, rate
        self.sent, self.refused, self.ended = 0, 0, threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        start = time.monotonic()
        while not self.ended.is_set():
            due = int((time.monotonic() - start) * self.rate)
            while self.sent < due:
                try:
                    self.send(self.make(self.sent))
                except OSError:  # the queue of the interface is full
                    self.refused += 1
                self.sent += 1
            time.sleep(0.001)

    def stop(self):
        """Returns how many frames were sent."""
        self.ended.set()
        self.thread.join()
        return self.sent


class Arrivals:
    """Reads numbered frames from a socket."""

    def __init__(self, listener):
        self.socket, self.found = listener, {}
        listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        listener.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 256 << 20)
        listener.setblocking(False)

    def read(self, quiet=0.5):
        """Reads what there is, until nothing comes for `quiet` seconds. {number: seconds}."""
        while select.select([self.socket], [], [], quiet)[0]:
            data, notes, _, _ = self.socket.recvmsg(2048, 64)
            place = data.find(MARK)
            if place < 0:
                continue
            number, = struct.unpack_from("!I", data, place + len(MARK))
            seconds, nanoseconds = struct.unpack("=qq", next(note[2] for note in notes if note[1] == SO_TIMESTAMPNS)[:16])
            self.found.setdefault(number, seconds + nanoseconds / 1e9)
        return self.found

    def interruption(self):
        """The longest time without an arrival, in seconds."""
        times = sorted(self.found.values())
        return max((later - earlier for earlier, later in zip(times, times[1:])), default=0)


def numbered(number):
    """Payload of a frame."""
    return MARK + struct.pack("!I", number) + bytes(34)
