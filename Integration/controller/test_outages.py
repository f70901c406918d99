"""kill -9 of the database server, the controller and vtepd, in turn and together, under a stream of 1,000 packets per second; and
wiped databases."""
import time

import pytest

from lab import EchoStream, wait_until
from lab.controlled import ControlledSite
from lab.namespaces import run
from lab.ovsdb import SCHEMA

# A busy machine may lose packets on its own: one run without any loss is enough.
ATTEMPTS = 4


@pytest.fixture
def site(lab):
    site = ControlledSite(lab)
    site.connect()
    site.bm.wait_ping(site.vm.ipv4)
    return site


def controller(site):
    """A process with an endless session with the database."""
    return site.host.namespace.popen("vtep-ctl", f"--db=unix:{site.server.socket}", "--no-wait", "wait-until", "Logical_Switch", "never")


def lost_while(site, act):
    """How many packets of a stream are lost during an action."""
    stream = EchoStream(site.bm, site.vm.mac, site.vm.ipv4)
    try:
        stream.wait_answers(500)
        begin = time.time_ns()
        act()
        stream.wait_answers(1500)
        end = stream.sent[max(stream.answered)]
    finally:
        stream.stop()
    assert end - begin > 1_000_000_000
    return stream.lost(begin, end)


def lossless(site, act):
    counts = []
    while not counts or (counts[-1] and len(counts) < ATTEMPTS):
        counts.append(lost_while(site, act))
    assert counts[-1] == 0, f"packets were lost each time: {counts}"


@pytest.mark.alone
def test_server_killed(site):
    def kill():
        site.server.kill()
        site.daemon.wait_ovsdb("BACKOFF")
        site.server.start()
        site.daemon.wait_ovsdb()

    lossless(site, kill)
    # Changes arrive again.
    site.ctl("del-ucast-remote", "ls0", site.vm.mac)
    site.wait_mac(site.vm.mac)


@pytest.mark.alone
def test_controller_killed(site):
    def kill():
        process = controller(site)
        time.sleep(1)
        process.kill()
        process.wait()

    lossless(site, kill)


def test_vtepd_killed_while_nobody_answers(site):
    """Forwarding resumes from the last known state, although the server is dead too. Addresses learned in the meantime are
    published later."""
    site.wait_local(site.bm.mac)
    # The controller's state is saved within a moment.
    site.ctl("add-ucast-remote", "ls0", "02:00:00:00:77:01", "192.0.2.2")
    state = site.daemon.directory / "state/controller-state"
    wait_until(lambda: state.exists() and "02:00:00:00:77:01" in state.read_text(), "the state is kept")
    process = controller(site)
    for victim in (process, site.server, site.daemon):
        victim.kill()
    site.daemon.start()
    site.daemon.wait_ports_up()
    assert site.daemon.macs()["02:00:00:00:77:01"]["type"] == "controller"
    assert site.daemon.ovsdb()["state"] != "ACTIVE"
    site.bm.wait_ping(site.vm.ipv4)
    assert site.bm.ping(site.vm.ipv4, count=10) == 10
    site.server.start()
    site.daemon.wait_ovsdb()
    assert site.bm.ping(site.vm.ipv4, count=10) == 10
    site.wait_local(site.bm.mac)


def wipe(site):
    """The server restarts with an empty database."""
    site.server.kill()
    site.server.database.unlink()
    run("ovsdb-tool", "create", site.server.database, SCHEMA)
    site.server.start()


@pytest.mark.alone
def test_wiped_database_is_not_applied_at_once(lab):
    site = ControlledSite(lab, start=False)
    site.daemon.config["ovsdb"]["stale-hold"] = 12
    site.daemon.write_config()
    site.server.start()
    site.start()
    site.connect()
    site.bm.wait_ping(site.vm.ipv4)

    def forget():
        wipe(site)
        site.daemon.wait_ovsdb()
        # The switch is registered again, as in any new database.
        wait_until(lambda: site.ctl("list-ps") == "hv1", "the switch has registered")

    assert lost_while(site, forget) < 100
    assert [row["source"] for row in site.daemon.ctl("show", "vnis")] == ["ovsdb"]
    assert site.bm.ping(site.vm.ipv4, count=3) == 3
    wait_until(lambda: site.daemon.ctl("show", "vnis") == [], lambda: f"the database is applied:\n{site.daemon.log()[-2000:]}", 60)
    assert site.bm.ping(site.vm.ipv4, count=3) == 0
    site.connect()
    site.bm.wait_ping(site.vm.ipv4)
