"""scripts/guest-image finds the modules that guests need, wherever a kernel's package stores them, or says what is missing."""
import importlib.machinery
import importlib.util
import lzma
import subprocess

import pytest

from lab.daemon import REPOSITORY

SCRIPT = REPOSITORY / "scripts/guest-image"


@pytest.fixture(scope="module")
def script():
    loader = importlib.machinery.SourceFileLoader("guest_image", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("guest_image", loader))
    loader.exec_module(module)
    return module


def module(depends=""):
    return b"\x7fELF\0license=GPL\0depends=" + depends.encode() + b"\0name=x\0"


@pytest.fixture(params=["lib/modules", "usr/lib/modules"])
def kernel(request, tmp_path):
    """A package with virtio_net and its dependencies; virtio_pci is built in."""
    root = tmp_path / request.param / "6.12.1"
    for path, content in {
        "kernel/drivers/net/virtio_net.ko.xz": lzma.compress(module("net_failover")),
        "kernel/drivers/net/net_failover.ko": module("failover"),
        "kernel/net/core/failover.ko.xz": lzma.compress(module()),
        "modules.builtin": b"kernel/drivers/virtio/virtio-pci.ko\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return tmp_path


def test_modules_are_found_in_order_and_uncompressed(script, kernel):
    found = script.with_dependencies(kernel, ["virtio_pci", "virtio_net"])
    assert list(found.items()) == [("failover", module()), ("net_failover", module("failover")), ("virtio_net", module("net_failover"))]


def test_a_missing_module_is_an_error(script, kernel):
    with pytest.raises(LookupError, match="no module af_packet, and it is not built in"):
        script.with_dependencies(kernel, ["virtio_net", "af_packet"])


def test_unknown_compression_is_an_error(script, kernel):
    next(kernel.rglob("net_failover.ko")).rename(next(kernel.rglob("net_failover.ko")).with_suffix(".ko.zst"))
    with pytest.raises(LookupError, match="net_failover.ko.zst is compressed"):
        script.with_dependencies(kernel, ["virtio_net"])


def test_nothing_is_made_without_modules(script, tmp_path, monkeypatch):
    """Like a package with a kernel whose modules are in an unexpected folder."""
    package = tmp_path / "package"
    (package / "DEBIAN").mkdir(parents=True)
    (package / "DEBIAN/control").write_text("Package: kernel\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.net>\nDescription: x\n")
    (package / "boot").mkdir()
    (package / "boot/vmlinuz-1").write_bytes(b"kernel")
    subprocess.run(["dpkg-deb", "-b", package, tmp_path / "kernel.deb"], check=True, stdin=subprocess.DEVNULL, capture_output=True)
    monkeypatch.setattr(script, "download", lambda folder, flavor: [tmp_path / "kernel.deb"])
    target = tmp_path / "image"
    monkeypatch.setattr("sys.argv", ["guest-image", str(target)])
    with pytest.raises(SystemExit, match="no image was made: the kernel has no module virtio_pci"):
        script.main()
    assert [path.name for path in target.iterdir()] == ["lock"]
