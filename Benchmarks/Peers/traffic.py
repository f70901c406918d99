"""The lines of scripts/bench-peers: what each measures, the frames of its capture file, and where each frame must come out.

    local stations ── access port ── switch ── underlay ── next hop ── VTEPs with the remote stations

Frame `index` is for the remote station `index` (encapsulation, local) or from it (decapsulation), whose address holds that number.
"""
import dataclasses
import functools
import ipaddress
import struct

FIRST_VNI = 5001
UDP_PORT = 4789
# DPDK's net_pcap gives this address to the first device of a process. Packets from the underlay are for it.
UNDERLAY_MAC = bytes.fromhex("027063617000")
NEXT_HOP_MAC = bytes.fromhex("02000000bbfe")
NETWORK4, NETWORK6 = ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00:1::/64")
STATIONS = 16  # local ones, in a single VNI
# Without the frame check sequence. The mean is 360 octets.
IMIX = (64, 64, 590, 64, 590, 64, 1514, 64, 590, 64, 590, 64)


@dataclasses.dataclass(frozen=True)
class Line:
    name: str
    title: str
    direction: str  # encapsulation, decapsulation, local
    least: float  # share of testpmd's frames per CPU-second that vtepd has to reach
    goal: float
    macs: int = 1000  # in the switch's table
    vnis: int = 1
    vteps: int = 16
    sizes: tuple = (64,)  # octets of the inner frames in turn
    is_ipv6: bool = False
    frames: int = 0  # in the file, if not one for each remote station
    floods: bool = False  # each frame is a broadcast, and a copy goes to each VTEP

    # -- stations --------------------------------------------------------------------------------------------------

    @property
    def locals(self):
        """Number of local stations: in one VNI several, otherwise one in each VNI."""
        return STATIONS if self.vnis == 1 else self.vnis

    @property
    def remotes(self):
        return self.macs - self.locals

    @property
    def frame_count(self):
        return self.frames or self.remotes

    def domain(self, index):
        """Number of the VNI of a remote station, from 0."""
        return index % self.vnis

    def vni(self, index):
        return FIRST_VNI + self.domain(index)

    def vlan(self, index):
        """Tag on the access port; 0: untagged, with one VNI."""
        return 0 if self.vnis == 1 else 1 + self.domain(index)

    def local_mac(self, index):
        """The local station that talks to a remote one."""
        number = index % STATIONS if self.vnis == 1 else self.domain(index)
        return struct.pack("!HI", 0x0210, number)

    def remote_mac(self, index):
        return b"\xff" * 6 if self.floods else struct.pack("!HI", 0x0220, index)

    @property
    def known(self):
        """Addresses that are in the table once every frame has been seen."""
        return self.locals + (self.frame_count if self.direction == "decapsulation" else self.remotes)

    # -- underlay --------------------------------------------------------------------------------------------------

    @property
    def own_address(self):
        return ipaddress.ip_address("fd00:99::1" if self.is_ipv6 else "10.99.0.1")

    @property
    def next_hop(self):
        return ipaddress.ip_address("fd00:99::fe" if self.is_ipv6 else "10.99.0.254")

    @property
    def vtep_network(self):
        return NETWORK6 if self.is_ipv6 else NETWORK4

    @property
    def prefix_length(self):
        return 64 if self.is_ipv6 else 24

    def vtep(self, index):
        """Address of the VTEP of a remote station."""
        return vtep(self.vtep_network, (self.domain(index) + index // self.vnis) % self.vteps)

    @functools.cached_property
    def peers(self):
        """VTEPs that get a copy of each broadcast."""
        return [vtep(self.vtep_network, number) for number in range(self.vteps)] if self.floods else []

    # -- frames ----------------------------------------------------------------------------------------------------

    def inner(self, index):
        """The frame as it is inside VXLAN: IPv4 and UDP, without a tag."""
        low = index & 0xFFFF
        length = self.sizes[index % len(self.sizes)] - 14
        total = 0x4500 + length + 0x4000 + 0x4011 + 0xAC10 + 0xAC11 + 2 * low
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        local, remote = self.local_mac(index), self.remote_mac(index)
        addresses = local + remote if self.direction == "decapsulation" else remote + local
        return addresses + struct.pack(
            "!HHHIHHHHHHHHHH", 0x0800, 0x4500, length, 0x4000, 0x4011, ~total & 0xFFFF, 0xAC10, low, 0xAC11, low,
            (0x10 + index % 64) << 8 | index & 0xFF, 5000, length - 20, 0) + b"\x5a" * (length - 28)

    def access(self, index):
        """The frame as it is on an access port."""
        frame = self.inner(index)
        return frame if self.vnis == 1 else frame[:12] + struct.pack("!HH", 0x8100, self.vlan(index)) + frame[12:]

    def packet(self, index):
        """The frame as its VTEP sends it to us."""
        inner = struct.pack("!II", 0x08000000, self.vni(index) << 8) + self.inner(index)
        source_port = 49152 + (index * 2654435761 >> 16 & 0x3FFF)
        addresses = self.vtep(index).packed + self.own_address.packed
        length = 8 + len(inner)
        udp = struct.pack("!HHHH", source_port, UDP_PORT, length, 0)
        ethernet = UNDERLAY_MAC + NEXT_HOP_MAC
        if self.is_ipv6:
            checksum = internet_checksum(addresses + struct.pack("!II", length, 17) + udp + inner) or 0xFFFF
            return ethernet + struct.pack("!HIHBB", 0x86DD, 0x60000000, length, 17, 64) + addresses + udp[:6] + struct.pack("!H", checksum) + inner
        header = struct.pack("!HHIBBH", 0x4500, 20 + length, 0x4000, 64, 17, 0) + addresses
        return ethernet + b"\x08\x00" + header[:10] + struct.pack("!H", internet_checksum(header)) + header[12:] + udp + inner

    def length_out(self, index):
        """Octets of the frame as it leaves the switch."""
        added = (70 if self.is_ipv6 else 50) if self.direction == "encapsulation" else 4 if self.vnis > 1 else 0
        return self.sizes[index % len(self.sizes)] + added

    def write(self, path):
        frame_of = self.packet if self.direction == "decapsulation" else self.access
        write_capture(path, (frame_of(index) for index in range(self.frame_count)))

    # -- what comes out --------------------------------------------------------------------------------------------

    def explain(self, frame):
        """Which frame the switch has sent, and to which VTEP; raises AssertionError if it is not what it should be."""
        inner, outer_length = frame, 0
        if self.direction == "encapsulation":
            outer_length = 70 if self.is_ipv6 else 50
            inner = frame[outer_length:]
            if not self.is_ipv6:
                assert internet_checksum(frame[14:34]) == 0, "outer IPv4 checksum"
            assert frame[:6] == NEXT_HOP_MAC, f"next hop {frame[:6].hex()}"
        plain = inner
        if self.direction == "decapsulation" and self.vnis > 1:
            plain = inner[:12] + inner[16:]
        address = None
        if self.floods:
            index, = struct.unpack_from("!H", plain, 28)  # in the IP addresses
        else:
            index, = struct.unpack_from("!I", plain, 8 if self.direction == "decapsulation" else 2)
        assert index < self.frame_count, f"no frame of this file: {frame.hex()}"
        expected = self.inner(index) if self.direction == "encapsulation" else self.access(index)
        assert inner == expected, f"frame {index} became {inner.hex()}, expected {expected.hex()}"
        if outer_length:
            size = len(self.vtep(index).packed)
            address = frame[outer_length - 16 - size:outer_length - 16]
            if self.floods:
                assert ipaddress.ip_address(address) in self.peers, f"a copy goes to {address.hex()}"
            else:
                assert address == self.vtep(index).packed, f"frame {index} goes to {address.hex()}"
            port, length, checksum = struct.unpack_from("!HHH", frame, outer_length - 14)
            assert (port, length) == (UDP_PORT, 16 + len(inner)), f"frame {index}: UDP {port}, length {length}"
            if self.is_ipv6:
                assert checksum, f"frame {index}: no checksum"
                pseudo = frame[22:54] + struct.pack("!II", length, 17)
                assert internet_checksum(pseudo + frame[54:]) == 0, f"frame {index}: wrong checksum"
            flags, vni = struct.unpack_from("!II", frame, outer_length - 8)
            assert (flags, vni) == (0x08000000, self.vni(index) << 8), f"frame {index}: VXLAN header {flags:08x} {vni:08x}"
        return index, address


@functools.lru_cache(None)
def vtep(network, number):
    return network[1 + number]


def internet_checksum(data):
    if len(data) % 2:
        data += b"\x00"
    rest = int.from_bytes(data, "big") % 0xFFFF
    return 0xFFFF - rest if rest else 0


def write_capture(path, frames):
    """A capture file, LINKTYPE_ETHERNET."""
    with open(path, "wb", buffering=1 << 20) as file:
        file.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for frame in frames:
            file.write(struct.pack("=IIII", 0, 0, len(frame), len(frame)) + frame)


def text(mac):
    return mac.hex(":")


def both(name, title, encapsulation, decapsulation, **values):
    for direction, (least, goal) in (("encapsulation", encapsulation), ("decapsulation", decapsulation)):
        yield Line(f"{name}-{direction[:5]}", title, direction, least, goal, **values)


LINES = {line.name: line for line in (
    *both("1k", "1,000 MACs, 1 VNI", (0.48, 0.58), (0.50, 0.60)),
    *both("100k", "100,000 MACs, 1,000 VNIs, 1,000 VTEPs", (0.45, 0.55), (0.45, 0.55), macs=100_000, vnis=1000, vteps=1000),
    *both("1m", "1,000,000 MACs, 1 VNI", (0.35, 0.45), (0.35, 0.45), macs=1_000_000),
    *both("imix", "IMIX, 1,000 MACs", (0.6, 0.7), (0.6, 0.7), sizes=IMIX),
    *both("1500", "1500 B, 1,000 MACs", (0.6, 0.7), (0.6, 0.7), sizes=(1514,)),
    *both("ipv6", "IPv6 underlay with checksum, 1,000 MACs", (0.38, 0.45), (0.38, 0.45), is_ipv6=True),
    *(Line(f"flood-{count}-{size}", f"broadcasts to {count} VTEPs, {size} B, copies", "encapsulation", 0, 0, macs=STATIONS, frames=1000,
           vteps=count, sizes=(size,), floods=True) for count in (64, 256) for size in (64, 1514)),
    Line("local", "port to port, 1,000 MACs, 1 VNI", "local", 0.6, 0.7),
)}
