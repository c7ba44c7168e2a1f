"""A low limit of open files, and clients that hold more connections open than that."""

import json
import resource
import socket
import subprocess
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
import requests

from monitor.simulator import World
from tests.daemon import Metrics, started, write_config
from tests.fakes.simulator import SimulatorServer


@pytest.fixture
def many_files():
    """As many open files for the test itself as it needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def certificate(folder):
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", folder / "tls.key", "-out", folder / "tls.crt", "-subj", "/CN=monitor"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    (folder / "web.yml").write_text("tls_server_config: {cert_file: tls.crt, key_file: tls.key}")


@pytest.mark.parametrize("files", [256, 1024])
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.usefixtures("many_files")
def test_idle_connections_beyond_the_limit_of_open_files_stop_no_scrape_and_no_poll(tmp_path, files, tls):
    sections = {"poll": "{interval: 200ms, timeout: 5s}"}
    if tls:
        certificate(tmp_path)
        sections["web_config"] = "web.yml"
    world = World()
    world.add_cluster("books", generation="milvus")
    limited = ("bash", "-c", f'ulimit -n {files} && exec "$@"', "bash")
    with SimulatorServer(world) as server, ExitStack() as stack:
        config = write_config(tmp_path, f"{{name: books, url: '{server.url}/clusters/books'}}", **sections)
        daemon = stack.enter_context(started("run", "-c", config, prefix=limited))
        address = ("127.0.0.1", urlsplit(daemon.url).port)
        verify = tmp_path / "tls.crt" if tls else None
        scraper = stack.enter_context(requests.Session())
        assert scraper.get(f"{daemon.url}/metrics", timeout=10, verify=verify).status_code == 200
        for _ in range(files + 100):
            stack.enter_context(socket.create_connection(address, timeout=10))
        polls = len(daemon.lines("poll_finished"))

        for path in ("/-/healthy", "/metrics", "/", "/api/v1/jobs"):
            assert requests.get(daemon.url + path, timeout=10, verify=verify).status_code == 200
        assert scraper.get(f"{daemon.url}/metrics", timeout=10, verify=verify).status_code == 200
        daemon.wait_for("poll_finished", count=polls + 5)
        metrics = Metrics(scraper.get(f"{daemon.url}/metrics", timeout=10, verify=verify).text)

    assert metrics.value("milvus_import_cluster_up", milvus_cluster="books") == 1
    assert {json.loads(line)["event"] for line in daemon.written()} <= {
        *("monitor_started", "monitor_stopped", "cluster_baseline", "poll_finished"),
    }


def test_a_monitor_out_of_files_says_so_once_and_recovers(tmp_path):
    config = write_config(tmp_path, "{name: prod, url: 'http://127.0.0.1:9'}")
    with started("run", "-c", config) as daemon, ExitStack() as stack:
        address = ("127.0.0.1", urlsplit(daemon.url).port)
        daemon.wait_for("cluster_unreachable")  # it has started: all modules are imported
        assert daemon.get("/-/healthy").status_code == 200
        limits = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        for _ in range(20):
            stack.enter_context(socket.create_connection(address, timeout=10))
        logged = daemon.wait_for("accept_failed")
        with pytest.raises(requests.Timeout):  # meanwhile it waits, and tries again every second
            daemon.get("/-/healthy")
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, limits)

        assert daemon.get("/-/healthy").status_code == 200
        assert (logged["level"], logged["error"]) == ("error", "[Errno 24] Too many open files")
        assert len(daemon.lines("accept_failed")) == 1
        assert "out of system resource" not in daemon.text()
