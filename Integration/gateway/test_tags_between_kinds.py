"""Tags of both types, priority tags and stacks of tags between netdev and tap ports, locally and over the tunnel: unchanged where they
are carried, right where they are translated.

    n1 (veth), t1 (tap) ── hv1 ── switch ── hv2 ── n2 (veth), t2 (tap)

All ports are whole trunks in a VNI that carries inner tags. A VLAN of each port, with a VLAN ID and a tag type of its own, is bound to
another VNI.
"""
import struct

import pytest

from lab import Capture, wait_until
from lab.daemon import Vtepd
from lab.frames import BROADCAST, echo_request, mac_bytes, mac_number
from lab.hosts import Guest, Switch, UnderlayHost

CARRYING, TRANSLATING = 5001, 5002
C, S = 0x8100, 0x88A8
PLACES = {  # name: (host, kind, VLAN bound to the other VNI, its tag type)
    "n1": (0, "netdev", 100, S), "t1": (0, "tap", 200, C), "n2": (1, "netdev", 300, C), "t2": (1, "tap", 400, S),
}
# Tags in → tags out, as (type, VLAN, priority), outermost first.
CARRIED = [
    ([], []),
    ([(C, 50, 0)], [(C, 50, 0)]),
    ([(S, 50, 0)], [(S, 50, 0)]),
    ([(C, 50, 5)], [(C, 50, 5)]),
    ([(S, 50, 5)], [(S, 50, 5)]),
    ([(S, 50, 0), (C, 60, 0)], [(S, 50, 0), (C, 60, 0)]),
    ([(C, 50, 0), (C, 60, 0)], [(C, 50, 0), (C, 60, 0)]),
    ([(S, 50, 3), (S, 60, 2), (C, 70, 1)], [(S, 50, 3), (S, 60, 2), (C, 70, 1)]),
    ([(C, 0, 3)], []),
    ([(S, 0, 3)], []),
    ([(C, 0, 3), (C, 60, 2)], [(C, 60, 2)]),
]


def put(tags, frame):
    return frame[:12] + b"".join(struct.pack("!HH", tpid, priority << 13 | vlan) for tpid, vlan, priority in tags) + frame[12:]


@pytest.fixture
def place(lab):
    switch = Switch(lab)
    hosts = [UnderlayHost(lab, switch, number) for number in (1, 2)]
    guests = {name: Guest(lab, name, number) for number, name in enumerate(PLACES, 1)}
    daemons = []
    for index, host in enumerate(hosts):
        ports = []
        for name, (where, kind, vlan, tpid) in PLACES.items():
            if where == index:
                if kind == "netdev":
                    guests[name].attach_veth(host.namespace, name)
                ports.append({"name": name, "kind": kind, "device": name, "vni": CARRYING, "vlans": {vlan: TRANSLATING}, "tpid": f"{tpid:#x}"})
        daemons.append(Vtepd(host.namespace, {
            "underlay": {"addresses": [host.ipv4], "device": "u0"},
            "vnis": [{"vni": vni, "flood": "replicate", "peers": [hosts[1 - index].ipv4], "inner-vlan": mode}
                     for vni, mode in ((CARRYING, "carry"), (TRANSLATING, "discard"))],
            "ports": ports,
        }).start(wait=False))
    for daemon, other in zip(daemons, reversed(hosts)):
        daemon.wait_running()
        daemon.wait_resolved(other.ipv4)
    for name, (where, kind, _, _) in PLACES.items():
        if kind == "tap":
            guests[name].attach_tap(hosts[where].namespace, name)
    for daemon in daemons:
        daemon.wait_ports_up()
    return lab, daemons, guests


def test_tags_between_kinds(place):
    _, daemons, guests = place
    raws = {name: guest.namespace.raw_socket(guest.device, receive=False) for name, guest in guests.items()}
    captures = {name: Capture(guest.namespace, guest.device, inbound=True) for name, guest in guests.items()}
    stations = {name: mac_number(number, prefix=0x06) for number, name in enumerate(PLACES, 1)}
    numbers, right = iter(range(1, 1 << 16)), {name: set() for name in PLACES}

    def check(source, target, tags, expected):
        """Sends to the target's station, or to all; `expected` are the tags at each place."""
        number = next(numbers)
        frame = echo_request(stations[source], stations.get(target, BROADCAST), "10.9.0.1", f"10.9.{number >> 8}.{number & 255}")
        raws[source].send(put(tags, frame))
        for name in [target] if target else [other for other in PLACES if other != source]:
            wanted = put(expected(name), frame)
            right[name].add(wanted)
            wait_until(lambda: wanted in captures[name].packets(),
                       lambda: f"{source} to {name}: {tags} become {expected(name)}: {wanted.hex()}, not "
                       f"{[packet.hex() for packet in captures[name].packets() if packet.endswith(frame[14:])]}; "
                       f"{[daemon.drops() for daemon in daemons]}")

    for source, (_, _, vlan, tpid) in PLACES.items():
        for target in (None, *(other for other in PLACES if other != source)):
            for tags, outcome in CARRIED:
                check(source, target, tags, lambda _: outcome)
            for priority in (0, 5):
                check(source, target, [(tpid, vlan, priority)], lambda name: [(PLACES[name][3], PLACES[name][2], priority)])
    for name, capture in captures.items():  # frames to others are flooded until their place is known
        mine = {mac_bytes(BROADCAST), mac_bytes(stations[name])}
        strangers = [frame.hex() for frame in capture.stop().packets() if frame[6:8] == b"\x06\0" and frame[:6] in mine and frame not in right[name]]
        assert not strangers, f"{name}: {strangers[:3]}"
