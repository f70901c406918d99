"""The remedy that `show drops` gives for a reason is followed to the letter, and the frames pass."""
import pytest

from lab import Site, VirtioGuest, wait_until
from lab.frames import ethernet, mac_number, tagged, udp_flow
from lab.hosts import Guest
from lab.site import VNI

FAR, FAR_VTEP = mac_number(0x92), "203.0.113.9"


class Bench:
    """A daemon with the ports vm1 and vm8 (veth), and its drop texts."""

    def __init__(self, lab, mtu=1500):
        self.site = Site(lab, vtepd=1, flood="none", wait=False)
        self.daemon, self.host, self.one = self.site.daemons[0], self.site.hosts[0].namespace, self.site.guests[0]
        self.two = Guest(lab, "vm8", 8).attach_veth(self.host, "port8", mtu)
        self.daemon.config["ports"].append({"name": "vm8", "kind": "netdev", "device": "port8", "vni": VNI})
        self.daemon.config["vnis"][0]["macs"] = [{"mac": FAR, "vtep": FAR_VTEP}]
        self.daemon.write_config()
        self.site.start()
        self.raw_one, self.raw_two = (guest.namespace.raw_socket("eth0") for guest in (self.one, self.two))
        self.introduce()

    def introduce(self):
        """Both stations are known."""
        for raw, guest in ((self.raw_one, self.one), (self.raw_two, self.two)):
            wait_until(lambda: (raw.send(ethernet(guest.mac)), guest.mac in self.daemon.macs())[1], f"{guest.name} is known")

    def text(self, reason):
        return next(row["description"] for row in self.daemon.ctl("show", "drops") if row["reason"] == reason and row["count"])

    def dropped(self, reason):
        return self.daemon.drops().get(reason, 0)

    def expect_drop(self, reason, send):
        """Sends until frames are dropped for this reason and no other; returns its text."""
        before, others = self.dropped(reason), {name: count for name, count in self.daemon.drops().items() if name != reason}
        wait_until(lambda: (send(), self.dropped(reason) > before)[1], lambda: f"dropped as {reason}: {self.daemon.drops()}")
        assert {name: count for name, count in self.daemon.drops().items() if name != reason} == others
        return self.text(reason)

    def expect_pass(self, frame, raw=None):
        """The frame reaches vm8."""
        self.raw_two.settimeout(0.2)

        def came():
            (raw or self.raw_one).send(frame)
            try:
                while self.raw_two.recv(65535) != frame:
                    pass
                return True
            except TimeoutError:
                return False

        wait_until(came, lambda: f"the frame reaches vm8: {self.daemon.drops()}\n{self.daemon.log()}")


def set_mtu(bench, guest, device, mtu):
    bench.host.ip(f"link set {device} mtu {mtu}")
    guest.namespace.ip(f"link set eth0 mtu {mtu}")


def test_frame_too_long(lab):
    """A guest's jumbo frame that returns through a memif port, in several buffers: the ports were smaller when vtepd started."""
    bench = Bench(lab)
    bench.daemon.config["vnis"].append({"vni": 77, "flood": "none"})
    there = {"name": "there", "kind": "memif", "socket": "m.sock", "role": "server", "vni": VNI}
    here = {"name": "here", "kind": "memif", "socket": "./m.sock", "vni": 77, "macs": [bench.two.mac]}
    behind = {"name": "g1", "kind": "vhost-user", "vni": 77}
    bench.daemon.config["ports"] += [
        there, behind, here]

    def restart(socket):
        bench.daemon.stop()
        behind["socket"] = socket
        bench.daemon.write_config()
        guest = VirtioGuest(lab, bench.daemon.directory / "run" / socket, buffer_bytes=8192)
        bench.daemon.start(wait=False)
        bench.daemon.wait_running()
        guest.boot()
        bench.daemon.wait_ports_up()
        bench.introduce()
        return guest

    guest = restart("g1.sock")
    bench.daemon.ctl("port", "set", "here", "--mtu", 4000)
    bench.daemon.wait_ports_up()
    jumbo = udp_flow(mac_number(0x93), bench.two.mac, 1, size=4000)
    text = bench.expect_drop("frame-too-long", lambda: guest.send(jumbo))
    assert "restart vtepd after raising the port's" in text
    here["mtu"] = 4000
    set_mtu(bench, bench.two, "port8", 4000)
    bench.expect_pass(jumbo, restart("g2.sock"))


