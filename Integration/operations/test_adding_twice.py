"""`add` creates what is missing. Anything that exists is left alone: the same settings change nothing, and different settings are
refused with the command that changes them, which is then tested."""
import pytest

from lab import Site, wait_until
from lab.controlled import ControlledSite
from lab.daemon import Refused
from lab.site import VNI

OTHER = 5002
MAC = "02:00:00:00:00:55"


@pytest.fixture
def daemon(lab):
    site = Site(lab, vtepd=1, flood="replicate", vnis=[{"vni": OTHER, "flood": "replicate", "peers": ["192.0.2.9"]}])
    return site.daemons[0]


def refused(daemon, reason, *words):
    before = daemon.ctl("config", "show")
    with pytest.raises(Refused, match=reason) as refusal:
        daemon.ctl(*words)
    assert refusal.value.status == 1
    assert daemon.ctl("config", "show") == before


def test_port(daemon):
    port = ("port", "add", "--name", "vm1", "--kind", "netdev", "--device", "port1")
    assert daemon.ctl(*port, "--vni", VNI) == {"changed": False}
    assert daemon.ctl(*port) == {"changed": False}
    refused(daemon, "port vm1 exists: use port set to change its vni", *port, "--vni", OTHER)
    refused(daemon, "port vm1 exists: use port set to change its vlans", *port, "--vlan", f"7:{OTHER}")
    refused(daemon, "port vm1 exists: use port set to change its rate-limit", *port, "--ingress-bits", 1000000)
    refused(daemon, "port vm1 exists: use port set to change its macs", *port, "--mac", MAC)
    refused(daemon, "port vm1 exists already, as netdev port1", "port", "add", "--name", "vm1", "--kind", "tap", "--device", "tap9")
    assert daemon.ctl("port", "set", "vm1", "--vni", OTHER, "--ingress-bits", 1000000) == {"changed": True}
    assert daemon.port("vm1")["vni"] == OTHER
    assert daemon.ctl(*port, "--vni", OTHER, "--ingress-bits", 1000000) == {"changed": False}


def test_vni(daemon):
    assert daemon.ctl("vni", "add", "--vni", OTHER, "--flood", "replicate", "--peer", "192.0.2.9") == {"changed": False}
    refused(daemon, f"VNI {OTHER} exists: use vni set to change its flood", "vni", "add", "--vni", OTHER, "--flood", "none")
    refused(daemon, f"VNI {OTHER} exists: use vni set to change its flood", "vni", "add", "--vni", OTHER, "--flood", "replicate",
            "--peer", "192.0.2.10")
    refused(daemon, f"VNI {OTHER} exists: use vni set to change its mac-limit", "vni", "add", "--vni", OTHER, "--mac-limit", 5)
    assert daemon.ctl("vni", "set", OTHER, "--mac-limit", 5, "--peer", "192.0.2.10") == {"changed": True}
    assert daemon.ctl("vni", "set", OTHER, "--mac-limit", 5) == {"changed": False}
    row = next(row for row in daemon.ctl("show", "vnis") if row["vni"] == OTHER)
    assert row["mac_limit"] == 5 and row["peers"] == ["192.0.2.10"]
    refused(daemon, "there is no VNI 4242", "vni", "set", 4242, "--mac-limit", 5)
    assert daemon.ctl("peer", "add", "--vni", OTHER, "192.0.2.10") == {"changed": False}


def test_static_address(daemon):
    place = ("mac", "add", "--vni", VNI, "--mac", MAC)
    assert daemon.ctl(*place, "--vtep", "192.0.2.9") == {"changed": True}
    assert daemon.ctl(*place, "--vtep", "192.0.2.9") == {"changed": False}
    refused(daemon, f"mac {MAC} of VNI {VNI} is already at vtep 192.0.2.9", *place, "--vtep", "192.0.2.10")
    refused(daemon, f"mac {MAC} of VNI {VNI} is already at vtep 192.0.2.9", *place, "--port", "vm1")
    assert daemon.macs()[MAC]["vtep"] == "192.0.2.9"
    daemon.ctl("mac", "delete", "--vni", VNI, "--mac", MAC)
    assert daemon.ctl(*place, "--port", "vm1") == {"changed": True}
    assert daemon.ctl(*place, "--port", "vm1") == {"changed": False}
    refused(daemon, f"mac {MAC} of VNI {VNI} is already at port vm1", *place, "--vtep", "192.0.2.9")


def test_binding(daemon):
    assert daemon.ctl("binding", "add", "--port", "vm1", "--vlan", 7, "--vni", VNI) == {"changed": True}
    assert daemon.ctl("binding", "add", "--port", "vm1", "--vlan", 7, "--vni", VNI) == {"changed": False}
    refused(daemon, f"port vm1 already binds VLAN 7 to VNI {VNI}", "binding", "add", "--port", "vm1", "--vlan", 7, "--vni", OTHER)


def test_bindings_of_the_controller(lab):
    """The operator cannot bind what the controller has bound."""
    site = ControlledSite(lab)
    site.connect(vlan=100)
    site.wait_vni()
    daemon = site.daemon
    daemon.ctl("vni", "add", "--vni", 77, "--flood", "none")
    refused(daemon, "port p1: the controller has bound VLAN 100 to VNI 5000, its logical switch 'ls0'",
            "binding", "add", "--port", "p1", "--vlan", 100, "--vni", 77)
    refused(daemon, "the controller has bound VLAN 100", "port", "set", "p1", "--vlan", "100:77")
    refused(daemon, "VNI 5000 belongs to the controller's logical switch 'ls0'", "binding", "add", "--port", "p1", "--vlan", 7, "--vni", 5000)
    refused(daemon, "logical switch 'ls0'", "mac", "add", "--vni", 5000, "--mac", MAC, "--port", "p1")
    refused(daemon, "logical switch 'ls0'", "vni", "add", "--vni", 5000, "--flood", "none")
    assert daemon.ctl("binding", "add", "--port", "p1", "--vlan", 7, "--vni", 77) == {"changed": True}
    # The remedy: once the controller has removed its binding, the operator can bind.
    site.ctl("unbind-ls", "hv1", "p1", 100)
    wait_until(lambda: all(row["vlan"] != 100 for row in daemon.ctl("show", "bindings")), "the controller has unbound it")
    assert daemon.ctl("binding", "add", "--port", "p1", "--vlan", 100, "--vni", 77) == {"changed": True}
