"""`from monitor import list_import_jobs, get_import_progress` in place of pymilvus' own, compared byte for byte."""

import inspect
import json
import re
import subprocess
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from monitor import get_import_progress, list_import_jobs
from monitor.client import ApiError, ErrorKind
from monitor.client.errors import ApiTimeoutError
from tests.integration.test_simulator_peers import PYMILVUS
from tests.recorder import Answer, Recorded, Recorder
from tests.venvs import environment

EMPTY = {"code": 0, "data": {"records": []}}
OURS = {"list_import_jobs": list_import_jobs, "get_import_progress": get_import_progress}
# Requests of pymilvus say that they are a browser of 2011, and misspell two of its headers.
EXPECTED_TO_DIFFER = re.compile(rb"(User-Agent|Accept-Encodin|Accept-Languag|Accept-Language): ")
CALLS = [
    ("list_import_jobs", {}),
    ("list_import_jobs", {"cluster_id": "in01-x", "api_key": "secret-key"}),
    ("list_import_jobs", {"project_id": "p", "region_id": "aws-us-west-2", "api_key": "secret-key"}),
    ("list_import_jobs", {"collection_name": "events", "db_name": "sales", "api_key": "root:Milvus"}),
    ("list_import_jobs", {"cluster_id": "in01-x", "page_size": 100, "current_page": 7}),
    ("list_import_jobs", {"collection_name": "Käse", "db_name": "sales"}),
    ("get_import_progress", {"job_id": "7"}),
    ("get_import_progress", {"job_id": "7", "cluster_id": "in01-x", "api_key": "secret-key"}),
    ("get_import_progress", {"job_id": "7", "project_id": "p", "region_id": "r", "api_key": "secret-key"}),
    ("get_import_progress", {"job_id": "7", "db_name": "sales", "api_key": "root:Milvus"}),
]
SCRIPT = """
import inspect, json, sys
from pymilvus import bulk_writer

for name, arguments in json.loads(sys.argv[2]):
    getattr(bulk_writer, name)(url=sys.argv[1], **arguments)
signatures = {
    name: [[one.name, str(one.kind), None if one.default is one.empty else [one.default]] for one in parameters]
    for name in sys.argv[3:]
    for parameters in [inspect.signature(getattr(bulk_writer, name)).parameters.values()]
}
print(json.dumps(signatures))
"""


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Recorder]:
    with Recorder(EMPTY) as running:
        yield running


def theirs(url: str) -> dict[str, Any]:
    """Call the real functions with every set of arguments, and return their signatures."""
    arguments = [environment("pymilvus", PYMILVUS), "-c", SCRIPT, url, json.dumps(CALLS), *OURS]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr
    signatures: dict[str, Any] = json.loads(done.stdout)
    return signatures


def comparable(request: Recorded) -> list[bytes]:
    """A request's lines in their order, but for the headers that are known to differ, and its body."""
    lines = request.head.split(b"\r\n")
    return [*(line for line in lines if not EXPECTED_TO_DIFFER.match(line)), request.body]


@pytest.mark.timeout(300)  # the first run installs pymilvus
def test_the_real_ones_and_ours_have_one_signature_and_send_the_same_bytes(server: Recorder) -> None:
    signatures = theirs(server.url)
    for name, arguments in CALLS:
        OURS[name](url=server.url, **arguments)
    for name, function in OURS.items():
        parameters = inspect.signature(function).parameters.values()
        assert [
            [one.name, str(one.kind), None if one.default is one.empty else [one.default]] for one in parameters
        ] == signatures[name]
    real, ours = server.requests[: len(CALLS)], server.requests[len(CALLS) :]
    assert [comparable(request) for request in ours] == [comparable(request) for request in real]


def test_positional_arguments_mean_what_they_mean_there(server: Recorder) -> None:
    list_import_jobs(server.url, "events", "sales", "in01-x", "p", "r", "key", 5, 2)
    assert server.requests[0].json == {
        "collectionName": "events",
        "dbName": "sales",
        "clusterId": "in01-x",
        "projectId": "p",
        "regionId": "r",
        "pageSize": 5,
        "currentPage": 2,
    }
    assert server.requests[0].headers["db-name"] == b"sales"


@pytest.mark.parametrize("code", [0, 200, "0", "200"])
def test_a_success_returns_the_response(server: Recorder, code: Any) -> None:
    server.answers({"code": code, "data": {"records": [{"jobId": "7"}]}})
    response = list_import_jobs(server.url)
    assert response.status_code == 200
    assert response.json()["data"]["records"] == [{"jobId": "7"}]


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        ({"code": 80001, "message": "no secret-key here"}, ErrorKind.UNAUTHORIZED, "no ******** here (code 80001)"),
        (Answer({"code": 1800, "message": "who?"}, 401), ErrorKind.UNAUTHORIZED, "says: who? (HTTP 401, code 1800)"),
        (Answer(b"", 503), ErrorKind.TRANSIENT, "says: nothing (HTTP 503)"),
        (Answer(b"404 page not found", 404), ErrorKind.NOT_FOUND, "there is no v2 import API"),
        (Answer(b"<html>"), ErrorKind.BAD_RESPONSE, "the response is not JSON"),
        (Answer(b"[" * 100_000), ErrorKind.BAD_RESPONSE, "the response is not JSON"),
        (Answer(b"[]"), ErrorKind.BAD_RESPONSE, "no object"),
        (Answer(raw=b""), ErrorKind.CONNECTION, "connection"),
    ],
)
def test_what_goes_wrong_is_an_api_error(server: Recorder, answer: Any, kind: ErrorKind, message: str) -> None:
    server.answers(answer)
    for call in (list_import_jobs, partial(get_import_progress, job_id="7")):
        with pytest.raises(ApiError, match=re.escape(message)) as caught:
            call(url=server.url, api_key="secret-key")
        assert caught.value.kind is kind
        assert "secret-key" not in str(caught.value)


@pytest.mark.parametrize("timeout", [0.3, (1.0, 0.3)])
def test_the_timeout_of_requests_is_the_timeout(timeout: Any) -> None:
    with Recorder(lambda connection, _: connection.recv(1)) as server, pytest.raises(ApiTimeoutError):
        list_import_jobs(server.url, timeout=timeout)


@pytest.mark.parametrize("key", ["secret-key\n", "secret-キー"])
def test_a_key_that_fits_no_header_is_an_api_error_that_does_not_tell_it(server: Recorder, key: str) -> None:
    with pytest.raises(ApiError) as caught:
        list_import_jobs(server.url, api_key=key)
    assert "secret-" not in str(caught.value)
    assert server.requests == []
