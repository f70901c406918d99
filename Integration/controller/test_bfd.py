"""BFD in tunnels, with Open vSwitch's BFD at the other end: up, down and back, and what follows for flooding and service nodes."""
import urllib.request

from lab import Site, wait_until
from lab.controlled import ControlledSite
from lab.events import Events
from lab.frames import arp_request
from lab.ovn import BFD_MILLISECONDS as MILLISECONDS
from lab.ovn import BFDPeer
from lab.site import VNI


def session(daemon, peer):
    return next((row for row in daemon.ctl("show", "bfd") if row["address"] == peer.address), None)


def wait_state(daemon, peer, state, **fields):
    def found():
        row = session(daemon, peer)
        return row if row and row["state"] == state and all(row[key] == value for key, value in fields.items()) else None

    return wait_until(found, lambda: f"BFD with {peer.address} is {state} {fields}: {session(daemon, peer)}; {peer.status()}")


def flooded(daemon, port):
    """The VTEPs that a broadcast from a port goes to, by `trace`."""
    stages = daemon.ctl("trace", "--port", port, arp_request("02:00:00:00:99:01", "10.0.0.99", "10.0.0.98").hex())["stages"]
    return set(next(stage["facts"]["vteps"] for stage in stages if stage["stage"] == "flood"))


def test_open_vswitch_by_the_file(lab):
    site = Site(lab, vtepd=1, flood="replicate", wait=False)
    daemon = site.daemons[0]
    # One sends in the port's own VNI, which is also ours, the other with key 0.
    near, far = BFDPeer(lab, site.switch, 3, VNI), BFDPeer(lab, site.switch, 4, 0)
    daemon.config["vnis"][0]["peers"] = [near.address, far.address]
    daemon.config["metrics"] = {"listen": "127.0.0.1:9478"}
    daemon.write_config()
    site.start()
    port = site.guests[0].name
    # Off: told, and no address is learned from it.
    wait_until(lambda: (daemon.vtep(near.address) or {}).get("bfd_ignored", 0) > 2 and daemon.vtep(far.address)["bfd_ignored"] > 2,
               "BFD frames are counted while BFD is off")
    assert "frames came" in daemon.table("show", "vteps")
    assert daemon.vtep(near.address)["bfd"] is None and daemon.vtep(near.address)["macs"] == 0

    events = Events(daemon, "--type", "vtep")
    daemon.config["underlay"]["bfd"] = {"min-tx-ms": MILLISECONDS, "min-rx-ms": MILLISECONDS}
    daemon.reload("configuration reloaded")
    for peer, vni in ((near, VNI), (far, 0)):
        row = wait_state(daemon, peer, "up", forwarding=True, vni=vni)
        wait_until(lambda: peer.status().get("state") == "up" and peer.status().get("forwarding") == "true", lambda: f"{peer.status()}")
        assert row["remote_state"] == "up"
        wait_until(lambda: session(daemon, peer)["tx_ms"] == MILLISECONDS and session(daemon, peer)["detection_ms"] == 3 * MILLISECONDS,
                   lambda: f"negotiated: {session(daemon, peer)}")
        events.wait("vtep-bfd-up", address=peer.address)
    assert flooded(daemon, port) == {near.address, far.address}
    assert daemon.vtep(near.address)["macs"] == 0

    # A cut.
    near.link("down")
    wait_state(daemon, near, "down", diagnostic="Control Detection Time Expired", flaps=1)
    events.wait("vtep-bfd-down", "Control Detection Time Expired", address=near.address)
    wait_until(lambda: flooded(daemon, port) == {far.address}, "what is lost gets nothing flooded")
    assert f"left out, since BFD has lost them: {near.address}" in daemon.table(
        "trace", "--port", port, arp_request("02:00:00:00:99:01", "10.0.0.99", "10.0.0.98").hex())
    with site.hosts[0].namespace.entered(), urllib.request.urlopen("http://127.0.0.1:9478/metrics", timeout=60) as page:
        text = page.read().decode()
    for line in ('vtepd_bfd_sessions{state="down"} 1', 'vtepd_bfd_sessions{state="up"} 1', "vtepd_bfd_flaps_total 1",
                 f'vtepd_vtep_bfd_up{{vtep="{near.address}"}} 0', f'vtepd_vtep_bfd_up{{vtep="{far.address}"}} 1'):
        assert f"\n{line}\n" in text, line
    near.link("up")
    wait_state(daemon, near, "up")
    wait_until(lambda: flooded(daemon, port) == {near.address, far.address}, "what is back does")

    # By its administrator, who says nothing: Open vSwitch just stops.
    far.set(enable="false")
    wait_state(daemon, far, "down")
    wait_until(lambda: flooded(daemon, port) == {near.address}, "nor does what has stopped")
    far.set(enable="true")
    wait_state(daemon, far, "up")

    # The other end tells that what is behind it cannot be reached.
    far.set(cpath_down="true")
    wait_state(daemon, far, "up", forwarding=False, remote_diagnostic="Concatenated Path Down")
    wait_until(lambda: flooded(daemon, port) == {near.address}, "nor what says that it leads nowhere")
    far.set(cpath_down="false")
    wait_state(daemon, far, "up", forwarding=True)

    # A wrong key.
    daemon.config["underlay"]["bfd"]["check-tunnel-key"] = True
    daemon.reload("configuration reloaded")
    row = wait_state(daemon, near, "down")
    wait_until(lambda: session(daemon, near)["wrong_keys"] > 0, "frames with another key are counted")
    assert session(daemon, far)["state"] == "up" and row["forwarding"] is False
    near.vsctl("set", "interface", "vx", "options:key=0")
    wait_state(daemon, near, "up", vni=0)

    # By our administrator, who does say so.
    del daemon.config["underlay"]["bfd"]
    daemon.reload("configuration reloaded")
    wait_until(lambda: near.status().get("remote_state") == "admin_down" or near.status().get("state") == "down", lambda: f"{near.status()}")
    assert daemon.ctl("show", "bfd") == []
    assert flooded(daemon, port) == {near.address, far.address}


