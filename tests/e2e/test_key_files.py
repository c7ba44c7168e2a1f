"""Secrets in files, which others replace while the monitor runs: no reload is needed."""

import signal
import time
from pathlib import Path

import psycopg

from monitor.simulator import World
from tests.daemon import started, write_config
from tests.fakes.simulator import SimulatorServer
from tests.postgres import Postgres, running_postgres
from tests.quick_checks import PREFIX
from tests.recorder import Answer, Recorder

EMPTY = {"code": 0, "data": {"records": []}}
FIRST, SECOND = "first-key-1234", "second-key-5678"


def mount(folder: Path, key: str) -> Path:
    """Mount a secret, or replace it, as Kubernetes does: by a link that is renamed."""
    version = folder / f"..{time.monotonic_ns()}"
    version.mkdir(parents=True)
    (version / "key").write_text(f"{key}\n")
    (folder / "..new").symlink_to(version.name)
    (folder / "..new").rename(folder / "..data")
    if not (folder / "key").is_symlink():
        (folder / "key").symlink_to("..data/key")
    return folder / "key"


def test_after_a_rejected_key_its_file_is_read_again(tmp_path):
    world = World()
    clusters = [world.add_cluster(name, generation="milvus", api_key=FIRST) for name in ("a", "b")]
    key = mount(tmp_path / "keys", FIRST)
    with SimulatorServer(world) as server:
        config = write_config(
            tmp_path,
            *(f"{{name: {name}, url: '{server.url}/clusters/{name}', api_key_file: {key}}}" for name in ("a", "b")),
        )
        with started("run", "-c", config) as daemon:
            daemon.wait_for("cluster_baseline", count=2)
            for cluster in clusters:
                cluster.api_key = SECOND
            daemon.wait_for("cluster_unreachable", kind="unauthorized", count=2)
            mount(tmp_path / "keys", SECOND)
            daemon.wait_for("keys_reloaded", clusters=2)
            daemon.wait_for("cluster_recovered", count=2)
            text, reloads = daemon.text(), daemon.lines("config_reloaded")

    assert reloads == []
    assert FIRST not in text
    assert SECOND not in text


def test_a_changed_key_is_used_soon_and_masked_and_a_missing_file_changes_nothing(tmp_path):
    (tmp_path / "key").write_text(FIRST)
    with Recorder(EMPTY) as server:
        config = write_config(tmp_path, f"{{name: prod, url: '{server.url}', api_key_file: key}}")
        with started("run", "-c", config, prefix=PREFIX) as daemon:
            daemon.wait_for("cluster_baseline")
            (tmp_path / "key").unlink()
            unreadable = daemon.wait_for("key_file_unreadable")
            daemon.wait_for("poll_finished", count=len(daemon.lines("poll_finished")) + 3)
            up = daemon.metrics().value("milvus_import_cluster_up", milvus_cluster="prod")
            before = server.requests[-1].headers["authorization"]
            (tmp_path / "key").write_text(SECOND)
            daemon.wait_for("keys_reloaded", clusters=1)
            server.wait_for_requests(len(server.requests) + 2)
            after = server.requests[-1].headers["authorization"]
            server.answers(Answer({"code": 5, "message": f"no {SECOND}"}))
            refused = daemon.wait_for("cluster_unreachable")
            text = daemon.text()

    assert (unreadable["file"], unreadable["message"]) == (str(tmp_path / "key"), "does not exist")
    assert up == 1
    assert (before, after) == (f"Bearer {FIRST}".encode(), f"Bearer {SECOND}".encode())
    assert "no " in refused["message"]
    assert SECOND not in text


def set_password(server: Postgres, password: str) -> None:
    """Change the password of the monitor's user, and cut its connections."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"ALTER ROLE mona PASSWORD '{password}'")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'mona'")


def test_a_changed_password_of_the_state_is_used_without_a_restart(tmp_path):
    with running_postgres() as server, Recorder(EMPTY) as api:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE mona LOGIN PASSWORD '{FIRST}'")
            connection.execute("CREATE DATABASE state OWNER mona")
        access = server.folder / "data" / "pg_hba.conf"
        access.write_text(f"local all mona scram-sha-256\n{access.read_text()}")
        server.run("pg_ctl", "-D", str(server.folder / "data"), "reload")
        url = f"postgresql://mona:{{}}@/state?host={server.folder}"
        file = mount(tmp_path / "state", url.format(FIRST))
        config = write_config(tmp_path, f"{{name: prod, url: '{api.url}'}}", state=f"{{url_file: {file}}}")
        with started("run", "-c", config) as daemon:
            daemon.wait_for("cluster_baseline")
            set_password(server, SECOND)
            refused = daemon.wait_for("store_unavailable")
            mount(tmp_path / "state", url.format(SECOND))
            daemon.wait_for("state_credentials_reloaded")
            daemon.wait_for("store_recovered")
            mount(tmp_path / "state", url.format("third-password"))
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_for("state_credentials_reloaded", count=2)
            mount(tmp_path / "state", url.format("third-password").replace("/state?", "/other?"))
            daemon.process.send_signal(signal.SIGHUP)
            needed = daemon.wait_for("restart_needed")
            text, needs = daemon.text(), daemon.lines("restart_needed")

    assert "password authentication failed" in refused["message"]
    assert (needed["settings"], len(needs)) == (["state.url"], 1)
    assert not [password for password in (FIRST, SECOND, "third-password") if password in text]
