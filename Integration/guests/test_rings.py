"""The ring layouts that a vhost-user guest may choose: each kind against each other, on one vtepd with two workers."""
import itertools

from lab import Site, StandIn, tcp_stream
from lab.site import VNI

RINGS = {
    "split": {"in_order": 0},
    "in-order": {"in_order": 1},
    "packed": {"packed_vq": 1, "in_order": 0},
    "plain": {"mrg_rxbuf": 0, "in_order": 0},
    "multi": {"queues": 2},
}


def test_guests_with_different_rings(lab):
    site = Site(lab, vtepd=1, dataplane={"workers": 2})
    daemon = site.daemons[0]
    guests = []
    for number, (name, options) in enumerate(RINGS.items(), start=11):
        daemon.ctl("port", "add", "--name", name, "--kind", "vhost-user", "--socket", f"{name}.sock",
                   "--queues", options.get("queues", 1), "--vni", VNI)
        guests.append(StandIn(lab, name, number, daemon.directory / f"run/{name}.sock", **options).start())
    for guest in guests:
        guest.wait_booted()
    daemon.wait_ports_up()
    for one, other in itertools.combinations([site.guests[0], *guests], 2):
        one.wait_ping(other.ipv4)
    for one, other in zip(guests, guests[1:]):
        tcp_stream(one, other, other.ipv4, kilobytes=256)
    features = {name: set(daemon.port(name)["features"]) for name in RINGS}
    for feature, having, lacking in (("packed-ring", "packed", "split"), ("mrg-rxbuf", "split", "plain"),
                                     ("in-order", "in-order", "split"), ("mq", "multi", "split")):
        assert feature in features[having] and feature not in features[lacking], (feature, features)
    assert daemon.port("multi")["queues"] == 2
