"""The table of tags and priorities on the real daemon: frames in and out of a port and of a tunnel, in both directions.

The port binds untagged frames and VLAN 100 to VNI 5001, and VLAN 200 to VNI 5002; 5002 discards inner tags, 5001 discards or
carries them. The wire side is a raw socket: every octet sent there is checked, and tshark reads the outer headers.
"""
import struct

import pytest

from lab import Capture, wait_until
from lab.daemon import Vtepd
from lab.frames import echo_request, mac_bytes, mac_number, vxlan4
from lab.hosts import Guest, Switch, UnderlayHost

OWN, OTHER = 5001, 5002
C, S = 0x8100, 0x88A8
STATION, REMOTE = mac_number(0x11), mac_number(0x21)

# (inner-vlan of 5001, tags in as (TPID, VLAN, priority), inner DSCP) → (VNI, inner tags, outer DSCP), or the reason of the drop.
# The port's tpid is S.
INTO_TUNNEL = [
    ("discard", [], 0, (OWN, [], 0)),
    ("discard", [], 46, (OWN, [], 46)),
    ("discard", [(S, 100, 0)], 0, (OWN, [], 0)),
    ("discard", [(C, 100, 0)], 0, "tpid-not-bound"),
    ("discard", [(S, 200, 0)], 0, (OTHER, [], 0)),
    ("discard", [(S, 100, 5)], 0, (OWN, [], 40)),
    ("discard", [(S, 100, 7)], 10, (OWN, [], 56)),
    ("discard", [(S, 100, 1)], 10, (OWN, [], 10)),  # the inner DSCP maps back to 1
    ("discard", [(S, 100, 5)], 42, (OWN, [], 42)),
    ("discard", [(S, 100, 2)], 46, (OWN, [], 46)),  # by the table, 46 maps back to 2
    ("discard", [(S, 100, 5)], 46, (OWN, [], 40)),  # and not 5
    ("discard", [(C, 0, 6)], 0, (OWN, [], 46)),  # the table's 46
    ("discard", [(S, 0, 6)], 48, (OWN, [], 48)),
    ("discard", [(S, 300, 0)], 0, "vlan-not-bound"),
    ("discard", [(S, 4095, 0)], 0, "vlan-reserved"),
    ("discard", [(S, 100, 0), (C, 200, 0)], 0, "inner-vlan"),
    ("discard", [(S, 300, 0), (C, 100, 0)], 0, "vlan-not-bound"),
    ("discard", [(C, 0, 0), (C, 200, 0)], 0, "inner-vlan"),
    ("carry", [], 0, (OWN, [], 0)),
    ("carry", [(S, 100, 3)], 0, (OWN, [], 24)),
    ("carry", [(S, 200, 0)], 0, (OTHER, [], 0)),
    ("carry", [(S, 200, 0), (C, 7, 0)], 0, "inner-vlan"),
    ("carry", [(S, 100, 0), (C, 200, 6)], 0, (OWN, [(C, 200, 6)], 0)),
    ("carry", [(S, 100, 2), (C, 7, 0), (C, 8, 0)], 0, (OWN, [(C, 7, 0), (C, 8, 0)], 16)),
    ("carry", [(C, 300, 4)], 0, (OWN, [(C, 300, 4)], 0)),
    ("carry", [(C, 100, 0)], 0, (OWN, [(C, 100, 0)], 0)),
    ("carry", [(S, 300, 0), (C, 200, 0)], 0, (OWN, [(S, 300, 0), (C, 200, 0)], 0)),
    ("carry", [(S, 4095, 0)], 0, "vlan-reserved"),
]
# (inner-vlan, VLAN where the station is known, inner tags, outer DSCP) → tags out, or the reason of the drop.
OUT_OF_TUNNEL = [
    ("discard", None, [], 46, []),
    ("discard", 100, [], 0, [(S, 100, 0)]),
    ("discard", 100, [], 40, [(S, 100, 5)]),
    ("discard", 100, [], 46, [(S, 100, 2)]),  # the table's 2
    ("discard", 100, [], 63, [(S, 100, 7)]),
    ("discard", 100, [(C, 7, 0)], 0, "inner-vlan"),
    ("discard", None, [(C, 200, 0)], 0, "inner-vlan"),
    ("discard", None, [(C, 0, 3)], 0, []),
    ("discard", 100, [(C, 0, 3)], 40, [(S, 100, 3)]),
    ("discard", 100, [(C, 0, 3), (C, 7, 0)], 0, "inner-vlan"),
    ("carry", None, [(C, 300, 4)], 0, [(C, 300, 4)]),
    ("carry", None, [(S, 300, 4), (C, 200, 0)], 0, [(S, 300, 4), (C, 200, 0)]),
    ("carry", None, [(S, 200, 0)], 0, "carried-vlan-bound"),
    ("carry", None, [(C, 200, 0)], 0, [(C, 200, 0)]),
    ("carry", None, [(S, 100, 0)], 0, "carried-vlan-bound"),
    ("carry", 100, [(C, 7, 1)], 24, [(S, 100, 3), (C, 7, 1)]),
    ("carry", 100, [(C, 200, 0)], 0, [(S, 100, 0), (C, 200, 0)]),
]


