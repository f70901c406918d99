"""`vtepctl explain`: where an address is, who says so, where it was, and what becomes of a frame to it."""
import time

import pytest

from lab import wait_until
from lab.daemon import Refused
from lab.frames import ethernet, mac_number, receive
from lab.hosts import Guest
from lab.site import VNI, Site


def add_guest(lab, site, name, number, **options):
    guest = Guest(lab, name, number).attach_veth(site.hosts[0].namespace, f"port{number}")
    site.daemons[0].config["ports"].append({"name": name, "kind": "netdev", "device": f"port{number}", "vni": VNI, **options})
    site.daemons[0].write_config()
    return guest


def outcome(explained, port):
    return next((row["action"], row["text"]) for row in explained["outcomes"] if row["port"] == port)


def test_moves_sources_and_outcomes(lab):
    site = Site(lab, vtepd=1, kernel=1, flood="replicate", wait=False)
    second = add_guest(lab, site, "vm9", 9)
    daemon = site.daemons[0]
    site.start()
    peer = site.address(site.kernels[0])
    mac = mac_number(0xABC)
    sockets = {"port vm1": site.guests[0].namespace.raw_socket("eth0"), "port vm9": second.namespace.raw_socket("eth0"),
               f"vtep {peer}": site.guests[1].namespace.raw_socket("eth0")}

    def explain(*arguments):
        return daemon.ctl("explain", mac, "--vni", VNI, *arguments)

    daemon.wait_resolved(peer)
    unknown = explain()
    assert unknown["entry"] is None and unknown["sources"] == [] and unknown["past"] == [] and unknown["events"] == []
    action, text = outcome(unknown, "vm1")
    assert action == "flood" and text == f"sent to {peer}; delivered to vm9"
    assert outcome(unknown, None)[0] == "flood" and peer not in outcome(unknown, None)[1]

    path = ["port vm1", "port vm9", f"vtep {peer}", "port vm1"]
    for place in path:
        wait_until(lambda: (sockets[place].send(ethernet(mac)), (explain()["entry"] or {}).get("place") == place)[1],
                   lambda: f"{mac} is at {place}: {explain()}", interval=0.2)
    found = explain()
    assert found["entry"]["type"] == "learned" and found["entry"]["moves"] == 3 and 0 <= time.time() - found["entry"]["since"] < 600
    assert [row["place"] for row in found["past"]] == path[2::-1]
    assert [row["source"] for row in found["sources"]] == ["learned"] and found["sources"][0]["holds"]
    assert [row["type"] for row in found["events"]] == ["mac-moved"] * 3 + ["mac-learned"]
    # What vtepd says becomes of a frame is what does.
    assert outcome(found, "vm1")[1].startswith("same-port: destination is on the port the frame came from")
    assert outcome(found, "vm9") == ("deliver", "delivered to vm1") == outcome(found, None)
    frame = ethernet(second.mac, mac, b"explained".ljust(46, b"\x00"))
    sockets["port vm9"].send(frame)
    assert receive(sockets["port vm1"], lambda found: found == frame)
    assert [row["port"] for row in explain("--from-port", "vm9")["outcomes"]] == ["vm9"]

    # The operator says that it is behind the VTEP, which outranks what was learned.
    daemon.ctl("mac", "add", "--vni", VNI, "--mac", mac, "--vtep", peer)
    found = explain()
    assert found["entry"]["type"] == "static" and found["entry"]["place"] == f"vtep {peer}"
    assert found["sources"] == [{"source": "configuration", "place": f"vtep {peer}", "holds": True, "remark": None}]
    assert found["past"][0]["place"] == "port vm1"
    daemon.wait_resolved(peer)
    action, text = outcome(explain(), "vm1")
    assert action == "tunnel" and text.startswith(f"sent to {peer}, next hop {peer}%u0 at {site.kernels[0].namespace.mac('u0')}")
    action, text = outcome(explain(), None)
    assert action == "drop" and text.startswith("split-horizon: ")
    text = daemon.table("explain", mac, "--vni", VNI)
    for part in ("(static)", f"configuration: vtep {peer}: holds", "before", "mac-moved", "tunnel"):
        assert part in text, text


def test_limits_and_what_is_asked_wrongly(lab):
    site = Site(lab, vtepd=1, vni={"mac-limit": 2}, wait=False)
    isolated = {"isolated": True}
    site.daemons[0].config["ports"][0].update(isolated)
    add_guest(lab, site, "vm9", 9, **isolated)
    site.start()
    daemon, guest = site.daemons[0], site.guests[0]
    raw = guest.namespace.raw_socket("eth0", receive=False)

    def full():
        for number in range(1, 4):
            raw.send(ethernet(mac_number(number)))
        return len(daemon.macs()) == 2

    wait_until(full, lambda: f"two are learned: {daemon.macs()}", interval=0.2)
    unlearned = mac_number(0x777)
    assert any("mac-limit is 2" in limit for limit in daemon.ctl("explain", unlearned, "--vni", VNI)["limits"])
    known = next(mac for mac, row in daemon.macs().items() if row["port"] == "vm1")
    explained = daemon.ctl("explain", known, "--vni", VNI)
    assert explained["limits"] == [] and outcome(explained, "vm9")[1].startswith("port-isolated: ")
    guest.namespace.ip("link set eth0 down")
    wait_until(lambda: daemon.port("vm1")["state"] == "down", "the port is down")
    assert outcome(daemon.ctl("explain", known, "--vni", VNI), "vm1")[1].endswith("the port is down: nothing comes from it now")
    assert outcome(daemon.ctl("explain", "01:80:c2:00:00:02", "--vni", VNI), "vm9")[0] == "drop"
    for arguments, message in [
        ([known, "--vni", 77], "no VNI 77"), ([known, "--vni", VNI, "--from-port", "nobody"], "no port nobody"), (["02:00", "--vni", VNI], "MAC"),
    ]:
        with pytest.raises(Refused, match=message):
            daemon.ctl("explain", *arguments)
