"""Groups are rejoined when the underlay's interface disappears and returns, and `joined` matches the kernel's list."""
import pytest

from lab import Site, owned, wait_until


def kernel_groups(namespace, device="u0"):
    """The kernel's own list."""
    out = namespace.ip(f"maddress show dev {device}")
    return {line.split()[1] for line in out.splitlines() if line.split()[0] in ("inet", "inet6")}


def joined(daemon):
    return {row["group"]: row["joined"] for row in daemon.ctl("show", "multicast")}


def index(namespace, device):
    return int(namespace.ip(f"-o link show {device}").split(":")[0])


class Groups:
    def __init__(self, lab, ipv6):
        self.site = Site(lab, vtepd=1, kernel=1, ipv6=ipv6, wait=False)
        self.host, self.daemon = self.site.hosts[0], self.site.daemons[0]
        self.host.namespace.sysctl("net.ipv4.igmp_max_memberships", 5)
        more = {5100 + number: f"ff05::2:{number:x}" if ipv6 else f"239.2.0.{number}" for number in range(1, 13)}
        self.daemon.config["vnis"] += [{"vni": vni, "flood": "multicast", "group": group} for vni, group in more.items()]
        self.daemon.config["ports"][0]["vlans"] = {vni - 5000: vni for vni in more}
        self.daemon.write_config()
        self.groups = {self.site.group, *more.values()}
        self.site.start()
        self.wait_all()

    def wait_all(self):
        wait_until(lambda: self.groups <= kernel_groups(self.host.namespace), lambda: f"all groups: {kernel_groups(self.host.namespace)}")
        wait_until(lambda: all(joined(self.daemon)[group] for group in self.groups), lambda: f"{joined(self.daemon)}")
        wait_until(lambda: all("hv1" in self.site.switch.members(group) for group in self.groups), "the switch knows")

    def address(self):
        self.host.namespace.ip("link set u0 up")
        self.host.namespace.ip(f"address replace {self.host.ipv4}/24 dev u0")
        self.host.namespace.ip(f"address replace {self.host.ipv6}/64 dev u0")


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_interface_moved_away_and_back(lab, ipv6):
    groups = Groups(lab, ipv6)
    if groups.daemon.owns_uplinks:
        pytest.skip("the tap of a NIC of DPDK is created again when it is gone")
    ours, elsewhere = groups.host.namespace, lab.namespace("elsewhere")
    before = index(ours, "u0")
    ours.ip(f"link set u0 netns {elsewhere.full_name}")
    wait_until(lambda: not any(joined(groups.daemon).values()), lambda: f"nothing is joined: {joined(groups.daemon)}")
    assert set(joined(groups.daemon)) == groups.groups
    rows = groups.daemon.ctl("show", "multicast")
    assert {(row["interface"], row["error"]) for row in rows} == {("u0", "no such interface")}
    elsewhere.ip(f"link set u0 netns {ours.full_name}")
    groups.address()
    assert index(ours, "u0") == before
    groups.wait_all()
    groups.site.guests[1].wait_ping(groups.site.guests[0].ipv4)
    # Faster than any poll.
    ours.run("sh", "-c", f"ip link set u0 netns {elsewhere.full_name}; ip -n {elsewhere.full_name} link set u0 netns {ours.full_name}")
    groups.address()
    groups.wait_all()
    groups.site.guests[1].wait_ping(groups.site.guests[0].ipv4)


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_interface_that_loses_its_ip_down_or_renamed(lab, ipv6):
    groups = Groups(lab, ipv6)
    ours = groups.host.namespace
    # An interface whose MTU is below 1280 has no IPv6, and the kernel forgets its groups.
    ours.ip("link set u0 mtu 1000")
    if ipv6:
        wait_until(lambda: not any(joined(groups.daemon).values()), lambda: f"nothing is joined: {joined(groups.daemon)}")
        assert all(row["error"] for row in groups.daemon.ctl("show", "multicast"))
    else:
        assert all(joined(groups.daemon).values())
    ours.ip("link set u0 mtu 1500")
    owned.restore(ours, "u0")
    groups.address()
    groups.wait_all()

    ours.ip("link set u0 down")
    groups.address()
    groups.wait_all()

    ours.ip("link set u0 down")
    ours.ip("link set u0 name other0")
    ours.ip("link set other0 up")
    ours.ip("link set other0 down")
    ours.ip("link set other0 name u0")
    groups.address()
    groups.wait_all()
    groups.site.guests[1].wait_ping(groups.site.guests[0].ipv4)


def test_renamed_interface_works_on(lab):
    """An interface in use is tracked by its index, including its link and MTU."""
    site = Site(lab, vtepd=1, kernel=1)
    ours, daemon = site.hosts[0].namespace, site.daemons[0]
    site.wait_joined()
    ours.ip("link set u0 down")
    ours.ip("link set u0 name other0")
    wait_until(lambda: not daemon.ctl("show", "underlay")[0]["up"], "it is down")
    ours.ip("link set other0 up")
    ours.ip(f"address replace {site.hosts[0].ipv6}/64 dev other0")
    wait_until(lambda: daemon.ctl("show", "underlay")[0]["up"], "it is up")
    site.wait_joined()
    site.guests[1].wait_ping(site.guests[0].ipv4)
    ours.ip("link set other0 mtu 1450")
    wait_until(lambda: daemon.ctl("show", "underlay")[0]["mtu"] == 1450, "its MTU is followed")
