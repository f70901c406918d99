"""BFD in the form of RFC 8971 with FRR's bfdd: its sessions run over the kernel's VXLAN device with the management VNI, so both the control packets
and the frames around them are judged by programs that know nothing of vtepd."""
import json
import os

import pytest

from lab import Site, wait_until
from lab.hosts import UnderlayHost

BFDD = "/usr/lib/frr/bfdd"
INTERVAL = 100


class FRR:
    """bfdd in a namespace that has the VXLAN device of `host`, which stays in its own."""

    def __init__(self, lab, host, peer):
        self.namespace, self.directory = lab.namespace("frr"), lab.directory / "frr"
        self.directory.mkdir()
        self.directory.chmod(0o777)
        lab.directory.chmod(0o755)
        host.namespace.ip(f"link add vxb address 00:00:5e:00:52:02 type vxlan id 1 local {host.ipv4} remote {peer} dstport 4789 nolearning")
        host.namespace.ip(f"link set vxb netns {self.namespace.full_name}")
        # RFC 8971 section 5: to 127/8, from the VTEP's address.
        self.namespace.sysctl("net.ipv4.conf.vxb.route_localnet", 1)
        self.namespace.sysctl("net.ipv4.conf.vxb.rp_filter", 0)
        self.namespace.sysctl("net.ipv4.conf.all.rp_filter", 0)
        self.namespace.ip(f"address add {host.ipv4}/32 dev vxb")
        self.namespace.ip("link set vxb up")
        self.namespace.ip(f"route add {peer}/32 dev vxb")
        self.namespace.ip(f"neighbor add {peer} lladdr 00:00:5e:00:52:02 dev vxb")
        config = self.directory / "bfdd.conf"
        config.write_text(f"bfd\n peer {peer}\n  receive-interval {INTERVAL}\n  transmit-interval {INTERVAL}\n exit\nexit\n")
        self.log = open(self.directory / "log", "w")
        self.namespace.popen(BFDD, "-f", config, "-i", self.directory / "pid", "--vty_socket", self.directory, "-P", "0", "-z",
                             self.directory / "zebra", "--bfdctl", self.directory / "ctl", "--log", "stdout", stdout=self.log,
                             stderr=self.log)
        wait_until((self.directory / "bfdd.vty").exists, lambda: f"bfdd runs:\n{(self.directory / 'log').read_text()}")

    def vtysh(self, *commands):
        words = [word for command in commands for word in ("-c", command)]
        return self.namespace.run("vtysh", "--vty_socket", self.directory, "-d", "bfdd", *words).stdout

    def peer(self):
        return json.loads(self.vtysh("show bfd peers json"))[0]


@pytest.mark.skipif(not os.path.exists(BFDD), reason="no bfdd (Debian: frr)")
def test_frr(lab):
    site = Site(lab, vtepd=1, flood="replicate", wait=False, underlay={"bfd": {
        "form": "rfc8971", "min-tx-ms": INTERVAL, "min-rx-ms": INTERVAL, "multiplier": 4}})
    daemon, host = site.daemons[0], UnderlayHost(lab, site.switch, 3)
    daemon.config["vnis"][0]["peers"] = [host.ipv4]
    daemon.write_config()
    frr = FRR(lab, host, site.hosts[0].ipv4)
    site.start()

    def session():
        return daemon.ctl("show", "bfd")[0]

    wait_until(lambda: session()["state"] == "up" and frr.peer()["status"] == "up", lambda: f"up: {session()} {frr.peer()}")
    wait_until(lambda: session()["tx_ms"] == INTERVAL and session()["detection_ms"] == 3 * INTERVAL, lambda: f"negotiated: {session()}")
    assert session()["vni"] == 1 and session()["form"] == "rfc8971" and session()["forwarding"]
    row = frr.peer()
    assert row["remote-detect-multiplier"] == 4 and row["remote-transmit-interval"] == INTERVAL and row["remote-receive-interval"] == INTERVAL
    assert row["id"] == session()["remote_discriminator"] and row["remote-id"] == session()["discriminator"]

    # Shut down there: told by AdminDown, which is no failure.
    frr.vtysh("configure", "bfd", f"peer {site.hosts[0].ipv4}", "shutdown")
    wait_until(lambda: session()["state"] == "down", lambda: f"down: {session()}")
    assert session()["remote_state"] == "admin_down" and session()["diagnostic"] == "Neighbor Signaled Session Down"
    frr.vtysh("configure", "bfd", f"peer {site.hosts[0].ipv4}", "no shutdown")
    wait_until(lambda: session()["state"] == "up", lambda: f"up again: {session()}")

    # Here: FRR hears it from us, and does not have to find out.
    before = frr.peer()["status"]
    daemon.config["underlay"]["bfd"] = False
    daemon.reload("configuration reloaded")
    wait_until(lambda: frr.peer()["status"] == "down", lambda: f"{before} {frr.peer()}")
    assert frr.peer()["diagnostic"] == "neighbor signaled session down", frr.peer()
