"""The examples in config/, each taken by the program that it is for."""

import socket
import subprocess
from contextlib import closing

import pytest
import requests
import yaml

from tests.daemon import command, finished
from tests.integration.test_helm import certificate
from tests.venvs import ROOT

CONFIG = ROOT / "config"
ENVIRONMENT = {"ZILLIZ_API_KEY": "key", "MILVUS_PASSWORD": "password", "PORT": "19595"}
CONFIGS = ("demo.yml", "discovery.yml", "milvus.yml", "mixed-fleet.yml", "zilliz-cloud.yml")
OTHERS = ("alertmanager.yml", "web.yml")
"""The one for Alertmanager is tried in test_alertmanager.py."""


def test_every_example_is_tried_here():
    assert sorted(path.name for path in CONFIG.iterdir()) == sorted([*CONFIGS, *OTHERS])


@pytest.mark.parametrize("name", CONFIGS)
def test_check_config_takes_it(name):
    done = finished("check-config", "-c", CONFIG / name, **ENVIRONMENT)
    count = len(yaml.safe_load((CONFIG / name).read_text())["clusters"])

    assert (done.returncode, done.stderr) == (0, "")
    found = ", 2 discoveries" * (name == "discovery.yml")
    assert done.stdout == f"{CONFIG / name}: valid, {count} cluster{'s' * (count > 1)}{found}\n"


def test_the_web_config_is_taken_with_a_certificate_beside_it(tmp_path):
    for name, text in certificate(tmp_path).items():
        (tmp_path / name).write_text(text)
    (tmp_path / "web.yml").write_text((CONFIG / "web.yml").read_text())
    (tmp_path / "config.yml").write_text("web_config: web.yml\nclusters: [{name: a, url: 'http://127.0.0.1:9'}]\n")
    done = finished("check-config", "-c", tmp_path / "config.yml")

    assert (done.returncode, done.stderr) == (0, "")


def test_the_rehearsal_finds_the_simulator_as_it_starts_by_itself(tmp_path):
    text = (CONFIG / "demo.yml").read_text()
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    config = tmp_path / "demo.yml"
    config.write_text(text.replace(":19596", f":{port}"))
    with subprocess.Popen(
        command("simulate", "--listen", f"127.0.0.1:{port}"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as simulator:
        try:
            assert simulator.stderr is not None
            assert "simulated import API: " in simulator.stderr.readline()
            probed = finished("check-config", "-c", config, "--probe")
            life = requests.post(
                f"http://127.0.0.1:{port}/simulator/clusters/milvus-02/jobs", data='{"life": "failing"}', timeout=30
            )
        finally:
            simulator.terminate()
            printed = simulator.communicate(timeout=60)[0]

    clusters = yaml.safe_load(text)["clusters"]
    assert printed.strip().replace(f":{port}", ":19596") in text
    assert probed.returncode == 0, probed.stdout + probed.stderr
    assert [line.split(":")[0] for line in probed.stdout.splitlines()[1:]] == [one["name"] for one in clusters]
    assert life.ok, life.text
