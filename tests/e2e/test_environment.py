"""Variables that are meant for other programs do no harm."""

import ssl
import subprocess

import pytest

from monitor.simulator import World
from tests.daemon import finished, started, write_config
from tests.fakes.simulator import SimulatorServer
from tests.recorder import Recorder


@pytest.mark.parametrize("name", ["PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"])
@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_of_other_programs_metrics_is_left_alone(tmp_path, name, exists):
    folder = tmp_path / "multiproc"
    if exists:
        folder.mkdir()
    with SimulatorServer(World()) as server:
        config = write_config(tmp_path, f"{{name: milvus, url: '{server.url}/clusters/milvus'}}")
        with started("run", "-c", config, **{name: str(folder)}) as daemon:
            daemon.wait_for("poll_finished")
            polls = daemon.metrics().value("milvus_import_poll_duration_seconds_count")

    assert polls >= 1
    assert folder.exists() == exists
    assert not exists or not list(folder.iterdir())


def test_the_number_of_other_programs_processes_is_ignored(tmp_path):
    config = write_config(tmp_path, "{name: milvus, url: 'http://127.0.0.1:9'}")
    variables = {"WEB_CONCURRENCY": "auto", "FORWARDED_ALLOW_IPS": "*", "UVICORN_PORT": "x", "UVICORN_WORKERS": "x"}
    with started("run", "-c", config, **variables) as daemon:
        assert daemon.get("/-/healthy").status_code == 200
    assert finished("simulate", "--listen", "127.0.0.1:0", "--for", "100ms", **variables).returncode == 0


def test_keys_of_tls_are_not_written_where_a_variable_asks_for_it(tmp_path):
    certificate, key, written = (tmp_path / name for name in ("cert.pem", "key.pem", "keys.log"))
    openssl = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl += ["-keyout", key, "-out", certificate, "-subj", "/CN=a", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(openssl, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Recorder({"code": 0, "data": {"records": []}}, tls=context) as server:
        config = write_config(tmp_path, f"{{name: prod, url: '{server.url}', tls: {{ca_file: cert.pem}}}}")
        for path in (written, tmp_path / "missing" / "keys.log"):
            result = finished("check-config", "--probe", "-c", config, SSLKEYLOGFILE=str(path))
            assert result.returncode == 0, result.stdout + result.stderr
    assert not written.exists()
