"""The example for Alertmanager: who is told of what, and what is kept quiet, by the real thing."""

import json
import re
import shutil
import subprocess
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests
import yaml

from monitor.web import bound_socket
from tests.alertmanager import receiving, running_alertmanager
from tests.venvs import missing

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config" / "alertmanager.yml"
RULES = ROOT / "deploy" / "prometheus" / "rules" / "milvus-import-monitor.yml"

ALERTS = {
    rule["alert"]: rule["labels"]["severity"]
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
WATCHDOG = "MilvusImportWatchdog"
PRESENT = (
    "MilvusImportJobStalled",
    "MilvusImportJobPendingTooLong",
    "MilvusImportJobUncommittedTooLong",
    "MilvusImportNoSuccessfulImport",
    "MilvusImportNotStarted",
    "MilvusImportWillMissDeadline",
    "MilvusImportThrottled",
    "MilvusImportPollsMissed",
    "MilvusImportSeriesDropped",
)
"""Alerts about the present of a cluster."""


def amtool(*arguments):
    program = shutil.which("amtool") or missing("amtool is not installed (Debian: prometheus-alertmanager)")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=30)
    return done.returncode, done.stdout


def test_amtool_takes_the_example():
    code, said = amtool("check-config", str(CONFIG))

    assert code == 0, said
    assert "5 receivers" in said


def test_what_is_deployed_is_the_example():
    assert (ROOT / "deploy" / "alertmanager" / "alertmanager.yml").samefile(CONFIG)


@pytest.mark.parametrize(
    ("alert", "cluster", "receiver"),
    [
        ("MilvusImportLastImportFailed", "prod-eu", "on-call"),
        ("MilvusImportClusterUnreachable", "prod-eu", "on-call"),
        ("MilvusImportKeyRejected", "developers", "on-call"),
        ("MilvusImportMonitorAbsent", None, "on-call"),
        ("MilvusImportJobFailed", "prod-eu", "team"),
        ("MilvusImportLastImportAborted", "prod-eu", "team"),
        ("MilvusImportJobStalled", "prod-eu", "team"),
        ("MilvusImportMonitorDown", None, "team"),
        ("MilvusImportWatchdog", None, "dead-mans-switch"),
        ("MilvusImportLastImportFailed", "dev", "team"),
        ("MilvusImportClusterUnreachable", "staging-2", "team"),
    ],
)
def test_the_route_goes_by_severity_and_cluster(alert, cluster, receiver):
    labels = [f"alertname={alert}", f"severity={ALERTS[alert]}", *([f"milvus_cluster={cluster}"] if cluster else [])]
    code, said = amtool(
        "config", "routes", "test", f"--config.file={CONFIG}", f"--verify.receivers={receiver}", *labels
    )

    assert code == 0, said
    assert said.split() == [receiver]


@pytest.mark.parametrize(
    ("alert", "labels", "receiver"),
    [
        ("MilvusImportLastImportFailed", {"milvus_cluster": "prod-eu", "team": "search"}, "search-on-call"),
        ("MilvusImportClusterUnreachable", {"milvus_cluster": "prod-eu", "team": "search"}, "search-on-call"),
        ("MilvusImportJobFailed", {"milvus_cluster": "prod-eu", "team": "search"}, "search"),
        ("MilvusImportJobStalled", {"milvus_cluster": "prod-eu", "team": "search"}, "search"),
        ("MilvusImportLastImportFailed", {"milvus_cluster": "dev", "team": "search"}, "team"),
        ("MilvusImportLastImportFailed", {"milvus_cluster": "prod-eu", "team": "shop"}, "on-call"),
    ],
)
def test_a_label_of_the_cluster_wakes_its_team(alert, labels, receiver):
    given = [f"{name}={value}" for name, value in {"alertname": alert, "severity": ALERTS[alert], **labels}.items()]
    code, said = amtool("config", "routes", "test", f"--config.file={CONFIG}", *given)

    assert code == 0, said
    assert said.split() == [receiver]


def test_the_example_names_only_alerts_that_there_are():
    matched = re.findall(r'alertname!?=~?"([^"]+)"', CONFIG.read_text())
    named = set()
    for pattern in matched:
        prefix, _, alternatives = pattern.partition("(")
        named |= {prefix + one for one in alternatives.rstrip(")").split("|")} if alternatives else {pattern}

    assert named - {"MilvusImport.+"} <= set(ALERTS)
    assert len(named) > 10


@contextmanager
def alertmanager(tmp_path):
    """Run Alertmanager with the example, but for its receivers, and yield its API's address."""
    program = shutil.which("prometheus-alertmanager") or missing("Alertmanager is not installed")
    config = yaml.safe_load(CONFIG.read_text())
    config["receivers"] = [{"name": one["name"]} for one in config["receivers"]]
    (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(config))
    with bound_socket("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    options = (
        f"--config.file={tmp_path}/alertmanager.yml",
        f"--storage.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    )
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen([program, *options], stdout=log, stderr=log) as running,
    ):
        try:
            yield f"http://127.0.0.1:{port}/api/v2/alerts"
        finally:
            running.terminate()


