"""Captures of other VTEPs, replayed to vtepd: the inner frames must come out unchanged, octet for octet."""
import pathlib
import struct

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import rdpcap

from lab import Chatter, Guest, Switch, UnderlayHost, Vtepd, wait_until
from lab.frames import internet_checksum, mac_bytes

CAPTURES = pathlib.Path(__file__).resolve().parents[3] / "shared/captures"
pytestmark = pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"no captures at {CAPTURES}")
MTU = 9500


def bench(lab, address, vni):
    """vtepd at the capture's destination address, with one port in its VNI, and a sender on the wire."""
    switch = Switch(lab, mtu=MTU)
    host, sender = UnderlayHost(lab, switch, 1), UnderlayHost(lab, switch, 102, "sender")
    host.namespace.ip(f"address add {address}/32 dev u0")
    guest = Guest(lab, "vm1", 1)
    host.namespace.ip(f"link add port1 mtu {MTU} type veth peer name eth0 netns {guest.namespace.full_name}")
    host.namespace.ip("link set port1 up")
    guest.namespace.ip(f"link set eth0 mtu {MTU} up")
    daemon = Vtepd(host.namespace, {
        "underlay": {"addresses": [address], "device": "u0"},
        "vnis": [{"vni": vni, "flood": "none"}],
        "ports": [{"name": "vm1", "kind": "netdev", "device": "port1", "vni": vni}],
    }).start()
    daemon.wait_ports_up()
    guest.device = "eth0"
    chatter = Chatter(guest)
    before = chatter.undisturbed(daemon.drops).get("flood-disabled", 0)

    def wait_drops(expected):
        """Waits until exactly these are counted, apart from what the guest's stack sends, which is flooded to nobody."""
        def counted():
            drops = daemon.drops()
            drops["flood-disabled"] = drops.get("flood-disabled", 0) - before - chatter.count()
            return {reason: count for reason, count in drops.items() if count}

        wait_until(lambda: counted() == expected, lambda: f"{expected} are dropped: {counted()}")

    wire = sender.namespace.raw_socket("u0", receive=False)
    to_mac = mac_bytes(host.namespace.mac("u0"))
    return daemon, guest.namespace.raw_socket("eth0"), lambda packet: wire.send(to_mac + packet[6:]), wait_drops


def udp_checksum_is_right(packet):
    ip = Ether(packet)[IP]
    if ip[UDP].chksum == 0:
        return True
    datagram = bytes(ip[UDP])
    pseudo = bytes(map(int, ip.src.split("."))) + bytes(map(int, ip.dst.split("."))) + struct.pack("!HH", 17, len(datagram))
    return internet_checksum(pseudo + datagram) == 0


@pytest.mark.parametrize("name, destination, vni", [
    ("tcpdump-vxlan", "192.168.202.1", 100),
    ("tcpdump-vxlan", "192.168.203.1", 100),
    ("zeek-vxlan-encapsulated-http", "10.1.1.172", 1),
    ("zeek-vxlan-encapsulated-igmp-v2", "172.30.0.2", 4242),
    ("zeek-vxlan-inner-tcp-bad-checksum", "192.168.1.2", 42),
    ("tcpdump-gso-ipv4-vxlan-ipv4", "10.25.132.13", 5001),
])
def test_inner_frames_come_out_untouched(lab, name, destination, vni):
    daemon, port, send, wait_drops = bench(lab, destination, vni)
    packets = [bytes(packet) for packet in rdpcap(str(CAPTURES / f"{name}.pcap")) if packet[IP].dst == destination]
    assert packets
    delivered = refused = 0
    # In some captures both directions of the inner flows come from the same VTEP: a known source is then "behind another VTEP" for
    # the other direction. So each packet meets an empty table.
    for packet in packets:
        daemon.ctl("mac", "flush", "--vni", vni)
        send(packet)
        if udp_checksum_is_right(packet):
            assert port.recv(65535) == packet[50:]
            delivered += 1
        else:
            refused += 1
            wait_drops({"udp-checksum": refused})
    assert delivered + refused == len(packets)
    wait_drops({"udp-checksum": refused} if refused else {})


def test_vxlan_gpe_is_ignored(lab):
    """A different UDP port: neither counted nor forwarded."""
    daemon, port, send, wait_drops = bench(lab, "192.0.2.1", 16777215)
    packet = bytes(rdpcap(str(CAPTURES / "tcpdump-nsh-over-vxlan-gpe.pcap"))[0])
    send(packet)
    # The next packet comes out first: the previous one did not.
    sound = bytes(rdpcap(str(CAPTURES / "tcpdump-vxlan.pcap"))[0])
    ip = Ether(sound)[IP]
    ip.dst, ip.chksum = "192.0.2.1", None
    sound = sound[:14] + bytes(ip)
    sound = sound[:46] + struct.pack("!I", 16777215 << 8) + sound[50:]
    send(sound)
    assert port.recv(65535) == sound[50:]
    wait_drops({})
