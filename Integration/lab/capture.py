"""Captures on an interface of a namespace, with tcpdump's filter language, dissected by tshark.

A packet socket with a large buffer, read on demand: it listens once the constructor returns, and packets that arrived before a
query are in the answer. (tcpdump loses what it has not read yet when it is stopped.)
"""
import ctypes
import errno
import os
import socket
import struct

from . import owned
from .namespaces import ETH_P_ALL, PACKET_IGNORE_OUTGOING, SOL_PACKET, run, wait_until

PACKET_AUXDATA, PACKET_STATISTICS, SO_ATTACH_FILTER, SO_RCVBUFFORCE = 8, 6, 26, 33
AUXDATA = struct.Struct("=IIIHHHH")  # status, length, captured, mac, net, tag, tag protocol
TAG_IS_VALID, TAG_PROTOCOL_IS_VALID, CHECKSUM_NOT_READY = 0x10, 0x40, 0x8


class Capture:
    def __init__(self, namespace, interface, expression="", inbound=False, outbound=False):
        """`inbound`, `outbound`: only frames received, or sent, on the interface."""
        if interface in namespace.redirected:
            # Seen from the other end of the cable.
            (namespace, interface), inbound, outbound = namespace.cables[interface], outbound, inbound
        self.outbound = outbound
        self.path = namespace.lab.directory / f"{namespace.name}-{interface}-{os.urandom(3).hex()}.pcap"
        self.seen = []
        # Packets among them with a checksum that somebody has still to compute.
        self.unfinished = 0
        with namespace.entered():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        namespace.lab.on_close(self.socket.close)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 256 << 20)
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, int(inbound))
        if expression:
            self.attach(run("tcpdump", "-y", "EN10MB", "-s", "262144", "-ddd", expression).stdout)
        self.socket.bind((owned.wire(namespace, interface), ETH_P_ALL))

    def attach(self, program):
        """A program as printed by `tcpdump -ddd`: a count, then one instruction per line."""
        lines = [tuple(map(int, line.split())) for line in program.splitlines()[1:]]
        code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(lines), ctypes.addressof(code)))

    def packets(self):
        """All packets so far, as bytes, with their VLAN tags."""
        while self.socket.fileno() >= 0:
            try:
                packet, notes, _, address = self.socket.recvmsg(262144, 256)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENETDOWN:  # told once; what comes later is received
                    raise
                continue
            if self.outbound and address[2] != socket.PACKET_OUTGOING:
                continue
            for level, kind, data in notes:
                if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                    status, _, _, _, _, tag, protocol = AUXDATA.unpack(data[:AUXDATA.size])
                    self.unfinished += status & CHECKSUM_NOT_READY != 0
                    if status & TAG_IS_VALID:
                        protocol = protocol if status & TAG_PROTOCOL_IS_VALID else 0x8100
                        packet = packet[:12] + struct.pack("!HH", protocol, tag) + packet[12:]
            self.seen.append(packet)
        return self.seen

    def wait(self, count, seconds=30):
        """Waits for at least this many packets, and returns all so far."""
        wait_until(lambda: len(self.packets()) >= count, lambda: f"{count} packets were captured, not {len(self.seen)}", seconds)
        return self.seen

    def stop(self):
        """Ends the capture; no packet received so far is missing."""
        if self.socket.fileno() >= 0:
            self.packets()
            _, lost = struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
            self.socket.close()
            assert lost == 0, f"the capture lost {lost} packets"
        return self

    def fields(self, *names, only="", decode=None):
        """One tuple of tshark fields per packet that matches the display filter. Checksums are verified. `decode`: a rule such as
        udp.port==8472,vxlan."""
        with open(self.path, "wb") as file:
            file.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
            for number, packet in enumerate(self.packets()):
                file.write(struct.pack("=IIII", number, 0, len(packet), len(packet)) + packet)
        options = ["-d", decode] if decode else []
        for layer in ("ip", "udp", "tcp"):
            options += ["-o", f"{layer}.check_checksum:TRUE"]
        for name in names:
            options += ["-e", name]
        done = run("tshark", "-r", self.path, "-n", *options, "-T", "fields", "-E", "separator=;", "-Y", only or "frame", timeout=300)
        return [tuple(line.split(";")) for line in done.stdout.splitlines()]


def is_chatter(frame):
    """Whether an IP stack may have sent the frame on its own: multicast memberships, neighbour and router discovery are IPv6."""
    return frame[12:14] == b"\x86\xdd"


class Chatter:
    """Frames that the guests' IP stacks send on their own, counted where they leave: vtepd counts them too. Copies that are flooded back to
    another VLAN of the guest's port do not count."""

    def __init__(self, *guests):
        self.captures = [Capture(guest.namespace, guest.device, f"ip6 and ether src {guest.namespace.mac(guest.device)}", outbound=True)
                         for guest in guests]
        self.begin = 0

    def total(self):
        return sum(len(capture.packets()) for capture in self.captures)

    def undisturbed(self, look):
        """The result of `look` at a moment without such traffic; `count` counts from there."""
        while True:
            self.begin = self.total()
            seen = look()
            if self.total() == self.begin:
                return seen

    def count(self):
        return self.total() - self.begin