def test_refused_by_kernel_for_a_smaller_mtu_of_the_far_end(lab):
    bench = Bench(lab)
    frame = udp_flow(bench.one.mac, bench.two.mac, 1, size=1514)
    bench.expect_pass(frame)
    bench.two.namespace.ip("link set eth0 mtu 600")
    text = bench.expect_drop("refused-by-kernel", lambda: bench.raw_one.send(frame))
    assert "MTU of a veth's far end below ours (ip link)" in text
    bench.two.namespace.ip("link set eth0 mtu 1500")
    bench.expect_pass(frame)


@pytest.mark.parametrize("tool", ["tc", "nft"])
def test_refused_by_kernel_for_an_egress_filter_or_shaper(lab, tool):
    bench = Bench(lab)
    frame = udp_flow(bench.one.mac, bench.two.mac, 1)
    if tool == "tc":
        bench.host.run("tc", "qdisc", "add", "dev", "port8", "root", "tbf", "rate", "8kbit", "burst", "1600", "limit", "1600")
    else:
        bench.host.run("nft", "add table netdev t")
        bench.host.run("nft", 'add chain netdev t c { type filter hook egress device "port8" priority 0; policy drop; }')

    def burst():
        for _ in range(64):
            bench.raw_one.send(frame)

    text = bench.expect_drop("refused-by-kernel", burst)
    assert "an egress rule (nft list ruleset; tc filter show dev IF egress), a full queueing discipline (tc -s qdisc show dev IF)" in text
    bench.host.run(*("tc qdisc del dev port8 root" if tool == "tc" else "nft delete table netdev t").split())
    bench.expect_pass(frame)


def test_transmit_full_by_a_shaper(lab):
    """Its queue holds more than our share of memory."""
    bench = Bench(lab)
    frame = udp_flow(bench.one.mac, bench.two.mac, 1)
    bench.host.run("tc", "qdisc", "add", "dev", "port8", "root", "tbf", "rate", "8kbit", "burst", "1600", "limit", "100m")

    def burst():
        for _ in range(256):
            bench.raw_one.send(frame)

    text = bench.expect_drop("transmit-full", burst)
    assert "a shaper (tc -s qdisc show dev IF)" in text
    bench.host.run("tc", "qdisc", "del", "dev", "port8", "root")
    bench.expect_pass(frame)


def test_guest_ring_full(lab):
    """A paused guest does not take buffers from its ring."""
    bench = Bench(lab)
    bench.daemon.ctl("port", "add", "--name", "g1", "--kind", "vhost-user", "--socket", "g1.sock", "--vni", VNI)
    guest = VirtioGuest(lab, bench.daemon.directory / "run/g1.sock").boot()
    bench.daemon.wait_ports_up("g1")
    mac = mac_number(0x91)
    wait_until(lambda: guest.send(ethernet(mac, bench.two.mac)) and mac in bench.daemon.macs(), "the guest is known")
    frame = udp_flow(bench.one.mac, mac, 1)

    def burst():
        for _ in range(64):
            bench.raw_one.send(frame)

    text = bench.expect_drop("guest-ring-full", burst)
    assert "that the guest runs and is not paused" in text
    guest.frames()
    wait_until(lambda: (bench.raw_one.send(frame), frame in guest.frames())[1], "the guest gets frames again")


@pytest.mark.parametrize("before", [None, "unreachable", "blackhole", "prohibit"])
def test_no_route(lab, before):
    bench = Bench(lab)
    host = bench.host
    if before:
        host.ip(f"route add {before} {FAR_VTEP}")
    text = bench.expect_drop("no-route", lambda: bench.raw_one.send(udp_flow(bench.one.mac, FAR, 1)))
    assert "add one, or replace the unreachable, blackhole or prohibit route" in text and "show vteps says why" in text
    assert (before or "no route") in bench.daemon.vtep(FAR_VTEP)["reason"]
    if before:
        host.ip(f"route delete {before} {FAR_VTEP}")
    host.ip(f"route add {FAR_VTEP} via 192.0.2.254")
    expect_sent(bench)


