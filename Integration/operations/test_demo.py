"""`make demo`: the main task, as a newcomer sees it."""
import pathlib
import subprocess

from lab.namespaces import run

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def test_demo_passes_and_leaves_nothing_behind():
    demo = subprocess.Popen([REPOSITORY / "scripts/demo"], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        output, _ = demo.communicate(timeout=300)
    finally:
        demo.kill()
    assert demo.returncode == 0, output
    assert "VNI 5001, VLAN 200 on gw4: 24 of 24 pings answered" in output
    assert "VNI 5002, VLAN 100 on hv1: 12 of 12 pings answered" in output
    # The daemons' MAC tables show local and remote addresses.
    for expected in ("tap-web1", "port rack4 vlan 200", "192.0.2.2", "192.0.2.3", "vtep 192.0.2.4", "learned"):
        assert expected in output
    assert f"vt{demo.pid}-" not in run("ip", "netns", "list").stdout


def test_demo_cleans_up_when_it_is_interrupted():
    demo = subprocess.Popen([REPOSITORY / "scripts/demo"], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for line in demo.stdout:
            if "vtepd on hv1, hv2 and gw4" in line:
                break
        demo.terminate()
        demo.communicate(timeout=120)
    finally:
        demo.kill()
    assert demo.returncode == 143
    assert f"vt{demo.pid}-" not in run("ip", "netns", "list").stdout
    assert f"vt{demo.pid}-" not in run("ps", "-eo", "args").stdout
