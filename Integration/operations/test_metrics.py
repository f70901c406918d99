"""Metrics: what Prometheus makes of them, and that they agree with vtepctl."""
import http.client
import json
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest
import yaml

from lab import wait_until
from lab.daemon import REPOSITORY, VTEPD, Refused
from lab.namespaces import end_process, run
from lab.site import VNI, Site

LISTEN = "127.0.0.1:9478"
MONITORING = REPOSITORY / "packaging/monitoring"
SAMPLE = re.compile(r'^(?P<name>[a-zA-Z_:]+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Metered:
    """A site whose first daemon has metrics."""

    def __init__(self, lab, metrics=None, **keys):
        self.site = Site(lab, wait=False, **keys)
        self.daemon = self.site.daemons[0]
        self.daemon.config["metrics"] = {"listen": LISTEN, **(metrics or {})}
        self.daemon.write_config()

    def get(self, path="/metrics", accept="text/plain", method="GET", listen=LISTEN):
        """Status, content type, and body."""
        with self.daemon.namespace.entered():
            request = urllib.request.Request(f"http://{listen}{path}", headers={"Accept": accept}, method=method)
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return answer.status, answer.headers["Content-Type"], answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.headers["Content-Type"], error.read().decode()

    def samples(self):
        """{(name, labels as a frozen set of pairs): value}"""
        found = {}
        for line in self.get()[2].splitlines():
            if match := SAMPLE.match(line):
                key = match["name"], frozenset(LABEL.findall(match["labels"] or ""))
                assert key not in found, f"{key} is there twice"
                found[key] = float(match["value"])
        return found


def value(samples, metric, **labels):
    return samples.get((metric, frozenset(labels.items())))


def test_metrics_say_what_vtepctl_says(lab):
    scene = Metered(lab, vni={"neighbor-suppression": "known"})
    scene.daemon.config["acls"] = [{"name": "web", "entries": [
        {"sequence": 1, "direction": "ingress", "action": "deny", "protocol": "udp", "destination-ports": "9"}]}]
    scene.daemon.config["ports"][0]["acl"] = "web"
    scene.daemon.config["routers"] = [{"name": "r1", "interfaces": [{"vni": VNI, "addresses": ["10.0.0.254/24"]}]}]
    scene.daemon.write_config()
    scene.site.start()
    scene.site.wait_all_pings()
    daemon, (vm1, vm2) = scene.daemon, scene.site.guests
    # The router answers, the list denies.
    vm1.wait_ping("10.0.0.254")
    with vm1.namespace.entered():
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"discard", (vm2.ipv4, 9))
    wait_until(lambda: daemon.drops().get("acl-denied-ingress"), "the list drops")
    assert vm1.ping(vm2.ipv4, 20, 10) == 20

    # Counters that do not move meanwhile.
    def agree():
        rows = daemon.ctl("show", "ports"), daemon.ctl("show", "vnis"), daemon.ctl("show", "vteps"), daemon.drops(), daemon.ctl("show", "workers")
        samples = scene.samples()
        if rows != (daemon.ctl("show", "ports"), daemon.ctl("show", "vnis"), daemon.ctl("show", "vteps"), daemon.drops(), daemon.ctl("show", "workers")):
            return None
        return (samples, *rows)

    samples, ports, vnis, vteps, drops, workers = wait_until(agree, "nothing moves for a moment", 90)
    for row in ports:
        assert value(samples, "vtepd_port_receive_packets_total", port=row["name"]) == row["rx_packets"] > 20
        assert value(samples, "vtepd_port_transmit_bytes_total", port=row["name"]) == row["tx_bytes"]
        assert value(samples, "vtepd_port_up", port=row["name"]) == 1
    for row in vnis:
        assert value(samples, "vtepd_vni_transmit_packets_total", vni=str(row["vni"])) == row["tx_packets"] > 20
        assert value(samples, "vtepd_vni_addresses", vni=str(row["vni"])) == row["macs"] > 0
        assert value(samples, "vtepd_vni_neighbor_answers_total", vni=str(row["vni"])) == row["neighbor_answers"]
        assert value(samples, "vtepd_vni_neighbor_passes_total", vni=str(row["vni"])) == row["neighbor_passes"] > 0
    neighbors = daemon.ctl("show", "neighbors")
    assert value(samples, "vtepd_neighbors") == len(neighbors) > 0
    assert value(samples, "vtepd_neighbors_contested") == len([row for row in neighbors if row["state"] == "contested"]) == 0
    router, = daemon.ctl("show", "routers")
    for way, name in (("rx", "receive"), ("tx", "transmit")):
        assert value(samples, f"vtepd_router_{name}_packets_total", router="r1") == router[f"{way}_packets"] > 0
        assert value(samples, f"vtepd_router_{name}_bytes_total", router="r1") == router[f"{way}_bytes"] > 0
    assert value(samples, "vtepd_router_unresolved_next_hops") == 0
    assert value(samples, "vtepd_acl_denied_frames_total", acl="web") == drops["acl-denied-ingress"]
    assert value(samples, "vtepd_acl_permitted_frames_total", acl="web") > 20
    for row in vteps:
        assert value(samples, "vtepd_vtep_receive_bytes_total", vtep=row["address"]) == row["rx_bytes"] > 0
        assert value(samples, "vtepd_vtep_reachable", vtep=row["address"]) == 1
    for row in workers:
        assert value(samples, "vtepd_worker_packets_total", worker=str(row["worker"])) == row["packets"]
        assert 0 < value(samples, "vtepd_worker_bursts_total", worker=str(row["worker"])) <= row["packets"]
    assert {dict(labels)["reason"]: count for (name, labels), count in samples.items()
            if name == "vtepd_drops_by_reason_total" and count} == drops
    status = daemon.ctl("status")
    assert value(samples, "vtepd_mac_table_entries") == status["macs"]
    assert value(samples, "vtepd_build_info", version=status["version"], name=status["name"]) == 1
    assert value(samples, "process_open_fds") > 3 and value(samples, "process_cpu_seconds_total") > 0
    assert abs(value(samples, "process_start_time_seconds") + status["uptime_s"] - time.time()) < 300
    # promtool judges the format and the names.
    done = subprocess.run(["promtool", "check", "metrics"], input=scene.get()[2], capture_output=True, text=True)
    # Names that every exporter has (process_max_fds) are not to promtool's taste in lint, and not an error.
    assert done.returncode in (0, 3) and not [line for line in done.stderr.splitlines() if "process_" not in line], done.stderr


