"""`mode: gateway`: a port's default settings, that each can be overridden, and that they work."""
from lab import Site, wait_until
from lab.frames import BROADCAST, ethernet
from lab.hosts import Guest
from lab.site import VNI
from lab.storm import Arrivals, Storm

STORM = {"storm_broadcast": 10000, "storm_unknown_unicast": 10000, "storm_unknown_multicast": 10000}


def storm_limits(daemon, name):
    return {key: value for key, value in daemon.port(name)["limits"].items() if key.startswith("storm_")}


def test_a_gateway_protects_itself(lab):
    site = Site(lab, vtepd=1, flood="none", wait=False)
    daemon, noisy = site.daemons[0], site.guests[0]
    other = Guest(lab, "vm9", 9).attach_veth(site.hosts[0].namespace, "port9")
    daemon.config["mode"] = "gateway"
    daemon.config["profiles"] = {"free": {"storm-control": {"broadcast": 0}}}
    daemon.config["ports"].append(
        {"name": "vm9", "kind": "netdev", "device": "port9", "vni": VNI, "profile": "free", "storm-control": {"unknown-unicast": 7},
         "bpdu-guard": True, "loop-probe": False})
    daemon.write_config()
    site.start()

    assert daemon.ctl("status")["mode"] == "gateway"
    assert storm_limits(daemon, "vm1") == STORM
    assert storm_limits(daemon, "vm9") == {**STORM, "storm_broadcast": 0, "storm_unknown_unicast": 7}
    guards = lambda name: [daemon.port(name)[key] for key in ("l2_protocols", "bpdu_guard", "loop_probe")]
    assert guards("vm1") == ["drop", False, True] and guards("vm9") == ["drop", True, False]
    # The output shows what was typed, and means the same.
    shown = daemon.table("config", "show")
    assert "mode: gateway" in shown and "10000" not in shown
    daemon.config_path.write_text(shown)
    assert daemon.ctl("config", "check", daemon.config_path) == {"changes": [], "needs_restart": []}
    # At run time too: a port added later, one that overrides, and one that restores the default.
    daemon.ctl("port", "add", "--name", "late", "--kind", "tap", "--device", "tap-late", "--vni", VNI, "--storm-broadcast", 5)
    assert storm_limits(daemon, "late") == {**STORM, "storm_broadcast": 5}
    daemon.ctl("port", "set", "late", "--storm-unknown-unicast", 6, "--unset", "storm-control.broadcast")
    assert storm_limits(daemon, "late") == {**STORM, "storm_unknown_unicast": 6}
    daemon.ctl("port", "set", "late", "--unset", "storm-control")
    assert storm_limits(daemon, "late") == STORM
    daemon.ctl("port", "delete", "late")

    # The default limit works.
    arrivals = Arrivals(other.namespace, "eth0", lambda frame: "broadcast" if frame[12:14] == b"\x88\xb5" else None)
    storm = Storm(noisy.namespace.raw_socket("eth0", receive=False), [ethernet(noisy.mac, BROADCAST)], 25_000)
    try:
        wait_until(lambda: daemon.port("vm1")["limits"]["drops"].get("storm-broadcast", 0) > 10_000, "the storm has hit the limit", 60)
    finally:
        storm.stop()
    arrivals.read()
    # On a busy machine the sender may not exceed the limit all the time: test_storms measures the accuracy.
    times = arrivals.times["broadcast"]
    assert len(times) <= 10_000 * ((times[-1] - times[0]) / 1e9 + 0.05) + 1
    assert set(daemon.port("vm1")["limits"]["drops"]) == {"storm-broadcast"}

    # Another mode needs a restart.
    daemon.config["mode"] = "hypervisor"
    daemon.write_config()
    assert daemon.ctl("config", "apply", daemon.config_path)["needs_restart"] == ["mode"]
    assert storm_limits(daemon, "vm1") == STORM
    daemon.stop()
    daemon.start()
    daemon.wait_ports_up()
    assert set(storm_limits(daemon, "vm1").values()) == {0} and guards("vm1") == ["drop", False, False]
