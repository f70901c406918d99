"""A VNI's group is joined while the VNI has a port that is up, and the switch sees the membership."""
import pytest

from lab import Site, wait_until
from lab.site import VNI


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_switch_sees_joins_and_leaves(lab, ipv6):
    site = Site(lab, vtepd=2, ipv6=ipv6)
    site.wait_joined()
    daemon = site.daemons[0]
    joined = [(row["group"], row["vnis"], row["interface"], row["joined"]) for row in daemon.ctl("show", "multicast")]
    assert joined == [(site.group, [VNI], "u0", True)]

    daemon.ctl("port", "delete", "vm1")
    wait_until(lambda: site.switch.members(site.group) == {"hv2"}, lambda: f"hv1 has left: {site.switch.members(site.group)}")
    assert not any(row["joined"] for row in daemon.ctl("show", "multicast"))

    daemon.ctl("port", "add", "--name", "vm1", "--kind", "netdev", "--device", "port1", "--vni", VNI)
    site.wait_joined()
    site.wait_all_pings()


def test_port_that_goes_down_leaves_and_comes_back(lab):
    site = Site(lab, vtepd=2)
    site.wait_joined()
    site.guests[0].namespace.ip("link set eth0 down")
    wait_until(lambda: site.switch.members(site.group) == {"hv2"}, lambda: f"hv1 has left: {site.switch.members(site.group)}")
    site.guests[0].namespace.ip("link set eth0 up")
    site.wait_joined()
    site.guests[0].wait_ping(site.guests[1].ipv4)


def test_shared_group_is_left_with_its_last_port(lab):
    site = Site(lab, vtepd=1, vnis=[{"vni": 5002, "flood": "multicast", "group": "239.1.1.1"}])
    daemon = site.daemons[0]
    daemon.ctl("port", "add", "--name", "other", "--kind", "tap", "--device", "tap9", "--vni", 5002)
    site.hosts[0].namespace.ip("link set tap9 up")
    daemon.wait_ports_up()
    site.wait_joined()
    daemon.ctl("port", "delete", "vm1")
    # Still joined for the other VNI: by the time of the answer, the group would have been left.
    assert [row["joined"] for row in daemon.ctl("show", "multicast") if row["group"] == site.group] == [True]
    assert site.switch.members(site.group) == {"hv1"}
    daemon.ctl("port", "delete", "other")
    wait_until(lambda: site.switch.members(site.group) == set(), lambda: f"nobody is left: {site.switch.members(site.group)}")


def test_more_groups_than_a_socket_may_join(lab):
    """The kernel rejects a socket's 21st group."""
    site = Site(lab, vtepd=1, wait=False)
    daemon = site.daemons[0]
    groups = {5100 + number: f"239.2.0.{number}" for number in range(1, 51)}
    daemon.config["vnis"] += [{"vni": vni, "flood": "multicast", "group": group} for vni, group in groups.items()]
    daemon.config["ports"][0]["vlans"] = {number: 5100 + number for number in range(1, 51)}
    daemon.write_config()
    site.start()
    wait_until(lambda: all(row["joined"] for row in daemon.ctl("show", "multicast")), "all groups are joined")
    wait_until(lambda: all(site.switch.members(group) == {"hv1"} for group in groups.values()), "the switch has seen all joins")