def test_counters_never_go_back(lab):
    """A port and a VNI that are deleted and added again; VNIs without a series of their own."""
    scene = Metered(lab, metrics={"vnis": 1}, vnis=[{"vni": 5002, "flood": "none"}])
    scene.site.start()
    scene.site.wait_all_pings()
    daemon, (vm1, vm2) = scene.daemon, scene.site.guests
    port = next(row for row in daemon.config["ports"])
    before = scene.samples()
    assert value(before, "vtepd_vni_receive_packets_total", vni=str(VNI)) > 0
    assert value(before, "vtepd_vni_receive_packets_total", vni="other") is not None
    vnis = lambda samples: sum(count for (name, _), count in samples.items() if name == "vtepd_vni_receive_packets_total")
    daemon.ctl("port", "delete", port["name"])
    scene.samples()
    daemon.ctl("vni", "delete", VNI)
    scene.samples()
    daemon.ctl("vni", "add", "--vni", VNI, "--flood", "multicast", "--group", scene.site.group)
    daemon.ctl("port", "add", "--name", port["name"], "--kind", port["kind"], "--device", port["device"], "--vni", VNI)
    daemon.wait_ports_up()
    scene.site.wait_all_pings()
    after = scene.samples()
    counters = [key for key in before if key[0].endswith("_total") and key in after]
    assert len(counters) > 100
    assert not {key: (before[key], after[key]) for key in counters if after[key] < before[key]}
    name = "vtepd_port_receive_packets_total"
    assert value(after, name, port=port["name"]) > value(before, name, port=port["name"])
    assert vnis(after) > vnis(before)


def test_paths_and_methods(lab):
    scene = Metered(lab, vtepd=1)
    scene.site.start()
    assert scene.get("/healthz")[0] == 200 and scene.get("/readyz")[0] == 200
    status, kind, text = scene.get(accept="application/openmetrics-text; version=1.0.0,text/plain;q=0.5")
    assert status == 200 and kind.startswith("application/openmetrics-text; version=1.0.0") and text.endswith("\n# EOF\n")
    assert scene.get()[1].startswith("text/plain; version=0.0.4")
    assert scene.get("/")[0] == 404 and "/metrics" in scene.get("/")[2]
    assert scene.get("/metrics", method="POST")[0] == 405
    assert scene.get("/metrics", method="HEAD")[2] == ""
    # Requests on one connection, one after the other.
    with scene.daemon.namespace.entered():
        connection = http.client.HTTPConnection(LISTEN, timeout=60)
        for path, expected in (("/metrics", 200), ("/nothing", 404), ("/metrics", 200)):
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == expected and answer.read()
        connection.close()


def test_addresses_change_with_a_reload(lab):
    scene = Metered(lab, vtepd=1)
    scene.site.start()
    daemon = scene.daemon
    daemon.config["metrics"]["listen"] = ["127.0.0.1:9479", "[::1]:9478"]
    daemon.reload("configuration reloaded: metrics changed")
    assert scene.get(listen="127.0.0.1:9479")[0] == 200 and scene.get(listen="[::1]:9478")[0] == 200
    with pytest.raises(urllib.error.URLError):
        scene.get()
    # One address that somebody has, one that nobody has: refused, and what was there still is.
    with daemon.namespace.entered():
        taken = socket.create_server(("127.0.0.1", 9480))
    for listen, reason in ((["127.0.0.1:9481", "127.0.0.1:9480"], "Address already in use"), (["198.51.100.1:9478"], "assign requested address")):
        daemon.config["metrics"]["listen"] = listen
        daemon.write_config()
        with pytest.raises(Refused, match=reason):
            daemon.ctl("config", "apply", daemon.config_path)
        assert scene.get(listen="127.0.0.1:9479")[0] == 200
        with pytest.raises(urllib.error.URLError):
            scene.get(listen="127.0.0.1:9481")
    taken.close()
    # At start, too.
    daemon.stop()
    done = daemon.namespace.run(VTEPD, "--config", daemon.config_path, check=False)
    assert done.returncode == 2 and "metrics.listen 198.51.100.1:9478: " in done.stderr and "ip address" in done.stderr


