"""The first packet is not lost while a neighbour is being resolved."""
import pytest

from lab import Site
from lab.frames import ethernet, receive


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("flood", ["replicate", "multicast"])
def test_first_ping_of_a_new_pair_after_a_flush(lab, flood, ipv6):
    site = Site(lab, vtepd=2, flood=flood, ipv6=ipv6)
    if flood == "multicast":
        site.wait_joined()
    site.wait_all_pings()
    vm1, vm2 = site.guests
    for number in range(10, 15):
        # A new pair: addresses that are in no table on the path.
        for guest, octet in ((vm1, 1), (vm2, 2)):
            guest.namespace.ip(f"link set eth0 address 02:00:00:00:{number:02x}:{octet:02x}")
            guest.namespace.ip(f"address add 10.0.{number}.{octet}/24 dev eth0")
            guest.forget_neighbors()
        for host in site.hosts:
            host.namespace.flush_neighbors()
        assert vm1.ping(f"10.0.{number}.2", 1, 5) == 1, f"pair {number}: the first echo was lost"


def test_held_frames_come_in_order(lab):
    """The peer does not answer ARP for a while; frames sent in the meantime then arrive in order."""
    site = Site(lab, vtepd=2, flood="replicate")
    site.wait_all_pings()
    vm1, vm2 = site.guests
    peer, host = site.hosts[1].namespace, site.hosts[0].namespace
    peer.run("nft", "add", "table", "netdev", "t")
    peer.run("nft", "add", "chain", "netdev", "t", "c", "{ type filter hook ingress device u0 priority 0; }")
    peer.run("nft", "add", "rule", "netdev", "t", "c", "ether", "type", "arp", "drop")
    host.flush_neighbors()
    host.ip("link set u0 down")
    host.ip("link set u0 up")
    raw, receiver = vm1.namespace.raw_socket("eth0", receive=False), vm2.namespace.raw_socket("eth0")
    count = 50
    for number in range(count):
        raw.send(ethernet(vm1.mac, vm2.mac, b"held frame %04d" % number + b"\x00" * 32))
    peer.run("nft", "delete", "table", "netdev", "t")
    seen = []
    while len(seen) < count:
        frame = receive(receiver, lambda frame: b"held frame" in frame)
        seen.append(int(frame[25:29]))
    assert seen == list(range(count))
