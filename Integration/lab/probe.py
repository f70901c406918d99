"""Echo requests with DF of exact sizes, whatever the path MTU that the kernel has cached; ICMP errors come from its error queue."""
import ipaddress
import select
import socket
import struct
import time

SOL_IP, IP_MTU_DISCOVER, IP_RECVERR = 0, 10, 11
SOL_IPV6, IPV6_MTU_DISCOVER, IPV6_RECVERR = 41, 23, 25
PMTUDISC_PROBE = 3  # DF, and no look at the cached path MTU
MSG_ERRQUEUE = 0x2000
EXTENDED_ERROR = struct.Struct("=IBBBBII")  # errno, origin, type, code, padding, information, data


class Probe:
    """From one guest to an address."""

    def __init__(self, guest, target, tries=3):
        self.tries, self.sequence = tries, 0
        self.target = ipaddress.ip_address(target)
        self.is_ipv6 = self.target.version == 6
        with guest.namespace.entered():
            self.socket = (socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) if self.is_ipv6
                           else socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
        guest.lab.on_close(self.socket.close)
        if self.is_ipv6:
            self.socket.setsockopt(SOL_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE)
            self.socket.setsockopt(SOL_IPV6, IPV6_RECVERR, 1)
        else:
            self.socket.setsockopt(SOL_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE)
            self.socket.setsockopt(SOL_IP, IP_RECVERR, 1)
        self.socket.connect((target, 0))
        self.socket.setblocking(False)

    def send(self, byte_count):
        """An IP packet of this many octets."""
        from .frames import internet_checksum

        self.sequence = (self.sequence + 1) & 0xFFFF
        payload = b"\xa5" * (byte_count - (48 if self.is_ipv6 else 28))
        header = struct.pack("!BBHHH", 128 if self.is_ipv6 else 8, 0, 0, 0x5654, self.sequence)
        if not self.is_ipv6:
            header = header[:2] + struct.pack("!H", internet_checksum(header + payload)) + header[4:]
        while True:
            try:
                self.socket.send(header + payload)
                return
            except OSError:  # the error of the packet before
                self.errors()

    def errors(self):
        """{sequence number: (MTU, offender is the target)}"""
        found = {}
        while True:
            try:
                packet, notes, _, _ = self.socket.recvmsg(65536, 512, MSG_ERRQUEUE)
            except OSError:
                return found
            for level, kind, data in notes:
                if (level, kind) in ((SOL_IP, IP_RECVERR), (SOL_IPV6, IPV6_RECVERR)):
                    error, _, _, _, _, mtu, _ = EXTENDED_ERROR.unpack(data[:EXTENDED_ERROR.size])
                    offender = data[EXTENDED_ERROR.size:]
                    address = offender[8:24] if self.is_ipv6 else offender[4:8]
                    found[struct.unpack("!H", packet[6:8])[0]] = (mtu, ipaddress.ip_address(address) == self.target)

    def answer(self, byte_count, seconds=1.0):
        """True: the echo came back; (MTU, it seems to come from the target): an ICMP error did; None: nothing."""
        for _ in range(self.tries):
            self.send(byte_count)
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                select.select([self.socket], [], [], left)
                if error := self.errors().get(self.sequence):
                    return error
                try:
                    packet = self.socket.recv(65536)
                except OSError:
                    continue
                message = packet if self.is_ipv6 else packet[20:]
                if message[0] == (129 if self.is_ipv6 else 0) and message[4:8] == struct.pack("!HH", 0x5654, self.sequence):
                    return True
        return None
