"""Packets that the kernel refuses on the underlay: counted, and nothing behind them waits. What else happens to the interface below."""
import pytest

from lab import Capture, Guest, Vtepd, wait_until
from lab.daemon import Refused
from lab.frames import udp_flow
from lab.hosts import veth
from lab.site import VNI

NEAR, FAR = "02:00:00:00:aa:01", "02:00:00:00:aa:02"


class Wire:
    """A host with vtepd and a guest, and a wire to a host that has the addresses of two VTEPs, 66 and 67."""

    def __init__(self, lab, ipv6=False, mtu=1600, **keys):
        self.host, self.far = lab.namespace("hv1"), lab.namespace("far")
        self.guest = Guest(lab, "vm1", 1)
        veth(self.host, "u0", self.far, "u0")
        self.ours = "2001:db8::1" if ipv6 else "192.0.2.1"
        self.peers = ["2001:db8::66", "2001:db8::67"] if ipv6 else ["192.0.2.66", "192.0.2.67"]
        for namespace, addresses in ((self.host, [self.ours]), (self.far, self.peers)):
            namespace.ip(f"link set u0 mtu {mtu} up")
            for address in addresses:
                namespace.ip(f"address add {address}/{'64 nodad' if ipv6 else 24} dev u0")
        self.guest.attach_veth(self.host, "port1", 1500)
        self.far.run("ethtool", "-K", "u0", "gro", "off")
        self.daemon = Vtepd(self.host, {
            "underlay": {"addresses": [self.ours], "device": "u0", "driver": "af_packet", **keys},
            "vnis": [{"vni": VNI, "flood": "replicate", "peers": self.peers}],
            "ports": [{"name": "vm1", "kind": "netdev", "device": "port1", "vni": VNI}],
        })

    def start(self):
        self.daemon.start()
        self.daemon.wait_ports_up()
        self.daemon.wait_resolved(*self.peers)
        self.raw = self.guest.namespace.raw_socket("eth0", receive=False)
        self.capture = Capture(self.far, "u0", "udp port 4789", inbound=True)
        return self

    def send(self, first, sizes):
        """A frame of each size, each of another flow, to both VTEPs."""
        for number, size in enumerate(sizes, first):
            self.raw.send(udp_flow(NEAR, FAR, number, size))

    def arrived(self, peer):
        """Sizes of the inner frames that came to a VTEP."""
        rows = self.capture.fields("frame.len", "ipv6.dst" if ":" in peer else "ip.dst", only="udp.dstport == 7")
        return sorted(int(length) - (70 if ":" in peer else 50) for length, address in rows if address.split(",")[0] == peer)

    def refused(self):
        return sum(row["count"] for row in self.daemon.ctl("show", "drops") if (row["reason"], row["where"]) == ("refused-by-kernel", "u0"))

    def sent_packets(self):
        return sum(self.daemon.vtep(peer)["tx_packets"] for peer in self.peers)


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_far_end_with_a_smaller_mtu(lab, ipv6):
    wire = Wire(lab, ipv6).start()
    wire.far.ip("link set u0 mtu 1400")
    sizes = [200, 1450, 300, 1451, 1452, 100, 1453] * 10
    good = sorted(size for size in sizes if size < 1000)
    wire.send(0, sizes)
    for peer in wire.peers:
        wait_until(lambda: len(wire.arrived(peer)) >= len(good), lambda: f"{peer}: {len(wire.arrived(peer))} of {len(good)}; {wire.daemon.drops()}")
        assert wire.arrived(peer) == good
    wait_until(lambda: wire.refused() == 2 * (len(sizes) - len(good)), lambda: f"each is counted: {wire.refused()}")
    row = wire.daemon.ctl("show", "underlay")[0]
    assert any("ENOBUFS" in note for note in row["notes"]), row["notes"]
    cause = next(row["description"] for row in wire.daemon.ctl("show", "drops") if row["reason"] == "refused-by-kernel")
    assert "MTU of a veth's far end" in cause

    # The far end takes them now: nothing had to be restarted.
    wire.far.ip("link set u0 mtu 1600")
    wire.send(1000, [1450, 1451])
    for peer in wire.peers:
        wait_until(lambda: wire.arrived(peer)[-2:] == [1450, 1451], lambda: f"{wire.arrived(peer)}")


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_egress_rule_for_one_destination(lab, ipv6):
    wire = Wire(lab, ipv6).start()
    wire.host.run("nft", "add table netdev t; add chain netdev t e { type filter hook egress device u0 priority 0; }; "
                  f"add rule netdev t e {'ip6' if ipv6 else 'ip'} daddr {wire.peers[0]} udp dport 4789 drop")
    wire.send(0, [100] * 200)
    wait_until(lambda: len(wire.arrived(wire.peers[1])) == 200, lambda: f"the other one gets all: {len(wire.arrived(wire.peers[1]))}")
    wait_until(lambda: wire.refused() >= 200, lambda: f"each is counted: {wire.refused()}")
    assert wire.arrived(wire.peers[0]) == []
    wire.host.run("nft", "delete table netdev t")
    wire.send(500, [100] * 10)
    wait_until(lambda: len(wire.arrived(wire.peers[0])) == 10, "without the rule all arrive")
    assert wire.arrived(wire.peers[1]) == [100] * 210


