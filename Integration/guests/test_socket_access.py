"""Who may connect to sockets served by the daemon, and what happens when somebody removes one."""
import os
import pathlib
import socket
import stat
import subprocess
import sys

import pytest

from lab import Site, VirtioGuest, wait_until
from lab.daemon import VTEPD, Refused
from lab.frames import udp_flow
from lab.site import VNI

HYPERVISOR, GROUP, STRANGER, DAEMON = 64055, 64056, 64057, 64058
FIRST, SECOND = "02:00:00:00:aa:01", "02:00:00:00:aa:02"


@pytest.fixture
def daemon(lab):
    # Readable by users other than root too.
    lab.directory.chmod(0o755)
    return Site(lab, vtepd=1, flood="none").daemons[0]


def serve(daemon, name="g1", kind="vhost-user", *options):
    daemon.ctl("port", "add", "--name", name, "--kind", kind, "--socket", f"{name}.sock", "--role", "server", "--vni", VNI, *options)
    return daemon.directory / "run" / f"{name}.sock"


def access(path):
    found = path.stat()
    assert stat.S_ISSOCK(found.st_mode)
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


def connects(path, user, group, kind="vhost-user"):
    """Whether a process of this user, in only this group, can connect."""
    sort = socket.SOCK_SEQPACKET if kind == "memif" else socket.SOCK_STREAM
    code = "import socket, sys\ntry: socket.socket(socket.AF_UNIX, int(sys.argv[2])).connect(sys.argv[1])\nexcept PermissionError: sys.exit(9)"
    done = subprocess.run(["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", sys.executable, "-c", code, path,
                           str(int(sort))], check=False)
    assert done.returncode in (0, 9)
    return done.returncode == 0


@pytest.mark.parametrize("kind", ["vhost-user", "memif"])
def test_owner_group_and_mode(daemon, kind):
    plain = serve(daemon, "g1", kind)
    assert access(plain) == (0, 0, 0o660) and not connects(plain, STRANGER, STRANGER, kind)
    options = ["--socket-owner", HYPERVISOR, "--socket-group", GROUP]
    path = serve(daemon, "g2", kind, *options)
    assert access(path) == (HYPERVISOR, GROUP, 0o660)
    # DPDK's memif driver closes a descriptor twice when a peer disconnects without a message: no such peer here.
    if kind != "memif":
        assert connects(path, HYPERVISOR, HYPERVISOR, kind) and connects(path, STRANGER, GROUP, kind)
    assert not connects(path, STRANGER, STRANGER, kind)
    assert daemon.ctl("port", "add", "--name", "g2", "--kind", kind, "--socket", "g2.sock", "--role", "server", "--vni", VNI, *options) == {
        "changed": False}
    path = serve(daemon, "g3", kind, "--socket-group", GROUP, "--socket-mode", "0600")
    assert access(path) == (0, GROUP, 0o600) and not connects(path, STRANGER, GROUP, kind)
    text = daemon.ctl("config", "show")["text"]
    assert f"socket-owner: '{HYPERVISOR}'" in text or f"socket-owner: \"{HYPERVISOR}\"" in text or f"socket-owner: {HYPERVISOR}" in text
    assert "0600" in text


def test_what_is_refused(daemon):
    def refused(reason, *options, role="server"):
        with pytest.raises(Refused, match=reason):
            daemon.ctl("port", "add", "--name", "x", "--kind", "vhost-user", "--socket", "x.sock", "--role", role, "--vni", VNI, *options)
        assert not (daemon.directory / "run/x.sock").exists()

    refused("socket-owner: there is no user 'nobody-here'", "--socket-owner", "nobody-here")
    refused("socket-group: there is no group 'nobody-here'", "--socket-group", "nobody-here")
    refused("socket-mode must be octal permissions such as 0660", "--socket-mode", "rw")
    refused("socket-mode must be octal permissions such as 0660", "--socket-mode", "7777")
    refused("socket-group needs role: server", "--socket-group", "root", role="client")
    with pytest.raises(Refused, match="kind tap has no 'socket-mode'"):
        daemon.ctl("port", "add", "--name", "x", "--kind", "tap", "--device", "tx", "--socket-mode", "0600")


def test_file_and_reload(daemon):
    port = {"name": "g1", "kind": "vhost-user", "socket": "g1.sock", "role": "server", "socket-mode": "0666", "vni": VNI}
    path = daemon.directory / "run/g1.sock"
    daemon.config["ports"].append(port)
    daemon.reload("configuration reloaded")
    assert access(path) == (0, 0, 0o666)
    port["socket-mode"] = "0640"
    daemon.reload("configuration reloaded")
    assert access(path) == (0, 0, 0o640)


