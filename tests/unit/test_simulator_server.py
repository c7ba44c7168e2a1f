from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
import time
from contextlib import closing
from typing import Any

import pytest
import requests

from monitor.simulator import Lifecycle, Trouble, World
from tests.fakes import hostile
from tests.fakes.simulator import SimulatorServer, wait_for_requests

LIST = "/v2/vectordb/jobs/import/list"


def ask(url: str, cluster: str) -> Any:
    return requests.post(f"{url}/clusters/{cluster}{LIST}", json={}, timeout=5).json()


@pytest.mark.parametrize("trouble", [Trouble.hang(), Trouble.slow(60), hostile.huge(), hostile.drip(5)])
def test_the_server_stops_within_a_second_whoever_still_waits(trouble: Trouble) -> None:
    world = World()
    cluster = world.add_cluster("c", generation="milvus")
    cluster.trouble(trouble)
    with contextlib.ExitStack() as held:
        with SimulatorServer(world) as server:
            for _ in range(20):
                connection = held.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                connection.sendall(
                    f"POST /clusters/c{LIST} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode()
                )
            assert wait_for_requests(cluster, "list", 20)
            begin = time.monotonic()
        assert time.monotonic() - begin < 1
        assert not any(thread.name == "simulator" for thread in threading.enumerate())


def test_it_runs_in_a_loop_that_exists_and_leaves_signals_alone() -> None:
    world = World()
    world.add_cluster("c", generation="milvus").add_job(Lifecycle.frozen())
    before = signal.getsignal(signal.SIGTERM)

    async def beside() -> Any:
        server = SimulatorServer(world)
        serving = asyncio.create_task(server.serve())
        answer = await asyncio.to_thread(ask, server.url, "c")
        assert signal.getsignal(signal.SIGTERM) is before
        server.stop()
        await asyncio.wait_for(serving, 1)
        return answer

    assert len(asyncio.run(beside())["data"]["records"]) == 1


def test_a_cancelled_server_sends_everybody_away_quietly(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    cluster = world.add_cluster("c", generation="milvus")
    cluster.trouble(Trouble.hang())

    async def cancelled() -> None:
        server = SimulatorServer(world)
        serving = asyncio.create_task(server.serve())
        asking = asyncio.create_task(asyncio.to_thread(ask, server.url, "c"))
        assert await asyncio.to_thread(wait_for_requests, cluster, "list", 1)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        with pytest.raises(requests.ConnectionError):
            await asking

    asyncio.run(cancelled())
    assert caplog.text == ""


def test_it_stops_even_when_it_was_stopped_before_it_started() -> None:
    server = SimulatorServer(World())
    server.stop()
    asyncio.run(server.serve())


def test_a_server_can_come_back_on_its_port_with_the_world_as_it_was() -> None:
    world = World()
    world.add_cluster("c", generation="milvus").add_job(Lifecycle.frozen())
    with SimulatorServer(world) as first:
        before, port = ask(first.url, "c"), first.port
    with pytest.raises(requests.ConnectionError):
        ask(f"http://127.0.0.1:{port}", "c")
    with SimulatorServer(world, port=port) as second:
        assert ask(second.url, "c") == before


def test_a_port_in_use_is_an_error() -> None:
    with SimulatorServer(World()) as server, pytest.raises(OSError, match="in use"):
        SimulatorServer(World(), port=server.port)


def test_the_url_is_known_before_it_serves() -> None:
    with closing(SimulatorServer(World(), "0.0.0.0")) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"


def test_it_serves_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with SimulatorServer(World(1), "::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert requests.get(f"{server.url}/simulator", timeout=5).status_code == 200


def test_jobs_and_troubles_are_scripted_over_http() -> None:
    world = World()
    cluster = world.add_cluster("c", generation="milvus", api_key="secret")
    with SimulatorServer(world) as server:
        base = f"{server.url}/simulator/clusters/c"

        added = requests.post(
            f"{base}/jobs",
            json={"life": "failing", "reason": "import timeout", "after": 0, "collection": "x"},
            timeout=5,
        )
        assert added.status_code == 201
        ((job, status),) = cluster.jobs()
        assert (job.id, job.collection, status.reason) == (added.json()["jobId"], "x", "import timeout")

        assert requests.delete(f"{base}/jobs/{job.id}", timeout=5).json() == {"forgotten": job.id}
        assert cluster.jobs() == []

        assert requests.post(f"{base}/trouble", json={"kind": "http", "status": 503, "times": 2}, timeout=5).ok
        assert cluster.record_request("list") is not None
        assert requests.delete(f"{base}/trouble", timeout=5).json() == {"trouble": None}
        assert cluster.record_request("list") is None


def test_the_overview_shows_how_to_point_the_monitor_at_each_cluster() -> None:
    world = World()
    world.add_cluster("in01-a", api_key="secret")
    world.add_cluster("own", generation="milvus")
    world.add_cluster("old", generation="milvus-2.3")
    world.add_cluster("in01-v1", generation="v1")
    with SimulatorServer(world) as server:
        answer = requests.get(f"{server.url}/simulator", timeout=5)
        url = server.url

    assert "secret" not in answer.text
    troubles, lives = answer.json()["troubles"], answer.json()["lives"]
    assert (troubles["slow"], troubles["hang"], lives["completing"]) == (["seconds=3.0"], [], ["seconds=60.0"])
    assert [cluster["config"] for cluster in answer.json()["clusters"]] == [
        f"- name: in01-a\n  url: {url}\n  api: v2\n  cluster_id: in01-a\n  api_key: ${{SIMULATOR_API_KEY}}\n",
        f"- name: own\n  url: {url}/clusters/own\n  api: v2\n",
        f"- name: old\n  url: {url}/clusters/old\n  api: milvus-2.3\n",
        f"- name: in01-v1\n  url: {url}\n  api: v1\n  cluster_id: in01-v1\n  api_key: any\n",
    ]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/simulator/clusters/c/jobs", b'{"life":"dancing"}', 400),
        ("POST", "/simulator/clusters/c/jobs", b"[]", 400),
        ("POST", "/simulator/clusters/c/jobs", b"{", 400),
        ("POST", "/simulator/clusters/c/jobs", b'{"after":"soon","life":"failing"}', 400),
        ("POST", "/simulator/clusters/c/trouble", b'{"kind":"rain"}', 400),
        ("POST", "/simulator/clusters/c/trouble", b'{"kind":"http","status":"abc"}', 400),
        ("POST", "/simulator/clusters/c/trouble", b'{"kind":"http","status":7}', 400),
        ("POST", "/simulator/clusters/c/trouble", b'{"kind":"hang","times":"often"}', 400),
        ("POST", "/simulator/clusters/none/trouble", b"{}", 404),
        ("DELETE", "/simulator/clusters/c/jobs/never-was", b"", 404),
        ("PUT", "/simulator/clusters/c/jobs", b"{}", 405),
        ("GET", "/simulator/nothing", b"", 404),
    ],
)
def test_a_wrong_request_is_refused_with_a_reason(method: str, path: str, body: bytes, status: int) -> None:
    world = World()
    world.add_cluster("c")
    with SimulatorServer(world) as server:
        answer = requests.request(method, server.url + path, data=body, timeout=5)

    assert (answer.status_code, bool(answer.json()["error"])) == (status, True)
