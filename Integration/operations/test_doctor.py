"""`vtepctl doctor`: a host is made ill in one way after the other; the finding names it, and the remedy that is printed is carried out."""
import json
import sys

import pytest

from lab import Site, wait_until
from lab.certificates import Certificates
from lab.daemon import VTEPCTL
from lab.namespaces import run
from lab.site import VNI

OK, WARNINGS, ERRORS = 0, 5, 6


def findings(done, *checks):
    """What is wrong, by check, from a run of vtepctl; its exit status fits."""
    rows = json.loads(done.stdout)
    worst = max((["ok", "warning", "error"].index(row["status"]) for row in rows), default=0)
    assert done.returncode == (OK, WARNINGS, ERRORS)[worst], done
    return [row for row in rows if row["status"] != "ok" and (not checks or row["check"] in checks)]


def doctor(daemon, *checks):
    return findings(run(VTEPCTL, "--socket", daemon.socket_path, "--format", "json", "doctor", check=False), *checks)


def offline(daemon, *checks):
    return findings(daemon.namespace.run(VTEPCTL, "--format", "json", "doctor", "--config", daemon.config_path, check=False), *checks)


def follow(namespace, text):
    """Carries out the remedy: the command before a comma or bracket."""
    namespace.run("sh", "-c", text.split(", ")[0].split(" (")[0])


@pytest.fixture
def site(lab):
    return Site(lab, vtepd=1, vni={"ageing-seconds": 300})


@pytest.mark.quick
def test_remedies_on_a_running_host(site):
    """Uplink, guests' MTU, offloads, address, route: each is found, and its remedy mends it."""
    daemon, host = site.daemons[0], site.hosts[0].namespace
    rows = json.loads(run(VTEPCTL, "--socket", daemon.socket_path, "--format", "json", "doctor", check=False).stdout)
    assert {row["check"] for row in rows} == {
        "kernel", "permissions", "descriptors", "hugepages", "cores", "nic", "underlay", "udp-port", "offloads", "paths", "mtu", "multicast",
        "neighbors", "ports", "certificates"}
    assert not [row for row in rows if row["status"] != "ok"], rows

    def ill(check, *commands):
        for command in commands:
            host.run(*command.split())
        (found,) = wait_until(lambda: doctor(daemon, check), f"{check} is found after {commands}")
        follow(host, found["remedy"])
        wait_until(lambda: not doctor(daemon, check), lambda: f"{found['remedy']!r} mends it: {doctor(daemon, check)}")
        return found

    assert ill("offloads", "ethtool -K u0 tx off")["subject"] == "u0"
    assert ill("mtu", "ip link set u0 mtu 1500")["subject"] == site.guests[0].name
    assert ill("underlay", "ip address delete 192.0.2.1/24 dev u0")["remedy"].startswith("ip address add 192.0.2.1/32 dev lo")
    host.ip("address delete 192.0.2.1/32 dev lo")
    host.ip("address add 192.0.2.1/24 dev u0")
    wait_until(lambda: not doctor(daemon, "underlay"), "the address is back")
    host.ip("link set u0 down")
    found = wait_until(lambda: doctor(daemon, "underlay"), "the interface that is down is found")
    assert found[0]["remedy"] == "ip link set u0 up"
    follow(host, found[0]["remedy"])
    wait_until(lambda: not doctor(daemon, "underlay"), lambda: f"up again: {doctor(daemon)}")

    # The table for people has the same, and the status.
    host.run("ethtool", "-K", "u0", "gso", "off")
    done = run(VTEPCTL, "--socket", daemon.socket_path, "doctor", check=False)
    assert done.returncode == WARNINGS and "ethtool -K u0 gso on" in done.stdout, done

    # A VTEP on the segment that does not answer.
    daemon.ctl("vni", "add", "--vni", 77, "--flood", "replicate")
    daemon.ctl("peer", "add", "--vni", 77, "192.0.2.99")
    (found,) = wait_until(lambda: doctor(daemon, "paths"), "the next hop that does not answer is found")
    assert (found["subject"], found["status"], found["found"]) == ("192.0.2.99", "error", "next hop 192.0.2.99%u0 does not answer")