def test_tunnel_rows_and_service_nodes(lab):
    site = ControlledSite(lab, kernels=0)
    nodes = [BFDPeer(lab, site.switch, 3, 0), BFDPeer(lab, site.switch, 4, 0)]
    site.add_switch(mode="service_node")
    site.ctl("bind-ls", "hv1", "p1", 0, "ls0")
    for node in nodes:
        site.ctl("add-mcast-remote", "ls0", "unknown-dst", node.address)

    def tunnel(node):
        tunnels = site.rows("Tunnel", "local", "remote", "bfd_config_local", "bfd_status")
        # Afterwards, so that it has those of all tunnels.
        locators = {row["_uuid"][1]: row["dst_ip"] for row in site.rows("Physical_Locator", "dst_ip")}
        for row in tunnels:
            if locators.get(row["remote"][1]) == node.address:
                assert locators[row["local"][1]] == site.host.ipv4
                assert dict(row["bfd_config_local"][1]) == {"bfd_dst_mac": "00:23:20:00:00:01", "bfd_dst_ip": "169.254.1.0"}
                return row
        return None

    def status(node):
        return dict(tunnel(node)["bfd_status"][1])

    for node in nodes:
        wait_until(lambda: tunnel(node), f"a Tunnel row for {node.address}")
        assert status(node) == {}
        site.ctl("set", "Tunnel", tunnel(node)["_uuid"][1], "bfd_params:enable=true", f"bfd_params:min_rx={MILLISECONDS}",
                 f"bfd_params:min_tx={MILLISECONDS}")
    for node in nodes:
        wait_until(lambda: status(node).get("state") == "up", lambda: f"{status(node)}")
        wait_until(lambda: status(node).get("remote_state") == "up", lambda: f"the other end says so: {status(node)}")
    assert status(node) == {"enabled": "true", "state": "up", "forwarding": "true", "diagnostic": "No Diagnostic",
                                "remote_state": "up", "remote_diagnostic": "No Diagnostic"}
    first, second = nodes
    wait_until(lambda: flooded(site.daemon, "p1") == {first.address}, "of service nodes the first")
    first.link("down")
    wait_until(lambda: status(first).get("state") == "down", "the row says that it is down")
    assert status(first)["forwarding"] == "false" and status(first)["diagnostic"] == "Control Detection Time Expired"
    wait_until(lambda: flooded(site.daemon, "p1") == {second.address}, "the other takes over")
    first.link("up")
    wait_until(lambda: flooded(site.daemon, "p1") == {first.address} and status(first)["state"] == "up", "and gives way again")

    # The controller's own columns are its own, and what it no longer wants is cleared.
    site.ctl("set", "Tunnel", tunnel(second)["_uuid"][1], "bfd_params:enable=false")
    wait_until(lambda: status(second) == {}, "the status is cleared")
    wait_until(lambda: second.status().get("state") == "down", "the other end knows")
    # With the last use of the VTEP its row goes.
    site.ctl("del-mcast-remote", "ls0", "unknown-dst", second.address)
    wait_until(lambda: tunnel(second) is None, "the row of an unused VTEP goes")
    assert tunnel(first)
    assert {row["result"] for row in site.daemon.ctl("ovsdb", "transactions")} == {"committed"}
