"""A clustered database (Raft): vtepd follows the leader, wherever it is, and abandons members that have lost the cluster."""
import signal

import pytest

from lab import OvsdbServer, Site, transact, wait_until
from lab.namespaces import run

MEMBERS = (1, 2, 3)


class Cluster:
    def __init__(self, namespace):
        self.namespace, self.members = namespace, {}
        for number in MEMBERS:
            member = OvsdbServer(namespace, f"member{number}", [f"ptcp:{self.port(number)}:127.0.0.1"], create=False)
            raft = [f"tcp:127.0.0.1:{6660 + other}" for other in (number, 1)]
            if number == 1:
                namespace.run("ovsdb-tool", "create-cluster", member.database, "/usr/share/openvswitch/vtep.ovsschema", raft[0])
            else:
                namespace.run("ovsdb-tool", "join-cluster", member.database, "hardware_vtep", *raft)
            self.members[number] = member.start()
            namespace.run("ovsdb-client", "--timeout=60", "wait", f"unix:{member.socket}", "hardware_vtep", "connected")

    @staticmethod
    def port(number):
        return 6640 + number

    def remote(self, number):
        return f"tcp:127.0.0.1:{self.port(number)}"

    def running(self):
        return [number for number, member in self.members.items() if member.process.poll() is None]

    def leader(self, among=None):
        """The number of the leading member; waits for an election."""
        def found():
            for number in among or self.running():
                status = self.members[number].appctl("cluster/status", "hardware_vtep", check=False).stdout
                if "Role: leader" in status:
                    return number
            return None

        return wait_until(found, "there is a leader", 60)

    def add_logical_switch(self, name):
        """Through any running member, which forwards it."""
        remotes = ",".join(self.remote(number) for number in self.running())
        return transact(remotes, {"op": "insert", "table": "Logical_Switch", "row": {"name": name}}, namespace=self.namespace)


@pytest.fixture
def site(lab):
    site = Site(lab, vtepd=1, flood="replicate", wait=False)
    site.cluster = Cluster(site.hosts[0].namespace)
    daemon = site.daemons[0]
    daemon.config["ovsdb"] = {"remotes": [site.cluster.remote(number) for number in MEMBERS]}
    daemon.write_config()
    daemon.start()
    return site


def wait_follows(daemon, cluster):
    """The daemon is connected to the leader only."""
    def settled():
        leader = cluster.remote(cluster.leader())
        return {row["remote"]: row["state"] for row in daemon.ctl("show", "ovsdb") if row["state"] in ("ACTIVE", "IDLE")}.keys() == {leader}

    wait_until(settled, lambda: f"the leader is followed: {daemon.ctl('show', 'ovsdb')}\n{daemon.log()[-3000:]}", 90)


def test_the_leader_is_stopped_and_changes_still_arrive(site):
    daemon, cluster = site.daemons[0], site.cluster
    wait_follows(daemon, cluster)
    cluster.add_logical_switch("ls1")
    daemon.wait_logical_switches(1)
    count = 1
    for with_signal in (signal.SIGTERM, signal.SIGKILL):
        leader = cluster.leader()
        cluster.members[leader].stop(with_signal)
        cluster.leader()
        count += 1
        cluster.add_logical_switch(f"ls{count}")
        daemon.wait_logical_switches(count)
        wait_follows(daemon, cluster)
        # The lost member is back, and does not lead.
        cluster.members[leader].start()
        count += 1
        cluster.add_logical_switch(f"ls{count}")
        daemon.wait_logical_switches(count)


def test_leadership_that_moves_is_followed_at_once(site):
    daemon, cluster = site.daemons[0], site.cluster
    wait_follows(daemon, cluster)
    old = cluster.leader()
    # It is stopped for as long as the others need to elect another leader; then it reports that it no longer leads.
    cluster.members[old].process.send_signal(signal.SIGSTOP)
    try:
        cluster.leader(among=[number for number in MEMBERS if number != old])
    finally:
        cluster.members[old].process.send_signal(signal.SIGCONT)
    wait_follows(daemon, cluster)
    assert "the member is not the cluster's leader" in daemon.log()
    cluster.add_logical_switch("ls1")
    daemon.wait_logical_switches(1)


def test_a_silent_leader_is_abandoned(site):
    daemon, cluster = site.daemons[0], site.cluster
    daemon.config["ovsdb"]["inactivity-probe-seconds"] = 1
    daemon.reload("ovsdb changed")
    wait_follows(daemon, cluster)
    old = cluster.leader()
    silent = cluster.members[old].process
    silent.send_signal(signal.SIGSTOP)
    try:
        daemon.wait_ovsdb(error="no answer for")
        others = [number for number in MEMBERS if number != old]
        cluster.running = lambda: others  # it runs, but does not answer
        cluster.add_logical_switch("ls1")
        daemon.wait_logical_switches(1)
        wait_follows(daemon, cluster)
    finally:
        silent.send_signal(signal.SIGCONT)


def test_a_member_without_its_cluster_is_abandoned(site):
    daemon, cluster = site.daemons[0], site.cluster
    wait_follows(daemon, cluster)
    cluster.add_logical_switch("ls1")
    daemon.wait_logical_switches(1)
    leader = cluster.leader()
    lost = [number for number in MEMBERS if number != leader]
    for number in lost:
        cluster.members[number].kill()
    # No member can say what the database contains now; the known state stays.
    wait_until(lambda: all(row["state"] not in ("ACTIVE", "IDLE") for row in daemon.ctl("show", "ovsdb")),
               lambda: f"the member is abandoned: {daemon.ctl('show', 'ovsdb')}\n{daemon.log()[-2000:]}", 90)
    errors = [row["last_error"] or "" for row in daemon.ctl("show", "ovsdb")]
    assert any("is not the cluster's leader" in error or "lost contact with its cluster" in error for error in errors), errors
    assert daemon.ovsdb()["logical_switches"] == 1
    for number in lost:
        cluster.members[number].start()
    wait_follows(daemon, cluster)
    cluster.add_logical_switch("ls2")
    daemon.wait_logical_switches(2)


def test_single_follower_is_accepted(lab):
    """Without an alternative, a follower is used: it forwards transactions."""
    site = Site(lab, vtepd=1, flood="replicate", wait=False)
    cluster = Cluster(site.hosts[0].namespace)
    follower = next(number for number in MEMBERS if number != cluster.leader())
    daemon = site.daemons[0]
    daemon.config["ovsdb"] = {"remotes": [cluster.remote(follower)]}
    daemon.write_config()
    daemon.start()
    daemon.wait_ovsdb()
    cluster.add_logical_switch("ls1")
    daemon.wait_logical_switches(1)


def test_a_relay_is_accepted(lab):
    """A server that relays another's database: it never leads."""
    site = Site(lab, vtepd=1, flood="replicate", wait=False)
    daemon = site.daemons[0]
    source = OvsdbServer(daemon.namespace, "source", ["ptcp:6640:127.0.0.1"]).start()
    relay = OvsdbServer(daemon.namespace, "relay", ["ptcp:6650:127.0.0.1"], create=False)
    relay.database = "relay:hardware_vtep:tcp:127.0.0.1:6640"
    relay.start()
    # Two remotes, so that there is an alternative.
    daemon.config["ovsdb"] = {"remotes": ["tcp:127.0.0.1:6650", "tcp:127.0.0.1:6651"]}
    daemon.write_config()
    daemon.start()
    daemon.wait_ovsdb()
    source.vtep_ctl("add-ls", "ls1")
    daemon.wait_logical_switches(1)
