"""`vtepctl verify`: things are broken behind vtepd's back. What vtepd repairs by itself is consistent a moment later; what it does not is
named, and repaired with --fix."""
import ctypes
import json
import threading
import time

import pytest

from lab import ControlSession, Site, wait_until
from lab.daemon import VTEPCTL
from lab.namespaces import run
from lab.site import VNI

CONSISTENT, DIFFERENT = 0, 6


def verify(daemon, *options):
    done = run(VTEPCTL, "--socket", daemon.socket_path, "--format", "json", "--timeout", 60, "verify", *options, check=False)
    rows = json.loads(done.stdout)
    left = [row for row in rows if not row["repaired"]]
    assert done.returncode == (DIFFERENT if left else CONSISTENT), done
    return rows


def wait_consistent(daemon):
    wait_until(lambda: not verify(daemon), lambda: f"nothing differs: {verify(daemon)}\n{daemon.log()[-3000:]}")


def repair(daemon, subject, actual):
    """Exactly this differs, and --fix repairs it."""
    (found,) = wait_until(lambda: verify(daemon), f"{subject} differs")
    assert (found["subject"], found["repaired"]) == (subject, None) and actual in found["actual"], found
    (found,) = verify(daemon, "--fix")
    assert found["repaired"], (found, daemon.log()[-3000:])
    assert not verify(daemon)


@pytest.mark.quick
def test_guards_and_neighbours(lab):
    """The filter that keeps the host off a port, and a next hop that the kernel no longer keeps resolved: nobody tells vtepd of either."""
    site = Site(lab, flood="replicate")
    daemon, host = site.daemons[0], site.hosts[0].namespace
    site.wait_all_pings()
    assert not verify(daemon)
    assert "no differences" in daemon.table("verify")
    host.run("tc", "filter", "delete", "dev", "port1", "ingress")
    repair(daemon, f"port {site.guests[0].name}", "filter is gone")
    host.sysctl("net.ipv6.conf.port1.disable_ipv6", 0)
    repair(daemon, f"port {site.guests[0].name}", "IPv6 is on")
    mac = site.hosts[1].namespace.ip("-br link show dev u0").split()[2]
    host.ip(f"neigh delete {site.hosts[1].ipv4} dev u0")
    host.ip(f"neigh replace {site.hosts[1].ipv4} lladdr {mac} nud reachable dev u0", check=False)
    wait_until(lambda: not verify(daemon) or verify(daemon, "--fix"), "whatever became of the entry, it is right in the end")
    assert not verify(daemon)
    site.wait_all_pings()
    assert all(row["repaired"] for row in verify(daemon, "--fix"))


def test_what_vtepd_repairs_by_itself(lab):
    """MTU, address, route, link, tap, memberships: consistent a moment after each."""
    site = Site(lab, vtepd=1, kernel=1, kind="tap", ipv6=True)
    daemon, host = site.daemons[0], site.hosts[0].namespace
    site.wait_joined()
    wait_consistent(daemon)
    host.ip("link set u0 mtu 1400")
    host.ip("link set u0 mtu 1600")
    wait_consistent(daemon)
    host.ip("link set u0 down")
    (found,) = [row for row in wait_until(lambda: verify(daemon), "the address is missed") if "addresses" in row["subject"]]
    assert found["actual"] == "it does not"
    host.ip("link set u0 up")
    host.ip(f"address replace {site.hosts[0].ipv6}/64 dev u0")
    wait_consistent(daemon)
    # The kernel forgets the IPv6 groups of an interface without IPv6.
    host.sysctl("net.ipv6.conf.u0.disable_ipv6", 1)
    host.sysctl("net.ipv6.conf.u0.disable_ipv6", 0)
    host.ip(f"address replace {site.hosts[0].ipv6}/64 dev u0")
    wait_consistent(daemon)
    site.wait_joined()
    # The container goes, and its tap with it.
    site.guests[0].namespace.ip(f"link delete {site.guests[0].device}")
    wait_until(lambda: host.ip("-br link show dev tap1", check=False), "the tap is there again")
    wait_consistent(daemon)
    host.ip("route add blackhole 2001:db8::77/128")
    daemon.ctl("vni", "add", "--vni", 99, "--flood", "replicate", "--peer", "2001:db8::77")
    wait_consistent(daemon)
    host.ip("route delete blackhole 2001:db8::77/128")
    wait_consistent(daemon)


