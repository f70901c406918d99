"""What a controller does, as events: session, addresses, refusals; and who holds an address, by `vtepctl explain`."""
from lab import wait_until
from lab.controlled import VNI, ControlledSite
from lab.events import Events
from lab.frames import ethernet


def test_session_addresses_and_refusals(lab):
    site = ControlledSite(lab)
    daemon, peer = site.daemon, site.kernels[0].ipv4
    events = Events(daemon, "--since", 0)
    events.wait("controller-up")
    site.connect()
    site.wait_vni()
    placed = events.wait("mac-placed", mac=site.vm.mac)
    assert placed["to"] == f"vtep {peer}" and placed["source"] == "controller" and placed["vni"] == VNI
    site.bm.wait_ping(site.vm.ipv4)
    assert events.wait("mac-learned", mac=site.bm.mac)["to"] == "port p1"

    # Controller and data plane about the same address: the controller's holds.
    site.ctl("add-ucast-remote", "ls0", site.bm.mac, peer)
    assert events.wait("mac-placed", mac=site.bm.mac)["from"] == "port p1"
    raw = site.bm.namespace.raw_socket("eth0", receive=False)

    def sources():
        raw.send(ethernet(site.bm.mac))
        found = daemon.ctl("explain", site.bm.mac, "--vni", VNI)["sources"]
        return [(row["source"], row["place"], row["holds"], row["remark"]) for row in found]

    expected = [("controller", f"vtep {peer}", True, None), ("learned", "port p1", False, "outranked by the controller")]
    wait_until(lambda: sources() == expected, lambda: f"{sources()}", interval=0.2)
    site.ctl("del-ucast-remote", "ls0", site.bm.mac)
    removed = events.wait("mac-removed", mac=site.bm.mac)
    assert removed["source"] == "controller"
    wait_until(lambda: sources() == [("learned", "port p1", True, None)], lambda: f"{sources()}", interval=0.2)

    # What cannot be done.
    site.ctl("bind-ls", "hv1", "p1", 4095, "ls0")
    refused = events.wait("controller-refused", "VLAN 4095")
    assert refused["level"] == "warning"
    site.ctl("unbind-ls", "hv1", "p1", 4095)
    events.wait("controller-resolved", "VLAN 4095")

    # The session is lost, and comes back.
    ups = len(events.find("controller-up"))
    site.server.kill()
    events.wait("controller-down")
    site.server.start()
    wait_until(lambda: len(events.find("controller-up")) > ups, lambda: f"the session is up again: {events.all[-10:]}", 60)
