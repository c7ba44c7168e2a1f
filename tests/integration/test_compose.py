"""The Compose files: held to the specification's schema, and to the files and ports that they name.

There is no Docker here. Prometheus and Alertmanager are Debian's, with the files where Compose would mount them.
"""

import re
import shutil
import subprocess
import sys
import time
import tomllib
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.daemon import finished, started
from tests.integration.milvus_server import free_ports
from tests.venvs import ROOT, missing

COMPOSE = ROOT / "deploy/compose"
FILES = ("compose.yml", "own-clusters.yml", "replicas.yml")
PORTS = {"monitor": 19595, "prometheus": 9090, "alertmanager": 9093, "grafana": 3000}


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((COMPOSE / name).read_text())


def binds(service: dict[str, Any]) -> dict[str, Path]:
    """Where a service mounts which path of this repository."""
    mounts = service.get("volumes", ())
    return {mount["target"]: COMPOSE / mount["source"] for mount in mounts if mount["type"] == "bind"}


@pytest.fixture
def services() -> dict[str, Any]:
    return read("compose.yml")["services"]


def test_the_files_are_what_the_specification_allows():
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*check, *(COMPOSE / name for name in FILES)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_files_that_are_mounted_exist_and_stay_as_they_are():
    for name in FILES:
        for service in read(name)["services"].values():
            for target, source in binds(service).items():
                assert source.exists(), f"{name}: {target}: {source} does not exist"
            for mount in service.get("volumes", ()):
                if mount["type"] == "bind":
                    assert mount["read_only"] is True
                    assert mount["bind"]["create_host_path"] is False
                else:
                    assert mount["source"] in read(name)["volumes"]


