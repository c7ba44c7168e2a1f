"""Everything that goes wrong between a server and us: the kind of error, its message, its time and its memory."""

import contextlib
import gc
import gzip
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, NamedTuple

import pytest

from monitor.client import ApiError, ErrorKind, ImportApi, Network, connect
from monitor.client.errors import BadResponseError, ThrottledError
from monitor.client.import_api import PAGE_LIMIT
from monitor.client.response import BODY_LIMIT
from monitor.client.session import ATTEMPTS, POLL_BYTES, RETRY_AFTER_LIMIT
from monitor.jobs import JobList
from monitor.simulator import Lifecycle, SimulatedCluster, State, Trouble, World
from tests.clusters import cluster, connected
from tests.fakes import hostile
from tests.fakes.simulator import SimulatorServer, wait_for_requests
from tests.recorder import Answer, Recorder

KEY = "key-0123456789abcdef"
SLACK = 1.0
"""Seconds: what a busy machine adds to a timeout."""


class Simulated(NamedTuple):
    """A cluster and where it is served."""

    url: str
    cluster: SimulatedCluster
    world: World


@pytest.fixture
def simulated() -> Iterator[Simulated]:
    """A cluster with three jobs; its world's server runs as long."""
    world = World()
    with SimulatorServer(world) as server:
        found = world.add_cluster("in01-a", api_key=KEY)
        for _ in range(3):
            found.add_job(Lifecycle.frozen(State.IMPORTING, 50), collection="events" * 20)
        yield Simulated(server.url, found, world)


def ask(simulated: Simulated, **changes: Any) -> JobList:
    with connected(simulated.url, cluster_id=simulated.cluster.id, api_key=KEY, **changes) as api:
        return api.list_jobs(JobList())


def trouble_id(value: object) -> str:
    return value.kind if isinstance(value, Trouble) else ""


def refused(simulated: Simulated, trouble: Trouble, **changes: Any) -> ApiError:
    """The error of a list in trouble, after a look at its message."""
    simulated.cluster.trouble(trouble)
    with pytest.raises(ApiError) as caught:
        ask(simulated, **changes)
    message = str(caught.value)
    assert message.isprintable()
    assert KEY not in message
    assert len(message) < 400
    return caught.value


@pytest.mark.parametrize(
    ("trouble", "kind", "message"),
    [
        (Trouble.http(401), ErrorKind.UNAUTHORIZED, "The token is illegal (HTTP 401, code 80001)"),
        (Trouble.http(403), ErrorKind.UNAUTHORIZED, "permission deny: PrivilegeImport is not granted (HTTP 403"),
        (Trouble.http(404), ErrorKind.NOT_FOUND, "`api: milvus-2.3`"),
        (Trouble.http(400), ErrorKind.BAD_REQUEST, "(HTTP 400)"),
        (Trouble.code(65535, "out of luck"), ErrorKind.OTHER, "out of luck (code 65535)"),
        (Trouble.code(96025, "no such cluster"), ErrorKind.NOT_FOUND, "no such cluster (code 96025)"),
        (hostile.html(), ErrorKind.BAD_RESPONSE, "is not JSON"),
        (hostile.truncated(), ErrorKind.BAD_RESPONSE, "is not JSON"),
        (hostile.wrong_types("top"), ErrorKind.BAD_RESPONSE, "JSON but no object"),
        (hostile.wrong_types("data"), ErrorKind.BAD_RESPONSE, "no list of jobs in its data"),
        (hostile.wrong_types("code"), ErrorKind.BAD_RESPONSE, "has no code"),
        (hostile.huge(), ErrorKind.BAD_RESPONSE, "larger than 16 MiB"),
        (hostile.huge(announced=False), ErrorKind.BAD_RESPONSE, "larger than 16 MiB"),
        (hostile.gzip_bomb(), ErrorKind.BAD_RESPONSE, "larger than 16 MiB"),
        (hostile.million_jobs(), ErrorKind.BAD_RESPONSE, "larger than 16 MiB"),
        (Trouble.body(b"", status=204), ErrorKind.BAD_RESPONSE, "it is empty"),
        (Trouble.body(b"[" * 200_000), ErrorKind.BAD_RESPONSE, "is not JSON"),
    ],
    ids=trouble_id,
)
def test_a_lasting_trouble_is_told_after_one_request(
    simulated: Simulated, trouble: Trouble, kind: ErrorKind, message: str
) -> None:
    error = refused(simulated, trouble, timeout=60.0)  # the simulator may take its time over a million jobs
    assert error.kind is kind
    assert message in str(error)
    assert simulated.cluster.requests["list"] == 1


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (Trouble.http(408), ErrorKind.TRANSIENT),
        (Trouble.http(500), ErrorKind.TRANSIENT),
        (Trouble.http(502), ErrorKind.TRANSIENT),
        (Trouble.http(429), ErrorKind.THROTTLED),
        (Trouble.code(1), ErrorKind.TRANSIENT),
        (Trouble.code(8, "slow down"), ErrorKind.THROTTLED),
        (hostile.reset(), ErrorKind.CONNECTION),
        (hostile.cut(), ErrorKind.CONNECTION),
    ],
    ids=trouble_id,
)
def test_a_passing_trouble_is_tried_again_and_told_when_it_lasts(
    simulated: Simulated, trouble: Trouble, kind: ErrorKind
) -> None:
    simulated.cluster.trouble(trouble, times=ATTEMPTS - 1)
    assert len(ask(simulated).records) == 3
    assert refused(simulated, trouble).kind is kind
    assert simulated.cluster.requests["list"] == 2 * ATTEMPTS


