"""Interfaces that vanish, come back, are renamed, moved, resized or taken down under traffic: whatever is untouched loses nothing, and
what comes back works again.

    calm (tap), vm1 (veth), victims: x (tap), y (veth) ── hv1: vtepd, 2 workers ── switch ── hv2: vtepd ── vm2 (veth)
"""
import itertools
import time

import pytest

from lab import EchoStream, Guest, Lab, Site, wait_until
from lab.site import VNI

pytestmark = pytest.mark.alone
NAMES = itertools.count(1)
LARGE = 8000


class Life:
    def __init__(self, lab):
        self.lab, self.is_whole, self.site = lab, False, Site(lab, vtepd=2, flood="replicate", dataplane={"workers": 2})
        self.host, self.daemon = self.site.hosts[0].namespace, self.site.daemons[0]
        self.vm1, self.vm2 = self.site.guests
        for name, kind in (("calm", "tap"), ("x", "tap")):
            self.daemon.ctl("port", "add", "--name", name, "--kind", kind, "--device", name, "--vni", VNI)
        self.calm = Guest(lab, "calm", 11).attach_tap(self.host, "calm")
        self.x = Guest(lab, "x", 21).attach_tap(self.host, "x")
        self.y = self.new_veth()
        self.daemon.ctl("port", "add", "--name", "y", "--kind", "netdev", "--device", "y", "--vni", VNI)
        self.site.wait_all_pings()
        for guest in (self.calm, self.x, self.y):
            guest.wait_ping(self.vm2.ipv4)

    def new_veth(self):
        """A guest in a new namespace, at a new veth with the name of port y's interface; no setting but the MTU differs from the defaults."""
        guest = Guest(self.lab, f"y{next(NAMES)}", 22)
        self.host.ip(f"link add y mtu 1450 type veth peer name eth0 netns {guest.namespace.full_name}")
        self.host.ip("link set y up")
        return guest.use("eth0", 1450)

    def wait_works(self, guest):
        """The guest reaches a local port and the other host, and is reached."""
        for target in (self.calm, self.vm2):
            guest.wait_ping(target.ipv4)
        self.vm1.wait_ping(guest.ipv4)

    def state(self, name):
        return self.daemon.port(name)["state"]

    def wait_state(self, name, state):
        wait_until(lambda: self.state(name) == state, lambda: f"{name} is {state}: {self.daemon.port(name)}")


@pytest.fixture(scope="module")
def whole():
    """At most one site, left by the last test as it found it."""
    lives = []
    yield lives
    for life in lives:
        life.lab.close()


@pytest.fixture
def life(whole):
    """All tests share a site. One that fails leaves it in pieces, and the next gets a new one."""
    life = whole.pop() if whole else Life(Lab())
    yield life
    if life.is_whole:
        whole.append(life)
    else:
        life.lab.close()


@pytest.fixture
def site(life):
    """For the daemons' logs in a failure's report."""
    return life


class Untouched:
    """Echo streams that may lose nothing while the body of `with` runs."""

    def __init__(self, life, tunnel=True):
        self.life, life.is_whole = life, False
        self.pairs = [(life.calm, life.vm1), *([(life.vm1, life.vm2), (life.vm2, life.calm)] if tunnel else [])]

    def __enter__(self):
        for source, target in self.pairs:  # no ARP while it is judged
            source.wait_ping(target.ipv4)
        self.streams = [EchoStream(source, target.mac, target.ipv4, rate=200) for source, target in self.pairs]
        for stream in self.streams:
            stream.wait_answers(20)
        self.begin = time.time_ns()

    def __exit__(self, error, *_):
        end = time.time_ns()
        try:
            if not error:
                for stream in self.streams:
                    stream.wait_answers(50)
        finally:
            for stream in self.streams:
                stream.stop()
        if not error:
            lost = {f"{source.name} to {target.name}": stream.lost(self.begin, end)
                    for (source, target), stream in zip(self.pairs, self.streams)}
            assert not any(lost.values()), f"lost: {lost} in {(end - self.begin) / 1e9:.1f} s"
            self.life.is_whole = True