def put(tags, frame):
    """Outermost first."""
    return frame[:12] + b"".join(struct.pack("!HH", tpid, priority << 13 | vlan) for tpid, vlan, priority in tags) + frame[12:]


class Table:
    def __init__(self, lab, kind):
        switch = Switch(lab)
        host, self.wire = UnderlayHost(lab, switch, 1), UnderlayHost(lab, switch, 2, "wire")
        guest = Guest(lab, "bm1", 1)
        if kind == "netdev":
            guest.attach_veth(host.namespace, "port1")
        self.daemon = Vtepd(host.namespace, {
            "underlay": {"addresses": [host.ipv4], "device": "u0", "pcp-to-dscp": [0, 0, 16, 24, 32, 40, 46, 56], "dscp-to-pcp": {46: 2}},
            # The station appears in alternating places, more often than a real one.
            "protection": {"mac-move": {"moves": 0}},
            "vnis": [{"vni": vni, "flood": "none", "macs": [{"mac": REMOTE, "vtep": self.wire.ipv4}]} for vni in (OWN, OTHER)],
            "ports": [{"name": "bm1", "kind": kind, "device": "port1", "vni": OWN, "vlans": {100: OWN, 200: OTHER}, "tpid": "0x88a8"}],
        }).start()
        if kind == "tap":
            guest.attach_tap(host.namespace, "port1")
        self.daemon.wait_ports_up()
        self.daemon.wait_resolved(self.wire.ipv4)
        self.host = host
        self.guest_mac = mac_bytes(guest.mac)
        self.port = guest.namespace.raw_socket(guest.device, receive=False)
        self.underlay = self.wire.namespace.raw_socket("u0", receive=False)
        self.from_port = Capture(guest.namespace, guest.device, inbound=True)
        self.from_tunnel = Capture(self.wire.namespace, "u0", "udp port 4789", inbound=True)
        self.number = 0

    def frame(self, source, destination, dscp=0):
        """A different one each time, so that each is recognised."""
        self.number += 1
        return echo_request(source, destination, "10.0.0.1", f"10.0.{self.number >> 8}.{self.number & 255}", tos=dscp << 2)

    def expect_drop(self, reason, send):
        before = self.daemon.drops().get(reason, 0)
        send()
        wait_until(lambda: self.daemon.drops().get(reason, 0) == before + 1, lambda: f"dropped as {reason}: {self.daemon.drops()}")


