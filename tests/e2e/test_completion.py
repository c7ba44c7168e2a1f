"""Shell completion of names: of clusters and of jobs, from whatever can be read in a moment."""

import os
import subprocess
import sys
import time

import pytest

from monitor.jobs import JobRecord
from monitor.simulator import Lifecycle, Trouble, World
from monitor.store import ClusterRef
from tests.commands import finished
from tests.daemon import write_config
from tests.fakes.simulator import SimulatorServer
from tests.stored import Stored

PROGRAM = "import sys; sys.argv = ['milvus-import-monitor']; from monitor.__main__ import main; main()"


def words(*arguments):
    """Return what bash would be offered at the end of a command line."""
    return {
        "_MILVUS_IMPORT_MONITOR_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["milvus-import-monitor", *map(str, arguments)]),
        "COMP_CWORD": str(len(arguments)),
    }


def offered(*arguments):
    ended = finished(prog_name="milvus-import-monitor", **words(*arguments))
    assert ended.stderr == ""
    return ended.stdout.split()


@pytest.fixture
def config(tmp_path):
    names = ("prod-eu", "prod-us", "lab", "'$(reboot)'", "'two words'")
    return write_config(tmp_path, *(f"{{name: {name}, url: 'http://127.0.0.1:1'}}" for name in names))


@pytest.mark.parametrize("name", ["jobs", "history", "watch", "wait"])
def test_clusters_of_the_config_are_offered_but_nothing_that_a_shell_would_run(config, name):
    assert offered(name, "-c", config, "--cluster", "") == ["prod-eu", "prod-us", "lab"]
    assert offered(name, "-c", config, "--cluster", "prod-u") == ["prod-us"]


def test_the_usual_config_is_used_without_an_option(config, monkeypatch):
    monkeypatch.chdir(config.parent)
    assert offered("jobs", "--cluster", "l") == []
    config.rename("milvus-import-monitor.yml")
    assert offered("jobs", "--cluster", "l") == ["lab"]


def test_states_are_offered():
    assert offered("jobs", "--state", "co") == ["committing", "completed"]
    assert offered("jobs", "--fail-on", "v") == ["vanished"]


def test_jobs_of_the_state_are_offered_unfinished_ones_first(tmp_path):
    url = f"sqlite:///{tmp_path}/state.db"
    stored = Stored(url, ClusterRef("prod", "http://127.0.0.1:1"), now=time.time())
    running = JobRecord("job-2", "Importing", "novels", 50)
    stored.poll()
    stored.poll(JobRecord("job-1", "Importing", "novels", 50), running)
    stored.poll(JobRecord("job-1", "Completed", "novels", 100), running)
    stored.store.close()
    config = write_config(tmp_path, "{name: prod, url: 'http://127.0.0.1:1'}", state=f"{{url: '{url}'}}")

    assert offered("wait", "-c", config, "--job", "") == ["job-2", "job-1"]
    assert offered("history", "-c", config, "--cluster", "other", "--job", "") == []


def test_without_a_state_the_jobs_that_the_cluster_lists_are_offered(tmp_path):
    world = World()
    books = world.add_cluster("books", generation="milvus")
    world.add_cluster("songs", generation="milvus")
    job = books.add_job(lifecycle=Lifecycle.frozen("Importing", 40))
    with SimulatorServer(world) as server:
        clusters = [f"{{name: {name}, url: '{server.url}/clusters/{name}'}}" for name in world.clusters]
        config = write_config(tmp_path, *clusters)

        assert offered("wait", "-c", config, "--cluster", "books", "--job", "") == [job.id]
        assert offered("wait", "-c", config, "--job", "") == []


def test_what_cannot_be_read_offers_nothing_and_says_nothing(tmp_path):
    bad = write_config(tmp_path, "{name: a, ulr: 'http://h'}")
    for file in (bad, tmp_path / "missing.yml", tmp_path):
        assert offered("jobs", "-c", file, "--cluster", "") == []
        assert offered("wait", "-c", file, "--job", "") == []


@pytest.mark.parametrize("what", ["a server", "a pipe"])
def test_a_shell_does_not_wait_for_what_never_comes(tmp_path, what):
    world = World()
    world.add_cluster("books", generation="milvus").trouble(Trouble.hang())
    with SimulatorServer(world) as server:
        config = write_config(tmp_path, f"{{name: books, url: '{server.url}/clusters/books'}}")
        if what == "a pipe":
            config = tmp_path / "pipe"
            os.mkfifo(config)
        environment = os.environ | words("wait", "-c", config, "--job", "")
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, timeout=30, check=False
        )

    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, b"", b"")
