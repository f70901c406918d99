"""`ovsdb: {}`: vtepd serves the database itself, like a hardware VTEP: it creates or converts it, connects as the Manager rows say,
keeps the server running, and never runs two servers on one database."""
import json
import os
import pathlib
import signal
import socket
import threading
import time

import pytest

from lab import Capture, Certificates, Site, transact, vtep_ctl, wait_until
from lab.daemon import VTEPD
from lab.events import Events
from lab.namespaces import run
from lab.ovsdb import SCHEMA


@pytest.fixture
def daemon(lab):
    """Not started yet."""
    daemon = Site(lab, vtepd=1, flood="replicate", wait=False).daemons[0]
    daemon.config["ovsdb"] = {}
    daemon.write_config()
    return daemon


def database_of(daemon):
    return daemon.directory / "state/vtep.db"


def socket_of(daemon):
    return f"unix:{daemon.directory}/run/db.sock"


def servers(daemon):
    """PIDs of all servers on its database."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"ovsdb-server") and str(database_of(daemon)).encode() in words:
            found.append(int(entry.name))
    return found


@pytest.fixture(autouse=True)
def no_server_is_left(daemon):
    yield
    for pid in servers(daemon):
        os.kill(pid, signal.SIGKILL)


def test_controllers_connect_to_the_switch(daemon):
    daemon.start()
    daemon.wait_ovsdb()
    assert daemon.ovsdb()["remote"] == socket_of(daemon)
    vtep_ctl(socket_of(daemon), "add-ls", "ls0")
    daemon.wait_logical_switches(1)
    # A Manager row opens a listener, also for the schema's other tools.
    vtep_ctl(socket_of(daemon), "set-manager", "ptcp:6640:127.0.0.1")
    remote = "tcp:127.0.0.1:6640"
    assert vtep_ctl(remote, "list-ls", namespace=daemon.namespace) == "ls0"
    vtep_ctl(remote, "add-ls", "ls1", namespace=daemon.namespace)
    daemon.wait_logical_switches(2)
    # Its log lines are in ours.
    assert "ovsdb-server: ovsdb_server: ovsdb-server (Open vSwitch)" in daemon.log()
    assert len(servers(daemon)) == 1
    assert daemon.stop() == 0
    assert servers(daemon) == [] and not (daemon.directory / "run/db.sock").exists()
    # The database's contents are still there.
    daemon.start()
    daemon.wait_logical_switches(2)


def test_managers_may_use_tls(lab, daemon):
    pki = Certificates(lab)
    pki.self_signed("ca")
    pki.issue("switch")
    pki.issue("controller")
    daemon.config["ovsdb"] = pki.keys("switch")
    daemon.write_config()
    daemon.start()
    daemon.wait_ovsdb()
    vtep_ctl(socket_of(daemon), "set-manager", "pssl:6640:127.0.0.1")
    done = daemon.namespace.run("vtep-ctl", "--timeout=30", "--db=ssl:127.0.0.1:6640", *pki.options("controller"), "add-ls", "ls0")
    assert done.returncode == 0
    daemon.wait_logical_switches(1)


class Controller:
    """A program that a database connects to. It notes when a connection begins, when it is probed and when it is closed, and never
    answers."""

    def __init__(self, namespace, port):
        with namespace.entered():
            self.listener = socket.create_server(("127.0.0.1", port))
        namespace.lab.on_close(self.close)
        self.begins, self.probes, self.ends, self.is_closed = [], [], [], False
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while not self.is_closed:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.begins.append(time.monotonic())
            with connection:
                while data := connection.recv(65536):
                    if b'"echo"' in data:
                        self.probes.append(time.monotonic())
            self.ends.append(time.monotonic())

    def close(self):
        self.is_closed = True
        self.listener.close()


def managers(daemon):
    """{target: row} of the table Manager."""
    columns = ["target", "is_connected", "status"]
    rows = transact(socket_of(daemon), {"op": "select", "table": "Manager", "where": [], "columns": columns})[0]["rows"]
    return {row["target"]: {"connected": row["is_connected"], **dict(row["status"][1])} for row in rows}


def test_each_manager_has_its_own_parameters(daemon):
    """Two controllers, one of them absent: target, max_backoff, inactivity_probe, dscp, is_connected and status of each row."""
    daemon.start()
    daemon.wait_ovsdb()
    wait_until(lambda: transact(socket_of(daemon), {"op": "select", "table": "Global", "where": []})[0]["rows"], "the switch is in the database")
    capture = Capture(daemon.namespace, "lo", "tcp[tcpflags] & (tcp-syn | tcp-ack) == tcp-syn and dst portrange 6651-6653")
    controller = Controller(daemon.namespace, 6651)
    rows = [{"target": "tcp:127.0.0.1:6651", "inactivity_probe": 1000, "max_backoff": 1000, "other_config": ["map", [["dscp", "10"]]]},
            {"target": "tcp:127.0.0.1:6652", "inactivity_probe": 0, "max_backoff": 2000}, {"target": "ptcp:6653:127.0.0.1"}]
    names = [f"m{number}" for number in range(len(rows))]
    transact(socket_of(daemon), *({"op": "insert", "table": "Manager", "uuid-name": name, "row": row} for name, row in zip(names, rows)),
             {"op": "mutate", "table": "Global", "where": [], "mutations": [["managers", "insert", ["set", [["named-uuid", name] for name in names]]]]})
    # The silent controller is probed after a second, given up after another, and dialled again without a long pause.
    wait_until(lambda: len(controller.begins) >= 3 and len(controller.probes) >= 2, lambda: f"{vars(controller)} {managers(daemon)}")
    state = managers(daemon)
    wait_until(lambda: managers(daemon)["tcp:127.0.0.1:6651"]["connected"], lambda: f"it is connected: {managers(daemon)}")
    assert not state["tcp:127.0.0.1:6652"]["connected"] and state["tcp:127.0.0.1:6652"]["state"] in ("BACKOFF", "CONNECTING"), state
    # One that connects to us, by the third row.
    with daemon.namespace.entered():
        visitor = socket.create_connection(("127.0.0.1", 6653))
    with visitor:
        visitor.sendall(json.dumps({"method": "list_dbs", "params": [], "id": 1}).encode())
        assert b"hardware_vtep" in visitor.recv(4096)
        wait_until(lambda: managers(daemon)["ptcp:6653:127.0.0.1"]["connected"], lambda: f"{managers(daemon)}")
    # DSCP 48 unless the row says something else.
    tos = {port: {row[0] for row in capture.fields("ip.dsfield.dscp", only=f"tcp.dstport == {port}")} for port in (6651, 6652)}
    assert tos == {6651: {"10"}, 6652: {"48"}}
    # Without its row, a controller is left.
    transact(socket_of(daemon), {"op": "update", "table": "Global", "where": [], "row": {"managers": ["set", []]}})
    wait_until(lambda: len(controller.ends) == len(controller.begins), lambda: f"{vars(controller)}")
    assert managers(daemon) == {}


def test_the_server_is_started_again(daemon):
    daemon.start()
    daemon.wait_ovsdb()
    vtep_ctl(socket_of(daemon), "add-ls", "ls0")
    daemon.wait_logical_switches(1)
    for with_signal in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV):
        [pid] = servers(daemon)
        os.kill(pid, with_signal)
        wait_until(lambda: servers(daemon) not in ([], [pid]), lambda: f"another server runs:\n{daemon.log()[-2000:]}")
        daemon.wait_ovsdb()
        assert len(servers(daemon)) == 1
    assert f"signal {signal.SIGKILL.value}" in daemon.log()
    vtep_ctl(socket_of(daemon), "add-ls", "ls1")
    daemon.wait_logical_switches(2)


def test_a_hung_server_of_ours_is_replaced(daemon):
    daemon.config["ovsdb"] = {"inactivity-probe-seconds": 1}
    daemon.write_config()
    daemon.start()
    daemon.wait_ovsdb()
    events = Events(daemon, "--since", 0)
    [pid] = servers(daemon)
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: servers(daemon) not in ([], [pid]), lambda: f"another server runs:\n{daemon.log()[-3000:]}")
    daemon.wait_ovsdb()
    events.wait("controller-error", "ovsdb-server has not answered for 3 s; killing it")
    events.wait("controller-error", "restarting it")
    assert len(servers(daemon)) == 1
    transact(socket_of(daemon), {"op": "insert", "table": "Logical_Switch", "row": {"name": "ls0"}})
    daemon.wait_logical_switches(1)


def test_kill_of_vtepd_leaves_no_second_server(daemon):
    daemon.start()
    daemon.wait_ovsdb()
    vtep_ctl(socket_of(daemon), "add-ls", "ls0")
    for count in (1, 2):
        [orphan] = servers(daemon)
        daemon.kill()
        # It serves controllers in the meantime.
        vtep_ctl(socket_of(daemon), "add-ls", f"ls{count}")
        assert servers(daemon) == [orphan]
        daemon.start()
        daemon.wait_logical_switches(count + 1)
        [pid] = servers(daemon)
        assert pid != orphan and f"stopping ovsdb-server {orphan}" in daemon.log()
    # Both killed: leftover socket and pid file do no harm.
    [orphan] = servers(daemon)
    daemon.kill()
    os.kill(orphan, signal.SIGKILL)
    wait_until(lambda: servers(daemon) == [], "the server is gone")
    daemon.start()
    daemon.wait_logical_switches(3)


def test_a_database_in_use_is_left_alone(daemon):
    state = daemon.directory / "state"
    state.mkdir()
    run("ovsdb-tool", "create", database_of(daemon), SCHEMA)
    other = daemon.namespace.popen("ovsdb-server", f"--remote=punix:{state}/other", f"--unixctl={state}/ctl", database_of(daemon))
    wait_until(lambda: (state / "other").exists(), "the other server runs")
    daemon.start()
    wait_until(lambda: f"is in use by process {other.pid}" in daemon.log(), lambda: f"it is reported:\n{daemon.log()}")
    assert servers(daemon) == [other.pid]
    other.terminate()
    other.wait()
    daemon.wait_ovsdb()


def old_schema(directory):
    """The relevant parts of schema version 1.3.0, without later additions."""
    schema = json.loads(pathlib.Path(SCHEMA).read_text())
    schema["version"] = "1.3.0"
    schema.pop("cksum", None)
    del schema["tables"]["Logical_Switch"]["columns"]["replication_mode"]
    locator = schema["tables"]["Physical_Locator"]
    del locator["columns"]["tunnel_key"]
    locator["indexes"] = [["encapsulation_type", "dst_ip"]]
    path = directory / "old.ovsschema"
    path.write_text(json.dumps(schema))
    return path


def test_an_old_database_is_converted_and_kept(daemon):
    database_of(daemon).parent.mkdir()
    run("ovsdb-tool", "create", database_of(daemon), old_schema(daemon.directory))
    run("ovsdb-tool", "transact", database_of(daemon), json.dumps(
        ["hardware_vtep", {"op": "insert", "table": "Logical_Switch", "row": {"name": "old"}}]))
    before = database_of(daemon).read_bytes()
    daemon.start()
    daemon.wait_logical_switches(1)
    assert vtep_ctl(socket_of(daemon), "list-ls") == "old"
    [backup] = database_of(daemon).parent.glob("vtep.db.backup-*")
    assert backup.name == "vtep.db.backup-1.3.0" and backup.read_bytes() == before
    daemon.stop()
    assert run("ovsdb-tool", "needs-conversion", database_of(daemon), SCHEMA).stdout.strip() == "no"
    # A newer schema than the installed one is used as it is.
    newer = json.loads(pathlib.Path(SCHEMA).read_text())
    newer["version"] = "9.0.0"
    newer["tables"]["Logical_Switch"]["columns"]["unheard_of"] = {"type": "string"}
    (daemon.directory / "new.ovsschema").write_text(json.dumps(newer))
    run("ovsdb-tool", "convert", database_of(daemon), daemon.directory / "new.ovsschema")
    daemon.start()
    daemon.wait_logical_switches(1)
    assert run("ovsdb-tool", "db-version", database_of(daemon)).stdout.strip() == "9.0.0"


def test_a_damaged_database_is_reported_and_not_replaced(daemon):
    database_of(daemon).parent.mkdir()
    database_of(daemon).write_text("this is no database\n")
    daemon.start()
    wait_until(lambda: "move it away" in daemon.log() and str(database_of(daemon)) in daemon.log(),
               lambda: f"it is reported:\n{daemon.log()}")
    assert database_of(daemon).read_text() == "this is no database\n"
    assert daemon.ctl("status")["state"] == "running", "forwarding must not depend on it"
    database_of(daemon).rename(daemon.directory / "damaged")
    daemon.wait_ovsdb()


@pytest.mark.parametrize("path, package", [("/usr/sbin/ovsdb-server", "openvswitch-common"), (SCHEMA, "openvswitch-vtep")])
def test_missing_files_are_named(daemon, path, package):
    """In a mount namespace without the file."""
    hide = f"mount --bind /dev/null {path}" if "sbin" in path else f"mount -t tmpfs none {os.path.dirname(path)}"
    done = daemon.namespace.run("unshare", "-m", "sh", "-c", f"{hide} && exec {VTEPD} --config {daemon.config_path}", check=False)
    assert done.returncode == 2 and package in done.stderr and os.path.basename(path) in done.stderr, done.stderr


def test_the_section_comes_and_goes_with_a_reload(daemon):
    del daemon.config["ovsdb"]
    daemon.write_config()
    daemon.start()
    assert daemon.ctl("show", "ovsdb") == [] and servers(daemon) == []
    daemon.config["ovsdb"] = {}
    daemon.reload("ovsdb changed")
    daemon.wait_ovsdb()
    assert len(servers(daemon)) == 1
    del daemon.config["ovsdb"]
    daemon.reload("ovsdb changed")
    wait_until(lambda: servers(daemon) == [] and daemon.ctl("show", "ovsdb") == [], "the server is gone")
