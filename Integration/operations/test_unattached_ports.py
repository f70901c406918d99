"""A port that cannot be attached waits, says why, and attaches once it can; everything else keeps running."""

import pytest

from lab import Site, VirtioGuest, wait_until
from lab.daemon import VTEPCTL, VTEPD, Refused
from lab.namespaces import run
from lab.site import VNI


def status(daemon, seconds=1):
    """(exit status, standard output, standard error) of `status --wait`."""
    done = run(VTEPCTL, "--socket", daemon.socket_path, "status", "--wait", seconds, check=False)
    return done.returncode, done.stdout, done.stderr


class Obstacle:
    """Something that prevents a port from attaching, and the port's reason."""

    def __init__(self, lab, site):
        self.lab, self.site, self.host = lab, site, site.hosts[0].namespace
        self.directory = lab.directory / "obstacle"

    def put(self):
        raise NotImplementedError

    def remove(self):
        raise NotImplementedError


class TakenTap(Obstacle):
    port, reason, state = {"kind": "tap", "device": "tap9"}, "an interface of this name exists and is not a tap but of kind veth", "up"

    def put(self):
        self.host.ip("link add tap9 type veth peer name far9")

    def remove(self):
        self.host.ip("link delete tap9")


class MissingFolder(Obstacle):
    reason, state = "there is no folder", "waiting"

    @property
    def port(self):
        return {"kind": "vhost-user", "socket": str(self.directory / "s.sock"), "role": "server"}

    def put(self):
        pass

    def remove(self):
        self.directory.mkdir()


class PlainFile(MissingFolder):
    reason = "the path exists and is not a socket"

    def put(self):
        self.directory.mkdir()
        (self.directory / "s.sock").touch()

    def remove(self):
        (self.directory / "s.sock").unlink()


class MemifFile(PlainFile):
    @property
    def port(self):
        return {**super().port, "kind": "memif"}


class TakenInterface(Obstacle):
    """An interface used by the host itself."""
    port, reason, state = {"kind": "netdev", "device": "own9"}, "it has the address 10.9.9.1/24 of the host's own", "up"

    def put(self):
        self.host.ip("link add own9 type veth peer name far9")
        for command in ("link set own9 up", "link set far9 up", "address add 10.9.9.1/24 dev own9"):
            self.host.ip(command)

    def remove(self):
        self.host.ip("address delete 10.9.9.1/24 dev own9")


@pytest.mark.parametrize("kind", [TakenTap, MissingFolder, PlainFile, MemifFile, TakenInterface])
def test_one_unattached_port_does_not_prevent_the_start(lab, kind):
    site = Site(lab, vtepd=2, flood="replicate", wait=False)
    daemon = site.daemons[0]
    obstacle = kind(lab, site)
    obstacle.put()
    daemon.config["ports"].insert(0, {"name": "a9", "vni": VNI, **obstacle.port})
    daemon.write_config()
    assert site.hosts[0].namespace.run(VTEPD, "--config", daemon.config_path, "--check").stderr == ""
    daemon.start(wait=False)
    site.daemons[1].start()
    wait_until(lambda: daemon.socket_path.exists() and status(daemon)[0] in (0, 4), lambda: f"it runs:\n{daemon.log()}", 60)
    daemon.wait_ports_up("vm1")
    site.wait_all_pings()

    row = daemon.port("a9")
    assert row["state"] == "waiting" and obstacle.reason in " ".join(row["notes"]), row
    assert daemon.log().count(obstacle.reason) == 1, "the log reports it once"
    code, shown, complaint = status(daemon)
    assert code == 4 and "a9" in shown and "a9" in complaint
    assert daemon.ctl("status")["unattached"] == ["a9"] and daemon.ctl("status")["state"] == "running"

    # It does not get in the way: a reload and vtepctl change other things, and rejected changes have no effect.
    daemon.config["vnis"].append({"vni": 77, "flood": "none"})
    daemon.reload("configuration reloaded")
    daemon.ctl("port", "add", "--name", "t", "--kind", "tap", "--device", "tapt", "--vni", 77)
    with pytest.raises(Refused):
        daemon.ctl("port", "add", "--name", "b9", "--kind", "vhost-user", "--socket", lab.directory / "no/s.sock", "--role", "server", "--vni", 77)
    assert [name for name in ("b9",) if name in daemon.ctl("config", "show")["text"].split()] == []
    daemon.ctl("port", "delete", "t")

    obstacle.remove()
    wait_until(lambda: daemon.ctl("status")["unattached"] == [], lambda: f"the port is attached:\n{daemon.log()[-2000:]}")
    assert status(daemon)[0] == 0
    wait_until(lambda: daemon.port("a9")["state"] == obstacle.state, lambda: f"it is {obstacle.state}: {daemon.port('a9')}")
    assert not any(obstacle.reason in note for note in daemon.port("a9")["notes"])
    if "socket" in obstacle.port and obstacle.port["kind"] == "vhost-user":
        VirtioGuest(lab, obstacle.port["socket"], listens=False).boot()
        wait_until(lambda: daemon.port("a9")["state"] == "up", "the guest is served")


def test_reload_with_a_port_that_cannot_be_attached_is_refused(lab):
    """Whoever changes the file reads the rejection; the running state stays as before."""
    site = Site(lab, vtepd=1, flood="none")
    daemon = site.daemons[0]
    daemon.config["ports"].append({"name": "a9", "kind": "vhost-user", "socket": str(lab.directory / "no/s.sock"), "role": "server", "vni": VNI})
    daemon.reload("configuration not reloaded")
    assert "there is no folder" in daemon.log()
    assert [row["name"] for row in daemon.ctl("show", "ports")] == ["vm1"] and daemon.ctl("status")["unattached"] == []
    # A restart succeeds all the same.
    daemon.stop()
    daemon.start(wait=False)
    wait_until(lambda: daemon.socket_path.exists() and status(daemon)[0] == 4, lambda: f"it runs without a9:\n{daemon.log()}", 60)
    daemon.wait_ports_up("vm1")


def test_punt_tap_whose_name_is_taken(lab):
    """The port carries traffic without it, and gets it once the name is free."""
    site = Site(lab, vtepd=2, flood="replicate", wait=False)
    daemon, host = site.daemons[0], site.hosts[0].namespace
    host.ip("link add punt-vm1 type veth peer name far9")
    daemon.config["ports"][0]["l2-protocols"] = "punt"
    daemon.write_config()
    site.start()
    site.wait_all_pings()
    assert any("punt-vm1" in note for note in daemon.port("vm1")["notes"]), daemon.port("vm1")
    host.ip("link delete punt-vm1")
    wait_until(lambda: "punt-vm1" in host.ip("link"), lambda: f"the tap is there: {daemon.log()[-2000:]}")
    wait_until(lambda: not any("punt-vm1" in note for note in daemon.port("vm1")["notes"]), "and nothing is noted")
