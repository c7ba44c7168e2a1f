"""The files of an import job, asked of servers of every generation."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from monitor.client import ImportFile, JobGoneError, Network, Usage, connect
from monitor.client.errors import ThrottledError
from monitor.client.records import FILES, files_in
from monitor.jobs import JobState
from monitor.simulator import Lifecycle, World
from tests.clusters import cluster
from tests.fakes.simulator import SimulatorServer

SAMPLES = Path(__file__).parents[1] / "samples"


@pytest.mark.parametrize(
    ("generation", "api", "progress"),
    [("zilliz", "v2", 0.4), ("milvus", "v2", 0.4), ("v1", "v1", 0.4), ("milvus-2.3", "milvus-2.3", None)],
)
def test_every_generation_tells_the_files_of_a_job(generation, api, progress):
    world = World()
    simulated = world.add_cluster("one", generation=generation)
    job = simulated.add_job(collection="books", files=3, lifecycle=Lifecycle.frozen("Importing", 40))
    hosted = generation in ("zilliz", "v1")
    with SimulatorServer(world) as server, closing(Network()) as network:
        url = server.url if hosted else f"{server.url}/clusters/one"
        config = cluster(url, api=api, cluster_id="one" if hosted else "")
        files = connect(config, network).import_files(job.id)
        with pytest.raises(JobGoneError):
            connect(config, network).import_files("1234567890")

    assert len(files) == 3
    assert all("part-" in file.name for file in files)
    assert {file.progress for file in files} == {progress}


def test_asking_for_files_takes_a_place_in_the_rate_of_the_polls_and_is_counted_with_them():
    world = World()
    simulated = world.add_cluster("one", generation="milvus")
    job = simulated.add_job(collection="books", files=1, lifecycle=Lifecycle.frozen("Importing"))
    usage = Usage()
    with SimulatorServer(world) as server, closing(Network()) as network:
        config = cluster(f"{server.url}/clusters/one", requests_per_second=0.1, timeout=1.0)
        connect(config, network, usage).describe(job.id)
        with pytest.raises(ThrottledError, match="our own limit"):
            connect(config, network, usage).import_files(job.id)
        connect(cluster(config.url, api_key="another-key"), network, usage).import_files(job.id)

    assert simulated.requests["describe"] == usage.requests["describe"] == 2


def test_the_documented_answer_is_read_whole():
    data = json.loads((SAMPLES / "zilliz-v2-describe.json").read_text())["data"]

    assert files_in(data) == (ImportFile("medium_articles_2020_dpr.json", JobState.COMPLETED, 1.0, 3279917),)


@pytest.mark.parametrize(
    ("data", "names"),
    [
        ({}, []),
        ({"details": "none"}, []),
        ({"details": [None, 1, {}, {"fileName": ["a", 2, "b"]}, {"fileName": "c\x00"}]}, ["", "a, b", "c\ufffd"]),
        ({"infos": "none"}, []),
        ({"infos": [1, {"key": "collection", "value": "x"}]}, []),
        ({"infos": [{"key": "files", "value": "a.npy, b.npy"}]}, ["a.npy", "b.npy"]),
        ({"infos": [{"key": "files", "value": "17"}]}, ["17"]),
        ({"infos": [{"key": "files", "value": 17}]}, []),
        ({"infos": [{"key": "files", "value": "[" * 100_000}]}, ["[" * 4095 + "…"]),
    ],
)
def test_whatever_a_server_says_is_read_or_left_out(data, names):
    assert [file.name for file in files_in(data)] == names


def test_files_are_bounded():
    assert len(files_in({"details": [{}] * (FILES + 1)})) == FILES
