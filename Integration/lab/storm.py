"""Storms: senders of flooded frames at a steady rate, and receivers that count by the kernel's time stamps.

A busy machine pauses senders, vtepd and receivers for a while. So the result is judged over the time in which frames could arrive.
"""
import struct
import threading
import time

from .streams import SO_TIMESTAMPNS

SOL_SOCKET, SO_RCVBUFFORCE, SOL_PACKET, PACKET_STATISTICS = 1, 33, 263, 6


class Storm:
    """Sends frames in turn on raw sockets, each at a rate per second, until `stop`."""

    def __init__(self, raw, frames, rate):
        self.raw, self.frames, self.rate, self.ended = raw, frames, rate, threading.Event()
        self.thread = threading.Thread(target=self.send)
        self.thread.start()

    def send(self):
        begin, rounds = time.monotonic(), 0
        while not self.ended.wait(0.002):
            due = int((time.monotonic() - begin) * self.rate)
            # After a pause, do not send everything at once: the socket would not accept it.
            rounds = max(rounds, due - self.rate // 10)
            for _ in range(due - rounds):
                for frame in self.frames:
                    self.raw.send(frame)
            rounds = due

    def stop(self):
        self.ended.set()
        self.thread.join()


class Arrivals:
    """Arrival times of frames at an interface, in nanoseconds, by the key that `classify` returns (None: not counted)."""

    def __init__(self, namespace, interface, classify):
        self.raw, self.classify = namespace.raw_socket(interface), classify
        self.raw.setsockopt(SOL_SOCKET, SO_RCVBUFFORCE, 256 << 20)
        self.raw.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.raw.setblocking(False)
        self.times = {}

    def read(self):
        """Reads the received frames."""
        while True:
            try:
                frame, notes, _, _ = self.raw.recvmsg(2048, 64)
            except BlockingIOError:
                break
            key = self.classify(frame)
            if key is not None:
                seconds, nanoseconds = struct.unpack("qq", notes[0][2])
                self.times.setdefault(key, []).append(seconds * 1_000_000_000 + nanoseconds)
        _, lost = struct.unpack("II", self.raw.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        assert lost == 0, f"the receiver lost {lost} frames"

    def check_rate(self, key, limit, seconds=5, burst_seconds=0.05, smallest_burst=4):
        """Over the first seconds, the received frames match the limit within 2 %: the initial burst is half of that.

        Gaps longer than a burst do not count: a full bucket gains no more tokens.
        """
        times = self.times.get(key, [])
        assert times, f"nothing of {key} arrived"
        begin, end = times[0], times[0] + int(seconds * 1e9)
        assert times[-1] >= end, f"{key} arrived only for {(times[-1] - times[0]) / 1e9:.2f} s"
        inside = [when for when in times if when < end]
        burst = max(limit * burst_seconds, smallest_burst)
        pauses = sum(max(0, later - earlier - burst / limit * 1e9) for earlier, later in zip(inside, [*inside[1:], end])) / 1e9
        least, most = limit * (seconds - pauses) * 0.98, max(limit * seconds * 1.02, limit * seconds + smallest_burst)
        assert least <= len(inside) <= most, \
            f"{len(inside)} of {key} arrived in {seconds} s, not {least:.0f} to {most:.0f}: the limit is {limit}, pauses took {pauses:.2f} s"
        assert pauses < seconds / 2, f"{key}: the machine paused for {pauses:.2f} s"