# -- a veth -----------------------------------------------------------------------------------------------------------


def veth_deleted(life):
    life.host.ip("link delete y")
    life.wait_state("y", "waiting")
    life.y = life.new_veth()


def veth_replaced_at_once(life):
    """Between two looks at it: another index under the same name."""
    life.host.ip("link delete y")
    life.y = life.new_veth()


def veth_guests_namespace_deleted(life):
    life.y.namespace.remove()
    life.wait_state("y", "waiting")
    life.y = life.new_veth()


def veth_renamed(life):
    life.host.ip("link set y name other")
    time.sleep(0.3)
    life.host.ip("link set other name y")


def veth_moved(life):
    away = life.lab.namespace(f"away{next(NAMES)}")
    life.host.ip(f"link set y netns {away.full_name}")
    life.wait_state("y", "waiting")
    away.ip(f"link set y netns {life.host.full_name}")
    life.host.ip("link set y up")


def veth_down(life):
    life.host.ip("link set y down")
    life.wait_state("y", "down")
    life.host.ip("link set y up")


def veth_guest_down(life):
    life.y.namespace.ip("link set eth0 down")
    life.wait_state("y", "down")
    life.y.namespace.ip("link set eth0 up")


# -- a tap ------------------------------------------------------------------------------------------------------------


def take_new_tap(life, mac, mtu):
    """vtepd has made it again in its own namespace, as it was; a new container takes it."""
    wait_until(lambda: "link/ether" in life.host.ip("link show dev x", check=False), "the tap is back")
    shown = life.host.ip("link show dev x")
    assert f"link/ether {mac} " in shown and f" mtu {mtu} " in shown, shown
    life.x = Guest(life.lab, f"x{next(NAMES)}", 21).attach_tap(life.host, "x")


def tap_namespace_deleted(life):
    row = life.daemon.port("x")
    life.x.namespace.remove()
    take_new_tap(life, row["mac"], row["mtu"])


def tap_deleted(life):
    row = life.daemon.port("x")
    life.x.namespace.ip("link delete x")
    take_new_tap(life, row["mac"], row["mtu"])


def tap_renamed(life):
    space = life.x.namespace
    for before, after in (("x", "eth0"), ("eth0", "x")):
        space.ip(f"link set {before} name {after}")
        life.x.wait_ping(life.vm2.ipv4)


def tap_moved_on(life):
    before, life.x = life.x, Guest(life.lab, f"x{next(NAMES)}", 21)
    life.x.attach_tap(before.namespace, "x")


def tap_moved_home_and_out(life):
    life.x.namespace.ip(f"link set x netns {life.host.full_name}")
    life.x = Guest(life.lab, f"x{next(NAMES)}", 21).attach_tap(life.host, "x")


def tap_down(life):
    life.x.namespace.ip("link set x down")
    life.wait_state("x", "down")
    life.x.namespace.ip("link set x up")


VETH = [veth_deleted, veth_replaced_at_once, veth_guests_namespace_deleted, veth_renamed, veth_moved, veth_down, veth_guest_down]
TAP = [tap_namespace_deleted, tap_deleted, tap_renamed, tap_moved_on, tap_moved_home_and_out, tap_down]


@pytest.mark.parametrize("event", VETH + TAP)
def test_port(life, site, event):
    name = "y" if event in VETH else "x"
    with Untouched(life):
        victim = EchoStream(life.vm2, getattr(life, name).mac, getattr(life, name).ipv4, rate=200)
        try:
            event(life)
        finally:
            victim.stop()
        life.wait_works(getattr(life, name))
        life.wait_state(name, "up")


