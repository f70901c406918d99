"""Missing parts of the underlay (addresses, interfaces, routes) are reported where operators look, and used once they appear."""
import time

import pytest

from lab import Capture, Site, Vtepd, wait_until
from lab.daemon import VTEPD


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_address_that_comes_late_and_goes(lab, ipv6):
    site = Site(lab, vtepd=1, kernel=1, flood="replicate", ipv6=ipv6, wait=False)
    host, daemon, (vm1, vm2) = site.hosts[0].namespace, site.daemons[0], site.guests
    own, far, length = site.address(site.hosts[0]), site.address(site.kernels[0]), 64 if ipv6 else 24
    host.ip(f"address delete {own}/{length} dev u0")
    if ipv6:
        # The remaining address must not be mistaken for it.
        host.ip("address add 2001:db8::77/64 dev u0 nodad")
    else:
        host.ip("address add 192.0.2.77/24 dev u0")
    leaving = Capture(host, "u0", f"udp dst port 4789 and ether src {host.mac('u0')}")

    def problems():
        return [problem for problem in daemon.ctl("status")["problems"] if problem.startswith("underlay.addresses")]

    def captured_and_quiet():
        count = len(leaving.packets())
        time.sleep(1)
        return count if len(leaving.packets()) == count else None

    def nothing_is_sent():
        row = daemon.ctl("show", "underlay")[0]
        assert (row["address"], row["present"]) == (own, False)
        vtep = daemon.vtep(far)
        assert (vtep["state"], vtep["reason"], vtep["next_hops"]) == ("unreachable", f"this host does not have {own}", [])
        assert len(problems()) == 1 and own in problems()[0]
        # The capture sees a packet some time after it was sent.
        wait_until(lambda: captured_and_quiet() is not None, "what was sent before is captured")
        before, packets = daemon.drops().get("own-address-missing", 0), len(leaving.packets())
        assert vm1.ping(vm2.ipv4) == 0
        wait_until(lambda: daemon.drops().get("own-address-missing", 0) > before, lambda: f"it is counted: {daemon.drops()}")
        assert len(leaving.packets()) == packets

    site.start()
    assert f"underlay.addresses {own}: this host does not have it" in daemon.log()
    nothing_is_sent()
    # The remedy as printed, on the uplink.
    words = problems()[0].split("(")[1].split(" dev lo")[0].split()
    assert words[:3] == ["ip", "address", "add"]
    host.ip(f"address add {words[3].split('/')[0]}/{length} dev u0" + (" nodad" if ipv6 else ""))
    vm1.wait_ping(vm2.ipv4)
    assert problems() == [] and daemon.ctl("show", "underlay")[0]["present"] and daemon.vtep(far)["reason"] is None
    assert f"underlay.addresses {own}: the host has it now" in daemon.log()

    host.ip(f"address delete {own}/{length} dev u0")
    wait_until(problems, "it is missing again")
    nothing_is_sent()
    # The host has the address if it is on any interface, or part of a local prefix.
    host.ip(f"route add local {own} dev lo")
    wait_until(lambda: not problems(), "it is there")
    vm1.wait_ping(vm2.ipv4)


def test_interface_without_ethernet_header(lab):
    host = lab.namespace("hv1")
    host.ip("tuntap add dev t0 mode tun")
    host.ip("link set t0 up")
    host.ip("address add 192.0.2.1/24 dev t0")
    daemon = Vtepd(host, {"underlay": {"addresses": ["192.0.2.1"], "device": "t0"}, "vnis": [], "ports": []})

    def check():
        return host.run(VTEPD, "--config", daemon.config_path, "--check", check=False)

    text = "underlay.device t0: its packets have no Ethernet header (kind tun)"
    done = check()
    assert done.returncode == 1 and text in done.stderr and str(daemon.config_path) in done.stderr
    daemon.start(wait=False)
    assert daemon.process.wait(60) == 2
    assert text in daemon.log() and "(a tap, not a tun)" in daemon.log()
    # The remedy.
    host.ip("link delete t0")
    assert check().returncode == 0, "an interface may appear later"
    host.ip("tuntap add dev t0 mode tap")
    host.ip("link set t0 up")
    host.ip("address add 192.0.2.1/24 dev t0")
    assert check().returncode == 0
    daemon.start()
    # Replacing a running one: rejected, with the reason.
    host.ip("tuntap add dev t1 mode tun")
    daemon.config["underlay"]["device"] = ["t0", "t1"]
    daemon.reload("its packets have no Ethernet header")
    assert [row["device"] for row in daemon.ctl("show", "underlay")] == ["t0"]
    host.ip("link delete t0")
    wait_until(lambda: "no such interface" in str(daemon.ctl("status")["problems"]), "it is gone")
    host.ip("tuntap add dev t0 mode tun")
    wait_until(lambda: "underlay.device t0: its packets" in daemon.log().split("configuration")[-1], "the wrong kind is refused")
    assert not daemon.ctl("show", "underlay")[0]["up"]


def test_route_by_another_interface(lab):
    site = Site(lab, vtepd=1, kernel=1, flood="replicate", underlay={"driver": "af_packet"})  # one that can be added at run time
    host, daemon = site.hosts[0].namespace, site.daemons[0]
    far = site.address(site.kernels[0])
    site.guests[0].wait_ping(site.guests[1].ipv4)
    site.switch.connect(host, "x0", "other", "198.51.100.1/24")
    host.ip(f"route add {far}/32 dev x0")
    wait_until(lambda: daemon.vtep(far)["reason"] == "the route leaves by x0, which is not in underlay.device",
               lambda: f"the reason is reported: {daemon.vtep(far)}")
    assert daemon.vtep(far)["state"] == "unreachable"
    assert site.guests[0].ping(site.guests[1].ipv4) == 0
    wait_until(lambda: daemon.drops().get("route-not-underlay", 0) > 0, lambda: f"it is counted: {daemon.drops()}")
    assert "no-route" not in daemon.drops()
    # The remedy.
    daemon.config["underlay"]["device"] = ["u0", "x0"]
    daemon.reload("configuration reloaded")
    site.guests[0].wait_ping(site.guests[1].ipv4)
    assert [hop["device"] for hop in daemon.vtep(far)["next_hops"]] == ["x0"]


def test_other_obstacles_are_reported(lab):
    site = Site(lab, vtepd=1, kernel=1, flood="replicate")
    host, daemon = site.hosts[0].namespace, site.daemons[0]
    far = site.address(site.kernels[0])
    daemon.wait_resolved(far)
    for kind in ("blackhole", "unreachable", "prohibit"):
        host.ip(f"route add {kind} {far}/32")
        wait_until(lambda: daemon.vtep(far)["reason"] == f"the route is of type {kind}", lambda: f"{daemon.vtep(far)}")
        host.ip(f"route delete {kind} {far}/32")
    host.ip("link set u0 down")
    wait_until(lambda: daemon.ctl("status")["problems"] in (["underlay.device u0: down"], ["underlay.tap u0: down"]), lambda: f"{daemon.ctl('status')}")
    assert "u0" in daemon.vtep(far)["reason"] or "no route" in daemon.vtep(far)["reason"]
    host.ip("link set u0 up")
    daemon.wait_resolved(far)
    assert daemon.ctl("status")["problems"] == []
    assert "problem" not in daemon.table("status")
