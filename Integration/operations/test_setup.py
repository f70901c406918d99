"""scripts/setup on machines without something it cannot install: one sentence says what is missing and what to do.

It runs as a copy, with a folder on PATH that has only what every Debian has.
"""
import os
import pathlib
import shutil
import subprocess

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
DEBIAN = ("apt-get bash cat cut dirname dpkg-query env flock git grep head id mkdir mktemp rm sed setpriv setsid sh sort tail tr "
          "unshare").split()
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
NO_NETWORK = ["unshare", "--net"]


class Machine:
    """A folder `bin` in place of PATH, and a copy of the files that setup reads."""

    def __init__(self, folder):
        self.folder, self.bin = folder, folder / "bin"
        self.bin.mkdir()
        for program in DEBIAN:
            (self.bin / program).symlink_to(shutil.which(program))
        (folder / "scripts").mkdir()
        for name in ("scripts/setup", "scripts/swift", "Package.swift"):
            shutil.copy(REPOSITORY / name, folder / name)
        for part in (folder, *folder.parents):  # accessible to nobody too
            if part.stat().st_uid == os.getuid() and part.is_relative_to("/tmp") and part != pathlib.Path("/tmp"):
                part.chmod(0o755)

    def program(self, name, text):
        (self.bin / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.bin / name).chmod(0o755)

    def swift(self, version):
        """A toolchain of that version, whose `swift package resolve` has nothing to do."""
        self.program("swift", f'[ "$1" != --version ] || echo "Swift version {version} (swift-{version}-RELEASE)"')
        return self

    def lacks(self, package):
        """Adds a package to setup's list; it is not installed."""
        setup = self.folder / "scripts/setup"
        setup.write_text(setup.read_text().replace("cat <<'LIST'\n", f"cat <<'LIST'\nbuild | {package} | | for this test\n"))
        return self

    def setup(self, *prefix, **environment):
        """Exit status, and the lines of standard error."""
        done = subprocess.run([*prefix, self.folder / "scripts/setup", "build"], text=True, capture_output=True, stdin=subprocess.DEVNULL,
                              timeout=300, env={"PATH": str(self.bin), "HOME": str(self.folder), **environment})
        return done.returncode, done.stderr.splitlines()


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def assert_one_sentence(outcome, *words):
    status, lines = outcome
    assert status == 1 and len(lines) == 1 and lines[0].startswith("setup: "), lines
    for word in words:
        assert word in lines[0]


def test_no_swift(machine):
    assert_one_sentence(machine.setup(), "no swift on PATH", "install Swift 6.3.1", "swift.org")


def test_no_swift_on_the_path_of_sudo(machine):
    assert_one_sentence(machine.setup(SUDO_USER="somebody"), "PATH that sudo sets", 'sudo env "PATH=$PATH" make')


def test_swift_is_too_old(machine):
    assert_one_sentence(machine.swift("6.1.3").setup(), "Swift 6.1.3 is too old", "install Swift 6.3.1")


def test_untested_swift_is_reported(machine):
    assert machine.swift("6.4").setup() == (0, ["setup: vtepd is tested with Swift 6.3.1, and this is 6.4"])


def test_the_tested_swift_and_all_packages(machine):
    assert machine.swift("6.3.1").setup() == (0, [])


def test_no_root_and_no_sudo(machine):
    machine.swift("6.3.1").lacks("not-installed")
    assert_one_sentence(machine.setup(*NOBODY), "root or sudo", "apt-get install --no-install-recommends not-installed")


def test_sudo_refuses(machine):
    machine.swift("6.3.1").lacks("not-installed").program("sudo", "echo 'somebody is not in the sudoers file.' >&2; exit 1")
    assert_one_sentence(machine.setup(*NOBODY), "sudo refuses", "apt-get install --no-install-recommends not-installed")


def test_packages_without_network(machine):
    assert_one_sentence(machine.swift("6.3.1").lacks("not-installed").setup(*NO_NETWORK),
                        "check network and mirror", "apt-get install --no-install-recommends not-installed", "apt says: E:")


def test_dependencies_without_network(machine):
    """Git's own settings would lead to a mirror on this machine, if it has one."""
    (machine.bin / "swift").symlink_to(shutil.which("swift"))
    toolchain_and_compiler = f"{machine.bin}:{pathlib.Path(shutil.which('swift')).parent}:/usr/bin"
    outcome = machine.setup(*NO_NETWORK, PATH=toolchain_and_compiler, GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL="/dev/null")
    assert_one_sentence(outcome, "git cannot fetch the Swift packages", "check the network", "insteadOf https://github.com/", "SwiftPM says:")


@pytest.mark.parametrize("package", ["dpdk-dev", "python3-scapy", "git", "openvswitch-switch"])
def test_a_package_missing_from_the_list_is_noticed(tmp_path, package):
    listing = subprocess.run([REPOSITORY / "scripts/setup", "--list"], check=True, text=True, stdout=subprocess.PIPE).stdout
    kept = [line for line in listing.splitlines() if line.split("|")[1].strip() != package]
    (tmp_path / "list").write_text("\n".join(kept))
    done = subprocess.run([REPOSITORY / "scripts/lint-programs", tmp_path / "list"], text=True, capture_output=True)
    assert len(kept) < len(listing.splitlines()) and done.returncode == 1
    assert "no package of scripts/setup gives it" in done.stderr