def test_narrow_path(lab):
    """A route has a smaller MTU than the interface: both ends of the remedy help."""
    site = Site(lab, vtepd=1, kernel=1, flood="replicate", kind="tap")
    daemon, host, guest, peer = site.daemons[0], site.hosts[0].namespace, site.guests[0], site.kernels[0].ipv4
    assert not doctor(daemon, "mtu")
    host.ip(f"route add {peer}/32 dev u0 mtu 1400")
    (found,) = wait_until(lambda: doctor(daemon, "mtu"), "the narrow path is found")
    assert f"1350 bytes fit the path to {peer} (the route's MTU)" in found["found"], found
    command = found["remedy"].split("vtepctl ")[1].split()
    assert " ".join(command) == f"port set {guest.name} --mtu 1350"
    guest.namespace.ip(f"link set {guest.device} mtu 1350")
    daemon.ctl(*command)
    wait_until(lambda: not doctor(daemon, "mtu"), lambda: f"the guest's MTU is right: {doctor(daemon, 'mtu')}", 60)
    guest.namespace.ip(f"link set {guest.device} mtu 1500")
    wait_until(lambda: doctor(daemon, "mtu"), "it is too large again", 60)
    host.ip(f"route change {peer}/32 dev u0 mtu 1550")
    wait_until(lambda: not doctor(daemon, "mtu"), lambda: f"the path's MTU is right: {doctor(daemon, 'mtu')}")


def test_querier_is_heard(site):
    """The switch of the lab asks every two seconds."""
    daemon = site.daemons[0]

    def heard():
        rows = json.loads(run(VTEPCTL, "--socket", daemon.socket_path, "--format", "json", "doctor", check=False).stdout)
        return [row for row in rows if row["check"] == "multicast" and "IGMP querier 192.0.2.254 was heard" in row["found"]]

    wait_until(heard, lambda: f"a querier is heard: {doctor(daemon)}", 60)


def test_ports_and_limits_of_the_process(lab, site):
    daemon, host = site.daemons[0], site.hosts[0].namespace
    # Without this capability the daemon runs, and is told what it misses.
    daemon.stop()
    daemon.start(prefix=("setpriv", "--bounding-set=-net_broadcast", "--inh-caps=-net_broadcast"))
    (found,) = doctor(daemon, "permissions")
    assert "CAP_NET_BROADCAST" in found["found"] and found["status"] == "warning"
    daemon.stop()
    daemon.start(prefix=("prlimit", "--nofile=140:140"))
    (found,) = doctor(daemon, "descriptors")
    needed = found["remedy"].split("ulimit -n ")[1].rstrip(")")
    daemon.stop()
    daemon.start(prefix=("prlimit", f"--nofile={needed}:{needed}"))
    assert not doctor(daemon, "descriptors", "permissions")
    # A port whose device is taken.
    daemon.stop()
    host.ip("link add taken0 type veth peer name taken1")
    daemon.config["ports"].append({"name": "vm9", "kind": "tap", "device": "taken0", "vni": VNI})
    daemon.write_config()
    before = daemon.log().count("is running")
    daemon.start(wait=False)
    (found,) = wait_until(lambda: daemon.log().count("is running") > before and doctor(daemon, "ports"), "the port is found", 60)
    assert found["subject"] == "vm9" and found["status"] == "error" and "taken0" in found["cause"]