def detach_xdp(namespace, interface):
    """Takes the program off an interface, as `bpftool link detach` does."""
    bpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
    index = int(namespace.run("cat", f"/sys/class/net/{interface}/ifindex").stdout)
    link, count = ctypes.c_uint32(0), 0
    while bpf.bpf_link_get_next_id(link, ctypes.byref(link)) == 0:
        descriptor = bpf.bpf_link_get_fd_by_id(link)
        # struct bpf_link_info: type, id, program, padding, interface of XDP.
        info, length = (ctypes.c_uint32 * 64)(), ctypes.c_uint32(256)
        assert bpf.bpf_obj_get_info_by_fd(descriptor, info, ctypes.byref(length)) == 0
        if info[0] == 6 and info[4] == index:
            assert bpf.bpf_link_detach(descriptor) == 0
            count += 1
    return count


def test_xdp_program(lab):
    site = Site(lab, flood="replicate", underlay={"driver": "af_xdp"}, underlay_mtu=1600)
    daemon, host = site.daemons[0], site.hosts[0].namespace
    site.wait_all_pings()
    assert not verify(daemon)
    assert "xdp" in host.ip("-d link show dev u0")
    detached = detach_xdp(host, "u0")
    assert detached and "xdp" not in host.ip("-d link show dev u0").split("link/ether")[0]
    repair(daemon, "underlay.device u0", "XDP program")
    assert "xdp" in host.ip("-d link show dev u0")
    site.wait_all_pings()


def test_no_false_alarms_under_change(lab):
    """Ports, VNIs and addresses come and go while verify looks."""
    site = Site(lab, vtepd=1, flood="replicate")
    daemon = site.daemons[0]
    stop, session, rounds = threading.Event(), ControlSession(daemon), []

    def churn():
        number = 0
        while not stop.is_set():
            number += 1
            vni = 100 + number % 7
            session("vni.add", vni=vni, flood="replicate", peers=[f"192.0.2.{50 + number % 7}"])
            session("port.add", name="churn", settings={"kind": "tap", "device": "churn0", "vni": vni})
            session("mac.add", vni=vni, mac=f"02:00:00:00:01:{number % 256:02x}", vtep=f"192.0.2.{50 + number % 7}")
            session("port.delete", name="churn")
            session("vni.delete", vni=vni)
            rounds.append(number)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(12):
            assert thread.is_alive() and not verify(daemon)
            time.sleep(0.1)
    finally:
        stop.set()
        thread.join()
    assert len(rounds) > 5
    wait_consistent(daemon)


def test_unattached_port(lab):
    site = Site(lab, vtepd=1, flood="none", wait=False)
    daemon, host = site.daemons[0], site.hosts[0].namespace
    host.ip("link add taken0 type veth peer name taken1")
    daemon.config["ports"].append({"name": "vm9", "kind": "tap", "device": "taken0", "vni": VNI})
    daemon.write_config()
    daemon.start(wait=False)
    (found,) = wait_until(lambda: "is running" in daemon.log() and verify(daemon), "the port differs", 60)
    assert (found["subject"], found["intended"]) == ("port vm9", "attached to taken0")
    # It cannot be repaired, and verify says so.
    (found,) = verify(daemon, "--fix")
    assert found["repaired"] is False
    host.ip("link delete taken0")
    wait_consistent(daemon)


def test_controller_database(lab):
    """Rows of vtepd's own are deleted and changed by another client: vtepd writes them again at once."""
    site = Site(lab, vtepd=1, flood="none", wait=False)
    daemon, host = site.daemons[0], site.hosts[0].namespace
    daemon.config["ovsdb"] = {}
    daemon.write_config()
    daemon.start()
    daemon.wait_ovsdb()
    database = f"unix:{daemon.directory}/run/db.sock"
    switch = daemon.config["name"]
    wait_consistent(daemon)
    for command in (("clear", "Physical_Switch", switch, "tunnel_ips"), ("del-port", switch, site.guests[0].name), ("del-ps", switch)):
        run("vtep-ctl", f"--db={database}", *command)
        wait_consistent(daemon)
        assert site.guests[0].name in run("vtep-ctl", f"--db={database}", "list-ports", switch).stdout
    # Without the database, that is the difference.
    daemon.config["ovsdb"] = {"remotes": ["tcp:192.0.2.99:6640"]}
    daemon.reload("configuration reloaded")
    (found,) = wait_until(lambda: verify(daemon), "the connection is missed")
    assert found["subject"] == "controller's database" and found["place"] == "database"