def test_many_vnis(lab):
    """The page has a bounded size."""
    scene = Metered(lab, vtepd=1, vnis=[{"vni": 10_000 + number, "flood": "none"} for number in range(3_000)])
    scene.daemon.config["routers"] = [
        {"name": f"r{number}", "interfaces": [{"vni": 10_000 + number, "addresses": ["10.0.0.1/24"]}]} for number in range(300)]
    scene.daemon.config["acls"] = [
        {"name": f"a{number}", "entries": [{"sequence": 1, "direction": "ingress", "action": "deny", "protocol": "tcp"}]} for number in range(300)]
    scene.daemon.write_config()
    scene.site.start()
    text = scene.get()[2]
    assert value(scene.samples(), "vtepd_vnis") == 3_001
    for family in ("vni_receive_packets", "router_receive_packets", "acl_denied_frames"):
        assert len(re.findall(rf"^vtepd_{family}_total", text, re.M)) == 201
    assert len(text) < 500_000


def prometheus_commands(release):
    """Prometheus and promtool: this machine's (2.42 on Debian 12), or those of Debian 13 (2.53)."""
    if release == "installed":
        return ["prometheus"], ["promtool"]
    folder = REPOSITORY / ".build/newer/prometheus"
    loader = run(REPOSITORY / "scripts/newer-package", "-f", folder, "prometheus", timeout=300).stdout.split()
    return [*loader, folder / "usr/bin/prometheus"], [*loader, folder / "usr/bin/promtool"]


@pytest.mark.parametrize("release", ["installed", "newer"])
def test_prometheus_scrapes_and_evaluates_the_rules(lab, release):
    """The target is up in OpenMetrics, the rules load, and one of them fires."""
    prometheus_command, promtool = prometheus_commands(release)
    scene = Metered(lab)
    site = scene.site
    site.start()
    site.wait_all_pings()
    folder = lab.directory / "prometheus"
    folder.mkdir()
    rules = yaml.safe_load((MONITORING / "vtepd.rules.yml").read_text())
    for rule in rules["groups"][0]["rules"]:
        rule.pop("for", None)
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    (folder / "prometheus.yml").write_text(yaml.safe_dump({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules.yml")],
        "scrape_configs": [{"job_name": "vtepd", "static_configs": [{"targets": [LISTEN]}]}],
    }))
    run(*promtool, "check", "config", folder / "prometheus.yml")
    with open(folder / "log", "w") as log:
        prometheus = scene.daemon.namespace.popen(
            *prometheus_command, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data", "--web.listen-address=127.0.0.1:9090",
            stdout=log, stderr=log)
    try:
        def ask(path):
            try:
                return json.loads(scene.get(path, listen="127.0.0.1:9090")[2])["data"]
            except (urllib.error.URLError, ConnectionError, json.JSONDecodeError):
                return None

        def query(text):
            found = ask(f"/api/v1/query?query={urllib.request.quote(text)}")
            return {frozenset((key, value) for key, value in row["metric"].items()): float(row["value"][1]) for row in found["result"]} if found else {}

        wait_until(lambda: 1.0 in query('up{job="vtepd"}').values(), lambda: f"the target is up: {(folder / 'log').read_text()[-2000:]}", 90)
        assert 1.0 in query('vtepd_port_up{port="vm1"}').values()
        families = {row[0]["type"] for name, row in ask("/api/v1/metadata").items() if name.startswith("vtepd_port_receive")}
        assert families == {"counter"}
        # Every metric that rules and dashboard use exists.
        known = set(re.findall(r"^\| `(\w+)`", (REPOSITORY / "docs/metrics.md").read_text(), re.M))
        used = set(re.findall(r"\b(?:vtepd|process)_\w+", (MONITORING / "vtepd.rules.yml").read_text()
                              + (MONITORING / "grafana-dashboard.json").read_text()))
        assert used and used <= known, used - known
        dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text())
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                text = target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")
                assert ask(f"/api/v1/query?query={urllib.request.quote(text)}") is not None, text
        # The uplink goes down.
        site.hosts[0].namespace.ip("link set u0 down")
        wait_until(lambda: any(alert["labels"]["alertname"] == "VtepdUplinkDown" and alert["state"] == "firing"
                               for alert in (ask("/api/v1/alerts") or {"alerts": []})["alerts"]), "the alert fires", 90)
    finally:
        end_process(prometheus)