def test_the_docs_call_the_monitor_by_the_name_that_each_installation_gives_it(services):
    paths = (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md"))
    texts = "\n".join(path.read_text() for path in paths)
    given = re.findall(r"docker run .*--name (\S+)|helm (?:install|upgrade) (\S+)", texts)
    called = re.findall(r"docker (?:logs|exec|kill)(?: --\w+ \w+)* ([\w-]+)|logs deployment/([\w-]+)", texts)

    assert len(given) >= 4
    assert len(called) >= 15
    name = services["monitor"]["container_name"]
    assert {name} == {"".join(pair) for pair in (*given, *called)}


def test_every_service_is_pinned_watched_and_restricted(services):
    assert services.keys() == PORTS.keys()
    for name, service in services.items():
        assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+\.\d+", service["image"]), name
        assert service["healthcheck"]["test"][0] == "CMD"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["ports"] == [f"127.0.0.1:{PORTS[name]}:{PORTS[name]}"]
        for needed in service.get("depends_on", {}):
            assert "healthcheck" in services[needed]


def test_the_monitor_is_of_this_version_and_built_from_here(services):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert services["monitor"]["image"] == f"{project['name']}:{project['version']}"
    assert (COMPOSE / services["monitor"]["build"]["context"] / "Dockerfile").is_file()


def test_health_checks_ask_the_port_of_their_service(services):
    for name, service in services.items():
        asked = re.findall(r"http://127\.0\.0\.1:(\d+)", " ".join(service["healthcheck"]["test"]))
        assert asked == ([] if name == "monitor" else [str(PORTS[name])])


def test_no_secret_stands_in_the_files():
    for name in FILES:
        for service in read(name)["services"].values():
            assert "secrets" not in service
            for variable, value in service.get("environment", {}).items():
                if re.search(r"PASSWORD|SECRET|TOKEN|KEY", variable):
                    assert value.startswith("${"), variable


def test_prometheus_asks_the_services_that_there_are():
    config = read("prometheus.yml")
    scraped = [
        target for scrape in config["scrape_configs"] for one in scrape["static_configs"] for target in one["targets"]
    ]
    told = [
        target
        for one in config["alerting"]["alertmanagers"]
        for static in one["static_configs"]
        for target in static["targets"]
    ]

    assert scraped == [f"monitor:{PORTS['monitor']}"]
    assert told == [f"alertmanager:{PORTS['alertmanager']}"]
    example = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    assert [one["job_name"] for one in config["scrape_configs"]] == [
        one["job_name"] for one in example["scrape_configs"]
    ]


def test_two_monitors_share_one_postgresql_and_prometheus_asks_both(services):
    replicas = read("replicas.yml")["services"]
    monitors = {name: service for name, service in replicas.items() if name.startswith("monitor")}
    config = read("prometheus-replicas.yml")
    alone = read("prometheus.yml")
    (scrape,) = config["scrape_configs"]
    state = {service["environment"]["MILVUS_IMPORT_MONITOR_STATE"] for service in monitors.values()}
    checked = finished(
        "check-config", "-c", binds(replicas["monitor"])["/etc/milvus-import-monitor/config.yml"], ZILLIZ_API_KEY="key"
    )

    assert [service["environment"]["POD_NAME"] for service in monitors.values()] == list(monitors)
    assert state == {"postgresql://monitor:${POSTGRES_PASSWORD:?export it first}@postgres/monitor"}
    assert all(service["depends_on"]["postgres"] for service in monitors.values())
    assert {service["command"][-1] for service in monitors.values()} <= binds(replicas["monitor"]).keys()
    assert replicas["monitor-2"]["image"] == services["monitor"]["image"]
    assert replicas["monitor-2"]["healthcheck"] == services["monitor"]["healthcheck"]
    assert replicas["monitor-2"]["read_only"] is True
    assert replicas["monitor-2"]["cap_drop"] == ["ALL"]
    assert scrape["static_configs"] == [{"targets": [f"{name}:19595" for name in monitors]}]
    assert {**config, "scrape_configs": []} == {**alone, "scrape_configs": []}
    assert scrape["job_name"] == alone["scrape_configs"][0]["job_name"]
    assert checked.returncode == 0, checked.stderr


def test_grafana_finds_its_dashboards_and_prometheus(services):
    mounted = binds(services["grafana"])
    provisioning = mounted["/etc/grafana/provisioning"]
    sources = [yaml.safe_load(path.read_text()) for path in provisioning.glob("datasources/*.y*ml")]
    providers = [yaml.safe_load(path.read_text()) for path in provisioning.glob("dashboards/*.y*ml")]

    urls = [source["url"] for file in sources for source in file["datasources"]]
    assert urls == [f"http://prometheus:{PORTS['prometheus']}"]
    paths = [provider["options"]["path"] for file in providers for provider in file["providers"]]
    assert paths
    assert set(paths) <= mounted.keys()
    assert list(mounted[paths[0]].glob("*.json"))


def unpacked(service: dict[str, Any], root: Path, names: dict[str, str]) -> list[str]:
    """Put what a service mounts below a folder; return its command, with every path in it there.

    Args:
        service: The service.
        root: The folder.
        names: What stands in the files instead of which name of a service and its port.
    """
    for target, source in binds(service).items():
        for file in source.rglob("*") if source.is_dir() else [source]:
            place = root / target.lstrip("/") / (file.relative_to(source) if source.is_dir() else "")
            place.parent.mkdir(parents=True, exist_ok=True)
            text = file.read_text()
            for name, other in names.items():
                text = text.replace(name, other)
            place.write_text(text)
    return [re.sub(r"=(?=/)", f"={root}", one) for one in service["command"]]


@pytest.mark.parametrize(
    ("service", "check"),
    [("prometheus", ("promtool", "check", "config")), ("alertmanager", ("amtool", "check-config"))],
)
def test_what_is_mounted_is_a_config_that_the_program_takes(services, tmp_path, service, check):
    if shutil.which(check[0]) is None:
        missing(f"the config is checked with {check[0]}")
    command = unpacked(services[service], tmp_path, {})
    (config,) = [one.partition("=")[2] for one in command if one.startswith("--config.file=")]
    done = subprocess.run([*check, config], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    if service == "prometheus":
        assert re.search(r"SUCCESS: [1-9]\d* rules found", done.stdout)


@pytest.mark.timeout(300)
def test_an_alert_of_the_demo_reaches_alertmanager_through_prometheus(services, tmp_path):
    """All but the containers: each program with the command and the files of its service, on ports that are free."""
    programs = {"prometheus": "prometheus", "alertmanager": "prometheus-alertmanager"}
    for program in programs.values():
        if shutil.which(program) is None:
            missing(f"the chain needs {program}")
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    names = {f"{name}:{port}": f"127.0.0.1:{ports[name]}" for name, port in PORTS.items()}
    with ExitStack() as running:
        for name, program in programs.items():
            command = unpacked(services[name], tmp_path, names)
            log = running.enter_context((tmp_path / f"{name}.log").open("w"))
            listen = f"--web.listen-address=127.0.0.1:{ports[name]}"
            process = running.enter_context(
                subprocess.Popen([program, *command, listen], stdout=log, stderr=subprocess.STDOUT)
            )
            running.callback(process.terminate)
        running.enter_context(
            started(
                *services["monitor"]["command"], "--listen", f"127.0.0.1:{ports['monitor']}", "--log-format", "json"
            )
        )
        alert = told(f"http://127.0.0.1:{ports['alertmanager']}", "MilvusImportJobFailed")

    assert alert["labels"].keys() >= {"milvus_cluster", "collection", "reason", "severity"}
    assert alert["annotations"]["summary"]


def told(alertmanager: str, name: str) -> dict[str, Any]:
    """Wait until Alertmanager knows an alert of that name, and return it."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        with suppress(requests.ConnectionError):
            alerts = requests.get(f"{alertmanager}/api/v2/alerts", params={"filter": f"alertname={name}"}, timeout=30)
            if alerts.ok and alerts.json():
                return alerts.json()[0]
        time.sleep(0.2)
    raise AssertionError(f"Alertmanager was not told of {name}")


def test_the_monitor_takes_its_own_commands(services):
    own = read("own-clusters.yml")["services"]["monitor"]
    (target,) = [path for path in binds(own) if path in own["command"]]
    demo = finished(*services["monitor"]["command"], "--for", "1s", "--listen", "127.0.0.1:0")
    check = finished("check-config", "-c", binds(own)[target], ZILLIZ_API_KEY="key")

    assert demo.returncode == 0, demo.stderr
    assert own["command"][:2] == ["run", "-c"]
    assert check.returncode == 0, check.stderr
    assert own["environment"].keys() == {"ZILLIZ_API_KEY"}