def test_trains_to_a_refused_destination(lab):
    """One flow: its frames leave as trains, which are refused and counted as what they stand for."""
    wire = Wire(lab).start()
    wire.host.run("nft", "add table netdev t; add chain netdev t e { type filter hook egress device u0 priority 0; }; "
                  f"add rule netdev t e ip daddr {wire.peers[0]} udp dport 4789 drop")
    frame = udp_flow(NEAR, FAR, 1, 500)
    before = wire.refused()
    for _ in range(300):
        wire.raw.send(frame)
    wait_until(lambda: wire.refused() - before >= 300, lambda: f"each is counted: {wire.refused() - before}")


def test_down_and_up(lab):
    wire = Wire(lab).start()
    wire.host.ip("link set u0 down")
    wait_until(lambda: not wire.daemon.ctl("show", "underlay")[0]["up"], "it is down")
    wire.send(0, [100] * 5)
    wire.host.ip("link set u0 up")
    wait_until(lambda: (wire.send(100, [101]), 101 in wire.arrived(wire.peers[0]))[1], lambda: f"frames go again: {wire.daemon.drops()}")


def test_interface_that_moves_away_and_back(lab):
    """The same index and name; the sockets of before receive nothing any more."""
    wire = Wire(lab).start()
    other = lab.namespace("elsewhere")
    index = wire.host.ip("-o link show u0").split(":")[0]
    wire.host.ip(f"link set u0 netns {other.full_name}")
    wait_until(lambda: not wire.daemon.ctl("show", "underlay")[0]["up"], "it is gone")
    other.ip(f"link set u0 netns {wire.host.full_name}")
    assert wire.host.ip("-o link show u0").split(":")[0] == index
    wire.host.ip("link set u0 up")
    wire.host.ip(f"address add {wire.ours}/24 dev u0")
    wait_until(lambda: (wire.send(0, [101]), 101 in wire.arrived(wire.peers[0]))[1], lambda: f"frames go again: {wire.daemon.log()[-1000:]}")


def test_renamed_interface(lab):
    wire = Wire(lab).start()
    wire.host.ip("link set u0 down")
    wire.host.ip("link set u0 name uplink7 up")
    wait_until(lambda: (wire.send(0, [101]), 101 in wire.arrived(wire.peers[0]))[1], lambda: f"frames go again: {wire.daemon.log()[-1000:]}")


def test_permanent_neighbours_stay(lab):
    """To open the underlay changes nothing on its interface, so the kernel flushes no neighbours."""
    wire = Wire(lab)
    wire.host.ip("neigh add 192.0.2.99 lladdr 02:00:00:00:99:99 dev u0 nud permanent")
    wire.host.ip("neigh add 192.0.2.98 lladdr 02:00:00:00:98:98 dev u0 nud reachable")
    wire.start()
    wire.daemon.stop()
    shown = wire.host.ip("neigh show dev u0")
    assert "192.0.2.99 lladdr 02:00:00:00:99:99 PERMANENT" in shown
    assert "192.0.2.98" in shown


def test_port_change_that_cannot_be_carried_out(lab):
    """The filter of a socket cannot be replaced: the change is refused, and the old port goes on."""
    wire = Wire(lab).start()
    with wire.host.entered():
        try:
            with open("/proc/sys/net/core/optmem_max", "r+") as file:
                before = file.read()
                file.seek(0)
                file.write("400")
        except FileNotFoundError:
            pytest.skip("this kernel has net.core.optmem_max for all namespaces together")
    wire.daemon.config["underlay"]["udp-port"] = 4790
    wire.daemon.write_config()
    with pytest.raises(Refused, match="attach filter"):
        wire.daemon.ctl("config", "apply", wire.daemon.config_path)
    wire.send(0, [100])
    wait_until(lambda: len(wire.arrived(wire.peers[0])) == 1, "the old port is in use")
    with wire.host.entered(), open("/proc/sys/net/core/optmem_max", "w") as file:
        file.write(before)
    wire.daemon.ctl("config", "apply", wire.daemon.config_path)
    capture = Capture(wire.far, "u0", "udp port 4790", inbound=True)
    wire.send(0, [100])
    capture.wait(2)
