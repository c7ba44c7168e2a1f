"""Watching a running monitor: its jobs, what changes, and what happens when it is gone for a while."""

import json
import secrets
import time

import bcrypt
import pytest
import requests

from monitor.cli.monitor_client import MonitorClient
from monitor.cli.watch.remote import RemoteSource
from monitor.cli.watch.render import screen
from monitor.simulator import Lifecycle, Trouble, World
from tests.commands import finished
from tests.daemon import started, write_config
from tests.fakes.simulator import SimulatorServer, set_status
from tests.recorder import Recorder
from tests.terminal import terminal

NOW = "2026-01-31T12:00:00+00:00"


@pytest.fixture
def world():
    return World()


@pytest.fixture
def books(world):
    return world.add_cluster("books", generation="milvus")


@pytest.fixture
def config(world, tmp_path):
    with SimulatorServer(world) as server:
        yield write_config(tmp_path, f"{{name: books, url: '{server.url}/clusters/books'}}")


@pytest.fixture
def monitor(config):
    with started("run", "-c", config) as daemon:
        daemon.wait_for("cluster_baseline")
        yield daemon


def importing(cluster, collection, progress=40):
    return cluster.add_job(collection=collection, lifecycle=Lifecycle.frozen("Importing", progress))


def test_what_a_monitor_sees_is_seen_and_what_changes_too(books, monitor):
    novels = importing(books, "novels")
    with terminal("watch", "--url", monitor.url) as shown:
        shown.wait_for("1 of 1 clusters up", "novels", "40%")
        set_status(novels, progress=55)
        shown.wait_for("55%")
        importing(books, "poems", 70)
        shown.wait_for("2 importing", "poems", "70%")
        set_status(novels, "Failed", reason="disk quota exceeded")
        shown.wait_for("1 importing, 1 failed", "disk quota exceeded")
        books.trouble(Trouble.http(403))
        shown.wait_for("0 of 1 clusters up", "books: ", "permission deny")
        books.recover()
        shown.wait_for("1 of 1 clusters up")
        shown.press_ctrl_c()
        assert shown.ended() == 0
        assert not shown.on_the_other_screen


def test_a_monitor_that_is_gone_for_a_while_is_said_and_followed_again(books, config):
    novels = importing(books, "novels")
    with started("run", "-c", config) as first:
        first.wait_for("cluster_baseline")
        url = first.url
        with terminal("watch", "--url", url, columns=160) as shown:
            shown.wait_for("40%")
            first.stop()
            shown.wait_for(f"{url}: ", "retrying in")
            assert "40%" in shown.text
            set_status(novels, progress=60)
            with started("run", "-c", config, "--listen", url.removeprefix("http://")) as second:
                second.wait_for("cluster_baseline")
                shown.wait_for("60%")
                shown.wait_until(lambda screen: "retrying" not in screen.text)


def test_only_one_cluster_can_be_watched_and_an_unknown_one_is_named(books, monitor):
    importing(books, "novels")
    with terminal("watch", "--url", monitor.url, "--cluster", "books") as shown:
        shown.wait_for("1 of 1 clusters up", "novels")

    ended = finished("watch", "--url", monitor.url, "--cluster", "boks")
    assert ended.returncode == 1
    assert "no cluster is named 'boks'; did you mean books? (HTTP 404)" in ended.stderr


def test_a_monitor_that_asks_for_a_password_gets_it_from_a_file(books, config, tmp_path):
    importing(books, "novels")
    made = secrets.token_hex()
    (tmp_path / "password").write_text(made)
    hashed = bcrypt.hashpw(made.encode(), bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{ann: '{hashed}'}}\n")
    config.write_text(f"web_config: web.yml\n{config.read_text()}")
    with started("run", "-c", config) as daemon:
        daemon.wait_for("cluster_baseline")
        refused = finished("watch", "--url", daemon.url)
        with terminal(
            "watch", "--url", daemon.url, "--username", "ann", "--password-file", tmp_path / "password"
        ) as shown:
            shown.wait_for("novels", "40%")

    assert refused.returncode == 1
    assert "; give --username and --password-file (HTTP 401)\n" in refused.stderr


@pytest.mark.parametrize(
    ("cluster", "jobs", "note"),
    [
        (None, 4, "more than 4 clusters and 4 jobs; the rest is left out; --cluster NAME shows those of one cluster"),
        ("c0", 4, ""),
        ("c4", 1, ""),
    ],
)
def test_what_is_left_out_is_noted(tmp_path, cluster, jobs, note):
    world = World()
    for name, count in (("c0", 4), ("c1", 0), ("c2", 0), ("c3", 0), ("c4", 1)):
        simulated = world.add_cluster(name, generation="milvus")
        for _ in range(count):
            importing(simulated, "novels")
    with SimulatorServer(world) as server:
        clusters = [f"{{name: {name}, url: '{server.url}/clusters/{name}'}}" for name in world.clusters]
        with started("run", "-c", write_config(tmp_path, *clusters)) as daemon, requests.Session() as session:
            daemon.wait_for("cluster_baseline", 5)
            view = RemoteSource(MonitorClient(daemon.url, session), cluster, page_size=2, max_pages=2)()

    assert len(view.jobs) == jobs
    assert view.note == (f"{daemon.url}: {note}" if note else "")


def test_a_job_that_completes_is_shown_for_a_moment(books, monitor):
    novels = importing(books, "novels")
    with terminal("watch", "--url", monitor.url) as shown:
        shown.wait_for("novels", "40%")
        set_status(novels, "Completed")
        shown.wait_for("1 completed", "novels", "100%")


@pytest.mark.parametrize("body", [{}, {"clusters": [{}]}, {"clusters": None, "next_cursor": None}, []])
def test_a_response_that_is_not_that_of_a_monitor_is_one_sentence(body):
    with Recorder(body) as other:
        ended = finished("watch", "--url", other.url)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"error: {other.url}: the response is not that of a monitor\n"


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_counts_as_unknown(number):
    job = {
        "cluster": "books",
        "job_id": "1",
        "collection": "novels",
        "state": "importing",
        "progress": "#",
        "first_seen": NOW,
        "state_since": NOW,
        "last_change": NOW,
        "missing_since": None,
        "created_at": None,
        "finished_at": None,
        "eta_seconds": "#",
        "typical_duration_seconds": "#",
    }
    page = json.dumps({"clusters": [], "jobs": [job], "transitions": [], "next_cursor": None})
    with Recorder(page.replace('"#"', number).encode()) as other, requests.Session() as session:
        view = RemoteSource(MonitorClient(other.url, session))()

    assert (view.jobs["books", "1"].progress, view.done_at, view.usual) == (None, {}, {})
    assert "novels" in screen(view, 120, 10, time.time()).lines[2].plain