@pytest.mark.parametrize("trouble", [hostile.content_type("text/plain"), hostile.not_utf8()], ids=trouble_id)
def test_a_blemish_costs_nothing(simulated: Simulated, trouble: Trouble) -> None:
    simulated.cluster.trouble(trouble)
    assert len(ask(simulated).records) == 3


@pytest.mark.parametrize(
    ("trouble", "rejected"), [(hostile.wrong_types(), 7), (hostile.long_id(), 1), (hostile.control_characters(), 0)]
)
def test_bad_records_cost_only_themselves(simulated: Simulated, trouble: Trouble, rejected: int) -> None:
    simulated.cluster.trouble(trouble)
    listing = ask(simulated)
    assert len(listing.bad_records) == rejected
    assert len([job for job in listing.records.values() if job.collection == "events" * 20]) == 3


def test_negative_progress_is_no_progress(simulated: Simulated) -> None:
    job = simulated.cluster.add_job(Lifecycle.frozen(State.IMPORTING, -30))
    with connected(simulated.url, cluster_id=simulated.cluster.id, api_key=KEY) as api:
        assert api.describe(job.id).progress is None


# --- time


@pytest.mark.parametrize(
    "trouble",
    [Trouble.hang(), hostile.drip(0.02), hostile.drip(0.02, headers=True)],
    ids=["hang", "body drips", "headers drip"],
)
def test_an_answer_that_does_not_come_whole_ends_with_the_timeout(simulated: Simulated, trouble: Trouble) -> None:
    started = time.monotonic()
    error = refused(simulated, trouble, timeout=0.6)
    took = time.monotonic() - started
    assert error.kind is ErrorKind.TIMEOUT
    assert "no complete response within 0.6 s" in str(error)
    assert 0.5 <= took < 0.6 + SLACK
    assert simulated.cluster.requests["list"] == 1


def test_an_answer_that_comes_slowly_but_in_time_is_taken(simulated: Simulated) -> None:
    simulated.cluster.trouble(hostile.drip(0.0001))
    assert len(ask(simulated, timeout=20.0).records) == 3


def test_a_flood_of_interim_answers_ends_with_their_limit() -> None:
    def flood(connection: Any, _: Any) -> None:
        while True:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)

    with (
        Recorder(flood) as server,
        connected(server.url, timeout=60.0) as api,
        pytest.raises(BadResponseError, match=r"the response is not HTTP: 100 instead of a response"),
    ):
        api.list_jobs(JobList())


def test_a_host_that_takes_no_connection_ends_with_the_time_for_connecting() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as waiting:
        for _ in range(4):
            filling = waiting.enter_context(socket.socket())
            filling.settimeout(0)
            filling.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        told = r"no connection within 0\.3 s"
        with connected(url, timeout=0.3) as api, pytest.raises(ApiError, match=told) as caught:
            api.list_jobs(JobList())
    assert caught.value.kind is ErrorKind.TIMEOUT
    assert api.session.usage.requests == {"list": 1}


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "gzip, gzip, gzip, gzip, gzip, gzip, gzip"])
def test_what_cannot_be_decompressed_is_a_bad_response(encoding: str) -> None:
    with (
        Recorder(Answer(b"no gzip" * 100, headers={"Content-Encoding": encoding})) as server,
        connected(server.url) as api,
        pytest.raises(BadResponseError, match="cannot be decompressed"),
    ):
        api.list_jobs(JobList())
    assert len(server.requests) == 1


def test_a_compressed_answer_is_read() -> None:
    body = gzip.compress(b'{"code": 0, "data": [{"jobId": "7"}]}')
    with Recorder(Answer(body, headers={"Content-Encoding": "gzip"})) as server, connected(server.url) as api:
        for _ in range(3):
            assert list(api.list_jobs(JobList()).records) == ["7"]
    assert server.connections == 1


def test_a_port_where_nobody_listens_is_a_connection_that_fails() -> None:
    with Recorder() as server:
        url = server.url
    with connected(url, api_key=KEY) as api, pytest.raises(ApiError) as caught:
        api.list_jobs(JobList())
    assert caught.value.kind is ErrorKind.CONNECTION
    assert str(caught.value) == f"{url.removeprefix('http://')}: connection refused"


