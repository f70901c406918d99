"""Frames and VXLAN packets as bytes, valid by default."""
import struct

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

BROADCAST = "ff:ff:ff:ff:ff:ff"


def ethernet(source, destination=BROADCAST, payload=b"\x00" * 46, ethertype=0x88B5):
    """A frame with a local experimental EtherType: no IP stack on the way reacts to it."""
    return mac_bytes(destination) + mac_bytes(source) + struct.pack("!H", ethertype) + payload


def tagged(frame, vlan, tpid=0x8100, priority=0):
    return frame[:12] + struct.pack("!HH", tpid, priority << 13 | vlan) + frame[12:]


def udp_flow(source, destination, number, size=64, tos=0):
    """A frame of UDP flow `number`: its own addresses and ports, correct checksums."""
    addresses = bytes([10, 1, number >> 8 & 255, number & 255, 10, 2, 0, 1])
    payload = b"\x5a" * (size - 42)
    udp = struct.pack("!HHHH", 1024 + number, 7, 8 + len(payload), 0) + payload
    checksum = internet_checksum(addresses + struct.pack("!HH", 17, len(udp)) + udp) or 0xFFFF
    header = struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(udp), 1, 0, 64, 17, 0) + addresses
    header = header[:10] + struct.pack("!H", internet_checksum(header)) + header[12:]
    return mac_bytes(destination) + mac_bytes(source) + b"\x08\x00" + header + udp[:6] + struct.pack("!H", checksum) + udp[8:]


def internet_checksum(data):
    data += b"\x00" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def arp_request(source, sender, target):
    return bytes(Ether(src=source, dst=BROADCAST) / ARP(op=1, hwsrc=source, psrc=sender, pdst=target))


def echo_request(source, destination, sender, target, tos=0):
    return bytes(Ether(src=source, dst=destination) / IP(src=sender, dst=target, tos=tos) / ICMP(id=7, seq=1) / Raw(b"x" * 32))


def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


def mac_number(number, prefix=0x02):
    """The address prefix:00:NN:NN:NN:NN of a number."""
    return ":".join(f"{octet:02x}" for octet in bytes([prefix, 0]) + struct.pack("!I", number))


def vxlan_header(vni, flags=0x08, reserved=b"\x00\x00\x00", last=0):
    return bytes([flags]) + reserved + struct.pack("!I", vni << 8 | last)


def vxlan4(outer_source, outer_destination, source, destination, inner, vni=5001, header=None, checksum=False, **ip_fields):
    """A VXLAN packet over IPv4. `ip_fields` go into the outer IP header; scapy computes missing fields."""
    udp = UDP(sport=50000, dport=4789) if checksum else UDP(sport=50000, dport=4789, chksum=0)
    payload = (vxlan_header(vni) if header is None else header) + inner
    ip_fields.setdefault("flags", "DF")
    return bytes(Ether(src=outer_source, dst=outer_destination) / IP(src=source, dst=destination, **ip_fields) / udp / Raw(payload))


def vxlan6(outer_source, outer_destination, source, destination, inner, vni=5001, checksum=None, **ip_fields):
    """The same over IPv6; `checksum` None: the correct one."""
    udp = UDP(sport=50000, dport=4789) if checksum is None else UDP(sport=50000, dport=4789, chksum=checksum)
    payload = vxlan_header(vni) + inner
    return bytes(Ether(src=outer_source, dst=outer_destination) / IPv6(src=source, dst=destination, **ip_fields) / udp / Raw(payload))


def fix_ipv4_checksum(packet, header_length=20):
    """Sets the correct checksum in the IPv4 header of an untagged Ethernet frame."""
    header = packet[14:24] + b"\x00\x00" + packet[26:14 + header_length]
    return packet[:24] + struct.pack("!H", internet_checksum(header)) + packet[26:]


def patch(packet, offset, replacement, fix=False):
    """The packet with other bytes at an offset; `fix` corrects the IPv4 header checksum."""
    changed = packet[:offset] + replacement + packet[offset + len(replacement):]
    return fix_ipv4_checksum(changed) if fix else changed


def receive(raw, accept, seconds=20):
    """The first frame on a raw socket that `accept` accepts."""
    import time

    raw.settimeout(seconds)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            frame = raw.recv(65535)
        except TimeoutError:
            break
        if accept(frame):
            return frame
    raise AssertionError(f"no such frame within {seconds} s")