@pytest.mark.parametrize("what", ["carrier", "interface"])
def test_uplink_down(lab, what):
    bench = Bench(lab)
    bench.host.ip(f"route add {FAR_VTEP} via 192.0.2.254")
    expect_sent(bench)
    switch, port = bench.site.switch.namespace, bench.site.hosts[0].switch_port
    if what == "carrier":
        switch.ip(f"link set {port} down")
    else:
        # This also deletes the kernel's routes.
        bench.host.ip("link set u0 down")
    reason = "uplink-down" if what == "carrier" else "no-route"
    wait_until(lambda: bench.daemon.vtep(FAR_VTEP)["state"] == "unreachable", "the VTEP is unreachable")
    text = bench.expect_drop(reason, lambda: bench.raw_one.send(udp_flow(bench.one.mac, FAR, 1)))
    if what == "carrier":
        assert "down or has no carrier (show underlay); bring it up" in text
        assert [row["up"] for row in bench.daemon.ctl("show", "underlay")] == [False]
        switch.ip(f"link set {port} up")
    else:
        assert "add one" in text
        bench.host.ip("link set u0 up")
        bench.host.ip(f"route add {FAR_VTEP} via 192.0.2.254")
    expect_sent(bench)


def expect_sent(bench):
    """Frames to the far VTEP are sent and none of them is dropped."""
    wait_until(lambda: bench.daemon.vtep(FAR_VTEP)["state"] == "resolved", lambda: f"resolved: {bench.daemon.vtep(FAR_VTEP)}")
    leaving, before = bench.site.switch.namespace.raw_socket(bench.site.hosts[0].switch_port), bench.daemon.drops()
    frame = udp_flow(bench.one.mac, FAR, 1)
    leaving.settimeout(10)
    bench.raw_one.send(frame)
    while not leaving.recv(65535).endswith(frame):
        pass
    assert bench.daemon.drops() == before


def test_too_big_for_a_tap(lab):
    bench = Bench(lab)
    bench.daemon.stop()
    bench.daemon.config["ports"].append({"name": "t", "kind": "tap", "device": "tap9", "vni": VNI, "mtu": 9000})
    set_mtu(bench, bench.one, "port1", 4000)
    bench.daemon.write_config()
    bench.daemon.start(wait=False)
    bench.daemon.wait_running()
    tap = Guest(lab, "vm9", 9)
    tap.attach_tap(bench.host, "tap9")
    bench.daemon.wait_ports_up()
    raw = tap.namespace.raw_socket("tap9")
    wait_until(lambda: (raw.send(ethernet(tap.mac)), tap.mac in bench.daemon.macs())[1], "the tap's station is known")
    large = udp_flow(bench.one.mac, tap.mac, 1, size=4000)
    raw.settimeout(10)
    bench.raw_one.send(large)
    while raw.recv(9000) != large:
        pass
    # The far end decides.
    tap.namespace.ip("link set tap9 mtu 1500")
    wait_until(lambda: bench.daemon.port("t")["mtu"] == 1500, "the port has the MTU")
    bench.expect_drop("too-big-for-port", lambda: bench.raw_one.send(large))


def test_vlan_4095_and_unbound_ones(lab):
    """4095 can be bound nowhere; all others can."""
    bench = Bench(lab)
    frame = udp_flow(bench.one.mac, bench.two.mac, 1)
    assert "is reserved" in bench.expect_drop("vlan-reserved", lambda: bench.raw_one.send(tagged(frame, 4095)))
    assert "add it under the port's vlans" in bench.expect_drop("vlan-not-bound", lambda: bench.raw_one.send(tagged(frame, 7)))
    bench.daemon.ctl("binding", "add", "--port", "vm1", "--vlan", 7, "--vni", VNI)
    bench.raw_one.send(tagged(frame, 7))
    bench.raw_two.settimeout(10)
    while bench.raw_two.recv(4096) != frame:
        pass
