"""An uplink that DPDK drives behind io-cores: they receive and send, and workers forward. To guests, hosts and peers nothing changes."""
import os
import struct

import pytest

from lab import Capture, tcp_stream, wait_until
from lab.frames import ethernet, patch, vxlan4
from lab.owned_site import OwnedSite
from lab.site import VNI

pytestmark = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="an io-core and a worker need two processors")
CPUS = sorted(os.sched_getaffinity(0))


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_guests_and_host(lab, ipv6):
    """An io-core, two workers."""
    site = OwnedSite(lab, ipv6, workers=2, io_cores=CPUS[:1]).start()
    daemon = site.daemon
    site.wait_all_pings()
    wait_until(lambda: site.switch.members(site.group) == {"hv1", "hv2"}, lambda: f"joined: {site.switch.members(site.group)}")
    for first, second in (site.guests, site.stations):
        for source, target in ((first, second), (second, first)):
            tcp_stream(source, target, target.ipv4, 1024)
    rows = daemon.ctl("show", "workers")
    assert [(row["role"], row["worker"]) for row in rows] == [("worker", 0), ("worker", 1), ("io", 0)]
    assert rows[2]["queues"] == ["net_af_packet0/0"] and rows[2]["core"] == CPUS[0] and rows[2]["packets"] > 0
    placement = daemon.ctl("show", "placement")
    assert [(core["cpus"], core["reason"]) for core in placement["io_cores"]] == [(str(CPUS[0]), "dataplane.io-cores")]
    rings = [[queue["queue"] for queue in worker["queues"] if queue["kind"] == "ring"] for worker in placement["workers"]]
    assert rings == [[0], [1]] and all(CPUS[0] not in cpus(worker["cpus"]) for worker in placement["workers"])
    assert "io 0" in daemon.table("show", "placement") and "io 0" in daemon.table("show", "workers")
    row = site.underlay()
    assert (row["device"], row["driver"], row["up"], row["mtu"]) == ("vtep0", "net_af_packet", True, 1500)
    drops = daemon.drops()
    assert not {"transmit-full", "refused-by-kernel", "offload-headers", "outer-fragment", "frame-too-long", "no-buffers"} & set(drops), drops


def cpus(text):
    """Of a list like 0-3,8."""
    ends = [part.split("-") for part in text.split(",")]
    return {number for end in ends for number in range(int(end[0]), int(end[-1]) + 1)}


def test_flows_keep_their_order(lab):
    site = OwnedSite(lab, workers=2, io_cores=CPUS[:1], flood="replicate").start()
    site.wait_all_pings()
    (flows, count) = (16, 200)
    at_guest = Capture(site.vm1.namespace, "eth0", "ether proto 0x88b5", inbound=True)
    wire = site.switch.namespace.raw_socket("hv1", receive=False)
    router = site.peer.namespace.mac("u0")
    before = [row["packets"] for row in site.daemon.ctl("show", "workers")]

    def packet(flow, number):
        inner = ethernet(site.vm2.mac, site.vm1.mac, struct.pack("!HH", flow, number).ljust(46, b"\x00"))
        # The source port is all in which flows differ.
        whole = vxlan4(router, site.host.mac, site.peer.ipv4, site.host.ipv4, inner, vni=VNI)
        return patch(whole, 34, struct.pack("!H", 50000 + flow))

    for number in range(count):
        for flow in range(flows):
            wire.send(packet(flow, number))
        if number % 20 == 19:
            at_guest.wait(flows * (number + 1))
    got = {flow: [] for flow in range(flows)}
    for frame in at_guest.packets():
        flow, number = struct.unpack("!HH", frame[14:18])
        got[flow].append(number)
    assert got == {flow: list(range(count)) for flow in range(flows)}
    after = [row["packets"] for row in site.daemon.ctl("show", "workers")]
    shares = [late - early for late, early in zip(after, before)]
    assert shares[0] >= count and shares[1] >= count and shares[2] >= flows * count, f"workers and io-core: {shares}"


def test_restarts_and_reloads(lab):
    """A second NIC, which floods its rings, comes and goes: nothing of it is left over, or packet buffers would run out."""
    site = OwnedSite(lab, workers=2, io_cores=CPUS[:1], flood="replicate").start()
    site.wait_all_pings()
    for end in (site.daemon.stop, site.daemon.kill):
        assert end() in (0, None)
        site.start()
        site.wait_all_pings()
    underlay = site.daemon.config["underlay"]
    alone = {"dpdk": underlay["dpdk"], "tap": "vtep0"}
    for _ in range(8):
        underlay.update(dpdk=[alone["dpdk"], "net_null0"], tap=["vtep0", "vtep1"])
        site.daemon.reload("configuration reloaded")
        io_core = site.daemon.ctl("show", "workers")[2]
        assert io_core["queues"] == ["net_af_packet0/0", "net_null0/0"]
        underlay.update(alone)
        site.daemon.reload("configuration reloaded")
    assert site.daemon.ctl("show", "workers")[2]["queues"] == ["net_af_packet0/0"]
    site.wait_all_pings()
    tcp_stream(site.vm2, site.vm1, site.vm1.ipv4, 1024)
    assert "no-buffers" not in site.daemon.drops()
    site.daemon.config["dataplane"]["io-cores"] = CPUS[1:2]
    site.daemon.reload("dataplane changed: takes effect when vtepd is restarted")
    assert site.daemon.stop() == 0


def test_refusals(lab):
    site = OwnedSite(lab, io_cores=[1023])
    site.daemon.write_config()
    site.daemon.start(wait=False)
    assert site.daemon.process.wait(60) == 2
    assert "dataplane.io-cores: CPU 1023 is not available to this process; choose from" in site.daemon.log()
