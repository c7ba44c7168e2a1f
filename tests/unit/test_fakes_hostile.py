"""The hostile responses of ``tests.fakes`` are what they are meant to be."""

from __future__ import annotations

import gzip
import json
import socket
import time
from typing import TYPE_CHECKING

import pytest
import requests

from monitor.simulator import Lifecycle, Trouble, World
from tests.fakes import hostile
from tests.fakes.simulator import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = "/clusters/c/v2/vectordb/jobs/import/list"


@pytest.fixture
def server() -> Iterator[SimulatorServer]:
    world = World()
    world.add_cluster("c", generation="milvus").add_job(Lifecycle.frozen("importing", 50))
    with SimulatorServer(world) as server:
        yield server


def request(server: SimulatorServer, trouble: Trouble) -> requests.Response:
    server.world.clusters["c"].trouble(trouble)
    return requests.post(server.url + PATH, json={}, timeout=30, stream=True)


def raw(server: SimulatorServer, trouble: Trouble) -> socket.socket:
    server.world.clusters["c"].trouble(trouble)
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=5)
    connection.sendall(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode())
    return connection


def test_a_bad_record_comes_with_good_ones(server: SimulatorServer) -> None:
    assert len(request(server, hostile.wrong_types()).json()["data"]["records"]) == 8


def test_every_page_has_new_jobs(server: SimulatorServer) -> None:
    pages = [request(server, hostile.endless_pages()).json()["data"]["records"] for _ in range(3)]

    assert len({record["jobId"] for page in pages for record in page}) == 300


@pytest.mark.parametrize("announced", [True, False])
def test_a_huge_body_is_valid_json_of_its_size(server: SimulatorServer, announced: bool) -> None:
    response = request(server, hostile.huge(30_000_001, announced=announced))

    assert ("content-length" in response.headers) == announced
    assert len(response.content) == 30_000_001
    assert response.json()["code"] == 0


def test_a_gzip_bomb_unpacks_to_a_thousand_times_its_size(server: SimulatorServer) -> None:
    response = request(server, hostile.gzip_bomb(50_000_001))
    packed = response.raw.read(decode_content=False)

    assert len(packed) < 100_000
    assert len(gzip.decompress(packed)) == 50_000_001


def test_a_list_can_have_very_many_jobs(server: SimulatorServer) -> None:
    records = request(server, hostile.million_jobs(12_345)).json()["data"]["records"]

    assert len({record["jobId"] for record in records}) == 12_345


def test_even_the_headers_drip(server: SimulatorServer) -> None:
    begin = time.monotonic()
    with raw(server, hostile.drip(0.05, headers=True)) as connection:
        assert [connection.recv(100) for _ in range(4)] == [b"H", b"T", b"T", b"P"]
    assert time.monotonic() - begin >= 0.1


def test_a_slow_body_ends_as_the_correct_response(server: SimulatorServer) -> None:
    assert request(server, hostile.drip(0.0001)).json()["code"] == 0


def test_a_connection_is_reset_in_mid_body(server: SimulatorServer) -> None:
    with raw(server, hostile.reset()) as connection:
        data = connection.recv(1 << 16)
        with pytest.raises(ConnectionResetError):
            connection.recv(1 << 16)
    head, _, body = data.partition(b"\r\n\r\n")
    promised = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])

    assert len(body) == promised // 2


def test_a_body_ends_before_its_promised_length(server: SimulatorServer) -> None:
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        _ = request(server, hostile.cut()).content


def test_names_have_what_breaks_logs_and_metrics(server: SimulatorServer) -> None:
    body = json.dumps(request(server, hostile.control_characters()).json())

    assert all(json.dumps(name)[1:-1] in body for name in hostile.NAMES)