def test_mtu_of_ports(life, site):
    """A larger MTU takes effect at once, wherever the interface is, and a smaller one again."""
    def ping(size):
        return life.x.ping(life.y.ipv4, 1, 1, size, "-M", "do")

    def resize(mtu):
        life.x.namespace.ip(f"link set x mtu {mtu}")
        life.y.namespace.ip(f"link set eth0 mtu {mtu}")
        life.host.ip(f"link set y mtu {mtu}")

    with Untouched(life):
        resize(LARGE)
        wait_until(lambda: ping(LARGE - 28), lambda: f"large frames pass: {life.daemon.ctl('show', 'ports')}, {life.daemon.drops()}")
        assert life.y.ping(life.x.ipv4, 1, 5, LARGE - 28, "-M", "do")
        for name in ("x", "y"):
            wait_until(lambda: life.daemon.port(name)["mtu"] == LARGE, lambda: f"the MTU is shown: {life.daemon.port(name)}")
        resize(1450)
        life.wait_works(life.x)
        life.wait_works(life.y)
        wait_until(lambda: ping(1422), "full-size frames pass")


# -- the underlay -----------------------------------------------------------------------------------------------------


def addresses(life):
    for address in (f"{life.site.hosts[0].ipv4}/24", f"{life.site.hosts[0].ipv6}/64"):
        life.host.ip(f"address replace {address} dev u0")


def underlay_down(life):
    life.host.ip("link set u0 down")
    life.host.ip("link set u0 up")
    addresses(life)


def underlay_replaced(life):
    life.host.ip("link delete u0")
    time.sleep(0.5)
    life.site.switch.connect(life.host, "u0", life.site.hosts[0].switch_port)
    addresses(life)


def underlay_renamed(life):
    life.host.ip("link set u0 name other")
    time.sleep(0.3)
    life.host.ip("link set other name u0")
    addresses(life)


def underlay_moved(life):
    away = life.lab.namespace(f"away{next(NAMES)}")
    life.host.ip(f"link set u0 netns {away.full_name}")
    time.sleep(0.5)
    away.ip(f"link set u0 netns {life.host.full_name}")
    life.host.ip("link set u0 up")
    addresses(life)


@pytest.mark.parametrize("event", [underlay_down, underlay_replaced, underlay_renamed, underlay_moved])
def test_underlay(life, site, event):
    """Local traffic loses nothing; the tunnel works again, in both directions."""
    with Untouched(life, tunnel=False):
        victim = EchoStream(life.vm2, life.x.mac, life.x.ipv4, rate=200)
        try:
            event(life)
        finally:
            victim.stop()
        for guest in (life.x, life.y, life.vm1):
            guest.wait_ping(life.vm2.ipv4)
        life.vm2.wait_ping(life.calm.ipv4)


def test_mtu_of_the_underlay(life, site):
    """A larger MTU of the underlay takes effect at once, and a smaller one again."""
    def resize(underlay, guest):
        for host in life.site.hosts:
            life.site.switch.namespace.ip(f"link set {host.switch_port} mtu {underlay}")
            host.namespace.ip(f"link set u0 mtu {underlay}")
        life.site.switch.namespace.ip(f"link set br0 mtu {underlay}")
        life.x.namespace.ip(f"link set x mtu {guest}")
        life.site.hosts[1].namespace.ip(f"link set port1 mtu {guest}")
        life.vm2.namespace.ip(f"link set eth0 mtu {guest}")

    with Untouched(life):
        resize(9000, LARGE)
        wait_until(lambda: life.x.ping(life.vm2.ipv4, 1, 1, LARGE - 28, "-M", "do"),
                   lambda: f"large frames pass: {[(daemon.drops(), daemon.ctl('show', 'underlay')) for daemon in life.site.daemons]}")
        assert life.vm2.ping(life.x.ipv4, 1, 5, LARGE - 28, "-M", "do")
        resize(1600, 1500)
        life.wait_works(life.x)
        wait_until(lambda: life.x.ping(life.vm2.ipv4, 1, 1, 1472, "-M", "do"), "full-size frames pass")