def quieted(url, labels, expected, within=60.0):
    """Raise alerts, and return which of them are inhibited once that is as expected, or after a while."""
    body = json.dumps([{"labels": one} for one in labels]).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    deadline, found, raised = time.monotonic() + within, None, False
    while time.monotonic() < deadline and found != expected:
        with suppress(OSError):
            if not raised:
                urllib.request.urlopen(request, timeout=5).close()
                raised = True
            with urllib.request.urlopen(url, timeout=5) as answer:
                shown = json.load(answer)
            if len(shown) == len(labels):
                found = {name(one["labels"]) for one in shown if one["status"]["inhibitedBy"]}
        time.sleep(0.1)
    return found


def name(labels):
    return (labels["alertname"], labels.get("milvus_cluster"), labels.get("collection"))


def alert(alertname, cluster=None, collection=None):
    labels = {"alertname": alertname, "milvus_cluster": cluster, "collection": collection}
    return {key: value for key, value in labels.items() if value} | {"severity": ALERTS.get(alertname, "warning")}


def test_a_cluster_that_cannot_be_seen_keeps_its_present_quiet_and_nothing_else(tmp_path):
    about_prod = [
        alert(one, "prod", "books") for one in ALERTS if not one.startswith(("MilvusImportM", "MilvusImportK"))
    ]
    elsewhere = [alert(one, "other", "books") for one in PRESENT]
    expected = {(one, "prod", "books") for one in PRESENT}

    with alertmanager(tmp_path) as url:
        found = quieted(url, [*about_prod, *elsewhere], expected)

    assert found == expected, (tmp_path / "log").read_text()


def test_a_rejected_key_keeps_quiet_that_the_cluster_cannot_be_seen(tmp_path):
    raised = [
        alert("MilvusImportKeyRejected", "prod"),
        alert("MilvusImportClusterUnreachable", "prod"),
        alert("MilvusImportClusterUnreachable", "other"),
        alert("MilvusImportJobStalled", "prod", "books"),
        alert("MilvusImportJobFailed", "prod", "books"),
    ]
    expected = {("MilvusImportClusterUnreachable", "prod", None), ("MilvusImportJobStalled", "prod", "books")}

    with alertmanager(tmp_path) as url:
        found = quieted(url, raised, expected)

    assert found == expected, (tmp_path / "log").read_text()


def test_a_failed_import_says_why_there_is_no_successful_one(tmp_path):
    raised = [
        alert("MilvusImportLastImportFailed", "prod", "books"),
        alert("MilvusImportNoSuccessfulImport", "prod", "books"),
        alert("MilvusImportNoSuccessfulImport", "prod", "films"),
        alert("MilvusImportJobFailed", "prod", "books"),
    ]
    expected = {("MilvusImportNoSuccessfulImport", "prod", "books")}

    with alertmanager(tmp_path) as url:
        found = quieted(url, raised, expected)

    assert found == expected, (tmp_path / "log").read_text()


def test_without_a_monitor_everything_else_is_quiet(tmp_path):
    others = [alert(one, "prod", "books") for one in ALERTS if one not in {"MilvusImportMonitorAbsent", WATCHDOG}]
    expected = {name(one) for one in others}

    with alertmanager(tmp_path) as url:
        raised = [alert("MilvusImportMonitorAbsent"), alert(WATCHDOG), alert("NodeDown", "prod"), *others]
        found = quieted(url, raised, expected)

    assert found == expected, (tmp_path / "log").read_text()


def test_the_watchdog_reaches_nobody_until_there_is_a_dead_mans_switch():
    receivers = {one["name"]: set(one) - {"name"} for one in yaml.safe_load(CONFIG.read_text())["receivers"]}

    assert {name for name, ways in receivers.items() if not ways} == {"dead-mans-switch"}


def test_a_dead_mans_switch_hears_from_the_watchdog_again_and_again(tmp_path):
    with receiving() as receiver:
        text = re.sub(r"^    #(?=webhook_configs|  )", "    ", CONFIG.read_text(), flags=re.MULTILINE)
        config = yaml.safe_load(text)
        (switch,) = config["receivers"][-1]["webhook_configs"]
        switch["url"] = f"{receiver.url}/ping"
        route = config["route"]
        route["group_interval"] = route["routes"][0]["repeat_interval"] = "1s"
        with running_alertmanager(tmp_path, config) as url:
            posted = [{"labels": alert(WATCHDOG)}]
            requests.post(f"{url}/api/v2/alerts", json=posted, timeout=10).raise_for_status()
            receiver.wait_for(WATCHDOG, count=3)
        came = receiver.all()

    assert {(one.path, one.status, one.labels["alertname"]) for one in came} == {("/ping", "firing", WATCHDOG)}
    assert switch["send_resolved"] is False  # it would count as a sign of life
