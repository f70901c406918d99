"""VRRP (RFC 5798) by keepalived, behind neighbour suppression: an address that moves between a host here and one behind another VTEP is found
where it is, with the virtual MAC address and without."""
import os
import re

import pytest

from lab import Guest, Site, wait_until
from lab.site import VNI

KEEPALIVED = "/usr/sbin/keepalived"
ADDRESS = "10.0.0.200"
VIRTUAL_MAC = "00:00:5e:00:01:33"  # of virtual router 51


class VirtualRouter:
    """keepalived on a guest."""

    def __init__(self, lab, guest, priority, virtual_mac):
        self.guest, self.directory = guest, lab.directory / f"vrrp-{guest.name}"
        self.directory.mkdir()
        self.directory.chmod(0o755)
        self.config = self.directory / "keepalived.conf"
        self.config.write_text(f"""global_defs {{
  router_id {guest.name}
  vrrp_version 3
}}
vrrp_instance v {{
  interface eth0
  virtual_router_id 51
  priority {priority}
  advert_int 0.3
  {"use_vmac vrrp51" if virtual_mac else ""}
  virtual_ipaddress {{
    {ADDRESS}/24
  }}
}}
""")
        self.process = None

    def start(self):
        # A macvlan device that answers ARP only for what it has, as keepalived's documentation wants it.
        self.guest.namespace.sysctl("net.ipv4.conf.all.arp_ignore", 1)
        self.guest.namespace.sysctl("net.ipv4.conf.all.arp_filter", 1)
        with open(self.directory / "log", "a") as log:
            self.process = self.guest.namespace.popen(
                KEEPALIVED, "--dont-fork", "--log-console", "--vrrp", "--use-file", self.config, "--pid", self.directory / "pid", "--vrrp_pid",
                self.directory / "vrrp.pid", stdout=log, stderr=log)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)

    def has_address(self):
        return ADDRESS in self.guest.namespace.ip("-4 address show")

    def log(self):
        return (self.directory / "log").read_text(errors="replace")[-2000:]


@pytest.mark.skipif(not os.path.exists(KEEPALIVED), reason="no keepalived (Debian: keepalived)")
@pytest.mark.parametrize("virtual_mac", [True, False], ids=["virtual MAC address", "own MAC addresses"])
def test_keepalived(lab, virtual_mac):
    site = Site(lab, vtepd=1, kernel=1, flood="replicate", vni={"neighbor-suppression": "known"}, wait=False)
    daemon, (client, far) = site.daemons[0], site.guests
    near = Guest(lab, "vm3", 3)
    near.attach_veth(site.hosts[0].namespace, "port2", 1450)
    daemon.config["ports"].append({"name": "vm3", "kind": "netdev", "device": "port2", "vni": VNI})
    daemon.write_config()
    site.start()
    routers = [VirtualRouter(lab, far, 200, virtual_mac), VirtualRouter(lab, near, 100, virtual_mac)]
    for router in routers:
        router.start()

    def found(router):
        """The client's kernel, which asks anew, finds the address where it is."""
        client.forget_neighbors()
        if not client.ping(ADDRESS):
            return False
        mac = re.search(r"lladdr (\S+)", client.namespace.run("ip", "neigh", "show", "to", ADDRESS).stdout)
        return mac and mac[1] == (VIRTUAL_MAC if virtual_mac else router.guest.mac)

    def expect(router):
        wait_until(router.has_address, lambda: f"{router.guest.name} has the address: {[each.log() for each in routers]}")
        wait_until(lambda: found(router), lambda: f"it is found at {router.guest.name}: {daemon.ctl('show', 'neighbors')}\n{router.log()}")
        # What was in use goes on without asking.
        assert client.ping(ADDRESS, count=3) == 3

    expect(routers[0])
    routers[0].stop()
    expect(routers[1])
    routers[0].start()
    expect(routers[0])
    # Whoever falls silent loses it, too.
    far.namespace.ip("link set eth0 down")
    expect(routers[1])