def test_a_whole_poll_is_bounded_however_often_its_pages_answer(simulated: Simulated) -> None:
    now = 0.0
    simulated.cluster.trouble(hostile.endless_pages())
    with closing(Network(clock=lambda: now)) as network:
        api = connect(cluster(simulated.url, cluster_id=simulated.cluster.id, api_key=KEY, timeout=5.0), network)
        api.session.begin_poll()
        now = 59.9
        assert api.session.call("list", "GET", "/v2/clusters", lambda body: len(body.content))
        now = 60.0
        with pytest.raises(ApiError, match="the poll took longer than 12 timeouts") as caught:
            api.list_jobs(JobList())
    assert caught.value.kind is ErrorKind.TIMEOUT


# --- size


@pytest.mark.parametrize(
    "trouble",
    [hostile.huge(), hostile.huge(announced=False), hostile.gzip_bomb()],
    ids=["huge", "huge, unannounced", "gzip bomb"],
)
def test_a_body_costs_no_more_memory_than_its_limit(simulated: Simulated, trouble: Trouble) -> None:
    simulated.cluster.trouble(trouble)
    gc.collect()
    tracemalloc.start()
    try:
        with pytest.raises(BadResponseError):
            ask(simulated, timeout=60.0)  # seconds: the server compresses a gigabyte while allocations are traced
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The body twice while its parts are joined; the simulator's own streams are counted too.
    assert peak < 3 * BODY_LIMIT


def test_pages_without_end_are_given_up(simulated: Simulated) -> None:
    simulated.cluster.trouble(hostile.endless_pages())
    error = refused(simulated, hostile.endless_pages(), page_size=1)
    assert error.kind is ErrorKind.BAD_RESPONSE
    assert f"more than {PAGE_LIMIT} pages" in str(error)
    assert simulated.cluster.requests["list"] == PAGE_LIMIT


def test_the_answers_of_a_poll_are_bounded_together() -> None:
    def page(number: int) -> Answer:
        record = {"jobId": str(number), "reason": "r" * 2**20}
        return Answer({"code": 0, "data": {"pageSize": 1, "records": [record]}})

    whole_pages = POLL_BYTES // len(page(0).on_the_wire())
    with Recorder(*map(page, range(2 * whole_pages))) as server, connected(server.url, page_size=1) as api:
        api.session.begin_poll()
        with pytest.raises(BadResponseError, match="the responses of one poll are too large together"):
            api.list_jobs(JobList())
        assert len(server.requests) == whole_pages + 1
        api.session.begin_poll()
        server.answers({"code": 0, "data": []})
        assert api.list_jobs(JobList()).records == {}


# --- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_told_and_never_followed(simulated: Simulated, status: int) -> None:
    with Recorder({"code": 0, "data": []}) as elsewhere:
        error = refused(simulated, hostile.redirect(f"{elsewhere.url}/v2/vectordb/jobs/import/list", status))
    assert error.kind is ErrorKind.BAD_RESPONSE
    assert f"redirects to '{elsewhere.url}/v2" in str(error)
    assert (elsewhere.requests, elsewhere.connections) == ([], 0)


# --- Retry-After


def test_a_short_retry_after_is_waited_out(simulated: Simulated) -> None:
    simulated.cluster.trouble(Trouble.http(429, retry_after=1), times=1)
    with connected(simulated.url, cluster_id=simulated.cluster.id, api_key=KEY) as api:
        started = time.monotonic()
        assert len(api.list_jobs(JobList()).records) == 3
    assert time.monotonic() - started >= 1.0
    assert api.session.usage.throttled["list"] >= 1.0


@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_is_kept_with_the_error(simulated: Simulated, status: int) -> None:
    assert refused(simulated, Trouble.http(status, retry_after=0)).retry_after == 0


@pytest.mark.parametrize(
    "retry_after", [60, format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)], ids=["60", "a date"]
)
def test_a_long_retry_after_is_handed_on_without_a_wait(simulated: Simulated, retry_after: Any) -> None:
    started = time.monotonic()
    error = refused(simulated, Trouble.http(429, retry_after=retry_after))
    assert isinstance(error, ThrottledError)
    assert error.retry_after is not None
    assert error.retry_after > RETRY_AFTER_LIMIT
    assert time.monotonic() - started < SLACK
    assert simulated.cluster.requests["list"] == 1


# --- one cluster's trouble is not another's


def test_a_cluster_that_hangs_does_not_keep_another_from_answering(simulated: Simulated) -> None:
    healthy = simulated.world.add_cluster("in01-b", api_key=KEY)
    healthy.add_job()
    simulated.cluster.trouble(Trouble.hang())
    with closing(Network()) as network:

        def api(of: SimulatedCluster) -> ImportApi:
            return connect(cluster(simulated.url, cluster_id=of.id, api_key=KEY, timeout=3.0), network)

        errors: list[ApiError] = []

        def hang() -> None:
            try:
                api(simulated.cluster).list_jobs(JobList())
            except ApiError as error:
                errors.append(error)

        hanging = threading.Thread(target=hang)
        hanging.start()
        assert wait_for_requests(simulated.cluster, "list", 1)
        assert len(api(healthy).list_jobs(JobList()).records) == 1
        assert hanging.is_alive()
        simulated.cluster.recover()
        hanging.join()
    assert [error.kind for error in errors] == [ErrorKind.TIMEOUT]