@pytest.mark.parametrize("kind", ["tap", "netdev"])
def test_table(lab, kind):
    table = Table(lab, kind)
    for mode in ("discard", "carry"):
        table.daemon.ctl("vni", "set", OWN, "--inner-vlan", mode)
        for _, tags, dscp, outcome in (row for row in INTO_TUNNEL if row[0] == mode):
            frame = table.frame(STATION, REMOTE, dscp)
            if isinstance(outcome, str):
                table.expect_drop(outcome, lambda: table.port.send(put(tags, frame)))
                continue
            vni, inner_tags, outer_dscp = outcome
            inner = put(inner_tags, frame)
            table.port.send(put(tags, frame))
            found = []
            wait_until(lambda: found.extend(packet for packet in table.from_tunnel.packets() if packet[50:] == inner) or found,
                       lambda: f"{mode}, {tags}: {inner.hex()} comes out, not {[packet[50:].hex() for packet in table.from_tunnel.packets()[-2:]]}")
            assert struct.unpack("!I", found[0][46:50])[0] >> 8 == vni, (mode, tags)
            assert found[0][15] == outer_dscp << 2, (mode, tags, dscp)
        for _, vlan, tags, dscp, outcome in (row for row in OUT_OF_TUNNEL if row[0] == mode):
            learn = table.frame(STATION, "ff:ff:ff:ff:ff:ff")
            table.port.send(put([(S, vlan, 0)] if vlan else [], learn))
            place = lambda: [row["vlan"] for row in table.daemon.ctl("show", "mac-table", "--mac", STATION, "--vni", OWN)]
            wait_until(lambda: place() == [vlan], lambda: f"the station is known at {vlan}: {place()}")
            frame = table.frame(REMOTE, STATION)
            packet = vxlan4(table.wire.namespace.mac("u0"), table.host.namespace.mac("u0"), table.wire.ipv4, table.host.ipv4,
                            put(tags, frame), vni=OWN, tos=dscp << 2)
            if isinstance(outcome, str):
                table.expect_drop(outcome, lambda: table.underlay.send(packet))
                continue
            table.underlay.send(packet)
            expected = put(outcome, frame)
            wait_until(lambda: expected in table.from_port.packets(),
                       lambda: f"{mode}, {vlan}, {tags}: {expected.hex()}, not {table.from_port.packets()[-1].hex()}")
    # Nothing else appeared on the port or on the wire, and tshark has no complaints about our packets. Frames from the guest's
    # stack return through its other binding in the same VNI.
    strangers = [frame for frame in table.from_port.stop().packets() if mac_bytes(STATION) not in (frame[:6], frame[6:12])]
    assert {frame[6:18] for frame in strangers} <= {table.guest_mac + struct.pack("!HH", S, 100) + b"\x86\xdd"}
    assert table.from_tunnel.stop().fields("frame.number", only="_ws.expert.severity >= 6291456 && !icmp") == []
    marked = table.from_tunnel.fields("ip.dsfield.dscp", only="ip.dst == 192.0.2.2")
    assert {field.split(",")[0] for field, in marked} == {"0", "10", "16", "24", "40", "42", "46", "48", "56"}


def test_priority_survives_the_overlay(lab):
    """From a tagged port of one gateway to a tagged port of another, all eight priorities; and within one."""
    switch = Switch(lab)
    hosts = [UnderlayHost(lab, switch, number) for number in (1, 2)]
    guests, daemons, raws, captures = [], [], [], []
    for number, host in enumerate(hosts, 1):
        ports = []
        for suffix, vlan in (("a", 100), ("b", 200)):
            guest = Guest(lab, f"bm{number}{suffix}", number * 16 + len(guests))
            guest.attach_veth(host.namespace, f"port{suffix}")
            guest.vlan = vlan
            guests.append(guest)
            ports.append({"name": guest.name, "kind": "netdev", "device": f"port{suffix}", "vlans": {vlan: OWN}})
        daemons.append(Vtepd(host.namespace, {
            "underlay": {"addresses": [host.ipv4], "device": "u0"},
            "vnis": [{"vni": OWN, "flood": "replicate", "peers": [other.ipv4 for other in hosts if other is not host]}], "ports": ports,
        }).start())
    for daemon, other in zip(daemons, reversed(hosts)):
        daemon.wait_ports_up()
        daemon.wait_resolved(other.ipv4)
    raws = [guest.namespace.raw_socket("eth0", receive=False) for guest in guests]
    captures = [Capture(guest.namespace, "eth0", inbound=True) for guest in guests]
    number = 0
    for _ in range(2):  # flooded at first, and then to known addresses
        for source, raw in zip(guests, raws):
            for target, capture in zip(guests, captures):
                if source is target:
                    continue
                for priority in range(8):
                    number += 1
                    frame = echo_request(source.mac, target.mac, "10.0.0.1", f"10.0.{number >> 8}.{number & 255}")
                    raw.send(put([(C, source.vlan, priority)], frame))
                    expected = put([(C, target.vlan, priority)], frame)
                    wait_until(lambda: expected in capture.packets(), f"{expected.hex()} from {source.name} to {target.name}")