def daemon_beside_libvirt(lab, *run_as):
    """The user and group of libvirt."""
    lab.directory.chmod(0o755)
    daemon = Site(lab, vtepd=1, flood="none", wait=False).daemons[0]
    users, groups = lab.directory / "passwd", lab.directory / "group"
    users.write_text(pathlib.Path("/etc/passwd").read_text() + f"libvirt-qemu:x:{HYPERVISOR}:{GROUP}::/:/usr/sbin/nologin\n")
    others = [line for line in pathlib.Path("/etc/group").read_text().splitlines() if not line.startswith("kvm:")]
    groups.write_text("\n".join([*others, f"kvm:x:{GROUP}:", ""]))
    with open(daemon.log_path, "a") as log:
        daemon.process = daemon.namespace.popen(
            "unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/passwd && mount --bind "$1" /etc/group && shift && exec "$@"',
            users, groups, *run_as, VTEPD, "--config", daemon.config_path, stdout=log, stderr=log)
    daemon.wait_running()
    return daemon


def test_hypervisors_user(lab):
    """Its QEMU can connect without any settings."""
    daemon = daemon_beside_libvirt(lab)
    path = serve(daemon)
    assert access(path) == (HYPERVISOR, GROUP, 0o660)
    assert connects(path, HYPERVISOR, GROUP)
    assert access(serve(daemon, "g2", "vhost-user", "--socket-group", "kvm")) == (0, GROUP, 0o660)


@pytest.mark.parametrize("is_member", [True, False])
def test_hypervisors_group(lab, is_member):
    """A daemon that may not change the owner of files, like the packaged one, admits QEMU through a group it is a member of."""
    capabilities = "+net_admin,+net_raw"
    daemon = daemon_beside_libvirt(
        lab, "sh", "-c", 'chown -R "$0" "$1" && shift && exec "$@"', f"{DAEMON}", lab.directory,
        "setpriv", f"--reuid={DAEMON}", f"--regid={DAEMON}", f"--groups={GROUP if is_member else STRANGER}",
        f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}", "--bounding-set=-all," + capabilities)
    path = serve(daemon)
    remark = str(daemon.port("g1"))
    if is_member:
        assert access(path) == (DAEMON, GROUP, 0o660) and connects(path, HYPERVISOR, GROUP) and "cannot connect" not in remark
        assert not connects(path, STRANGER, STRANGER)
        assert access(serve(daemon, "g2", "vhost-user", "--socket-group", "kvm")) == (DAEMON, GROUP, 0o660)
        assert "libvirt-qemu cannot connect" in str(serve(daemon, "g3", "vhost-user", "--socket-mode", "0600") and daemon.port("g3"))
    else:
        assert access(path) == (DAEMON, DAEMON, 0o660) and not connects(path, HYPERVISOR, GROUP)
        assert "libvirt-qemu cannot connect: Operation not permitted (it takes membership in group kvm, or CAP_CHOWN)" in remark
        with pytest.raises(Refused, match="make the daemon's user a member of that group and restart it"):
            serve(daemon, "g2", "vhost-user", "--socket-group", "kvm")


@pytest.mark.parametrize("kind", ["vhost-user", "memif"])
def test_removed_socket_is_made_again(daemon, kind):
    path = serve(daemon, "g1", kind, "--socket-mode", "0666")
    path.unlink()
    wait_until(path.exists, lambda: f"the socket is there again:\n{daemon.log()[-2000:]}")
    assert "was removed; creating it again" in daemon.log()
    wait_until(lambda: access(path) == (0, 0, 0o666), "with its mode")
    if kind == "vhost-user":
        with socket.socket(socket.AF_UNIX) as peer:
            wait_until(lambda: peer.connect_ex(str(path)) == 0, "and served")


def test_removed_socket_of_a_connected_guest(lab, daemon):
    """The guest continues; once it has disconnected, the next one can connect."""
    path, other = serve(daemon), serve(daemon, "g2")
    guests = [VirtioGuest(lab, where, listens=False).boot() for where in (path, other)]
    for name in ("g1", "g2"):
        wait_until(lambda: daemon.port(name)["state"] == "up", lambda: f"{name} is up: {daemon.port(name)}")
    path.unlink()
    for number in range(1, 40):
        frame = udp_flow(FIRST, SECOND, number)
        assert guests[0].send(frame)
        assert guests[1].wait_frame(lambda got: got == frame)
    guests[0].disconnect()
    wait_until(path.exists, lambda: f"the socket is there again:\n{daemon.log()[-2000:]}")
    guest = VirtioGuest(lab, path, listens=False).boot()
    wait_until(lambda: daemon.port("g1")["state"] == "up", lambda: f"the next one is served: {daemon.port('g1')}")
    frame = udp_flow(FIRST, SECOND, 99)
    assert guest.send(frame) and guests[1].wait_frame(lambda got: got == frame)
    assert os.stat(path).st_mode & 0o777 == 0o660