def test_offline(lab):
    """Before the first start: no daemon, and what would keep it from running."""
    site = Site(lab, vtepd=1, wait=False)
    daemon, host = site.daemons[0], site.hosts[0].namespace
    assert not offline(daemon)
    # The kernel's own VXLAN device has the port, and vtepd does not start; without it, it does.
    host.ip("link add vx5 type vxlan id 5 dstport 4789 local 192.0.2.1")
    host.ip("link set vx5 up")
    (found,) = offline(daemon)
    assert found["check"] == "udp-port" and "vx5" in found["cause"]
    daemon.start(wait=False)
    assert daemon.process.wait(60) == 2
    follow(host, found["remedy"])
    assert not offline(daemon)
    # Another program has it.
    holder = host.popen(sys.executable, "-c", "import socket, time; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 4789)); time.sleep(600)")
    (found,) = wait_until(lambda: offline(daemon), "the program is found")
    assert f", process {holder.pid}" in found["found"] and f"kill {holder.pid}" in found["remedy"]
    host.run("kill", holder.pid)
    holder.wait()
    assert not offline(daemon)
    # vtepd itself is no error, and the host as such is still well.
    daemon.start()
    assert not offline(daemon)
    daemon.stop()
    # A VTEP that no route leads to, and one that is reached by an interface of no uplink.
    daemon.config["vnis"].append({"vni": 77, "flood": "replicate", "peers": ["203.0.113.1", "198.51.100.1"]})
    daemon.write_config()
    host.ip("link add other type veth peer name other2")
    host.ip("link set other up")
    host.ip("link set other2 up")
    host.ip("route add 198.51.100.0/24 dev other")
    found = {row["subject"]: row["cause"] for row in offline(daemon, "paths")}
    assert found == {"203.0.113.1": "no route", "198.51.100.1": "the route leaves by other, which is not in underlay.device"}
    # A file that cannot be used: refused as vtepd refuses it.
    daemon.config_path.write_text("underlay: [\n")
    done = host.run(VTEPCTL, "doctor", "--config", daemon.config_path, check=False)
    assert done.returncode == 1 and str(daemon.config_path) in done.stderr and not done.stdout


def test_strict_reverse_path_filter(lab):
    """With two uplinks the strict filter hides queriers; the remedy is what the kernel's documentation says of the larger value."""
    site = Site(lab, vtepd=1, wait=False)
    daemon, host = site.daemons[0], site.hosts[0].namespace
    site.switch.connect(host, "u1", "second", "192.0.3.1/24")
    daemon.config["underlay"]["device"] = ["u0", "u1"]
    daemon.write_config()
    host.sysctl("net.ipv4.conf.all.rp_filter", 1)
    found = offline(daemon, "multicast")
    assert [row["subject"] for row in found] == ["u0", "u1"], found
    for row in found:
        follow(host, row["remedy"])
    assert not offline(daemon, "multicast")


def test_bridge_as_uplink(lab):
    site = Site(lab, vtepd=1, wait=False)
    daemon, host = site.daemons[0], site.hosts[0].namespace
    host.ip("link add br7 type bridge mcast_snooping 1")
    host.ip("link set br7 mtu 1600 up")
    host.ip("link set u0 master br7")
    (found,) = offline(daemon, "underlay")
    assert found["subject"] == "u0" and "br7" in found["cause"]
    host.ip("address flush dev u0")
    host.ip("address add 192.0.2.1/24 dev br7")
    daemon.config["underlay"]["device"] = "br7"
    daemon.write_config()
    wait_until(lambda: not offline(daemon, "underlay"), "the bridge is up")
    (found,) = offline(daemon, "multicast")
    follow(host, found["remedy"])
    assert not offline(daemon, "multicast")


def test_certificates(lab):
    site = Site(lab, vtepd=1, wait=False)
    daemon, pki = site.daemons[0], Certificates(lab)
    pki.self_signed("ca")
    pki.issue("old", end="20210101000000Z")
    pki.issue("future", start="20980101000000Z")
    pki.issue("good")
    daemon.config["ovsdb"] = {"remotes": ["ssl:192.0.2.9:6640"], **pki.keys("old")}
    # The authority of the lab lives 30 days: after a second, it is about to expire.
    for name, cause in (("old", "it has expired"), ("future", "it is not valid yet"), ("good", None)):
        daemon.config["ovsdb"].update(pki.keys(name))
        daemon.write_config()
        found = {row["subject"]: row for row in offline(daemon, "certificates")}
        authority = found.pop(str(pki.path("ca.pem")), None)
        assert authority is None or "expires in 29 days" in authority["cause"]
        if cause:
            row = found.pop(str(pki.path(f"{name}.pem")))
            assert row["status"] == "error" and cause in row["cause"], row
        assert not found
    # A key that is another's.
    daemon.config["ovsdb"]["private-key"] = str(pki.path("old.key"))
    daemon.write_config()
    assert any("does not belong to certificate" in row["cause"] for row in offline(daemon, "certificates"))
