"""Thousands of odd answers and odd files: our own kinds of error come out, or nothing does, and never a secret.

``MONITOR_FUZZ`` says how many inputs there are and ``MONITOR_FUZZ_SEED`` which ones; the seed is printed.
"""

import json
import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from threading import Event
from types import SimpleNamespace
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from urllib3 import HTTPHeaderDict

from monitor.client import ApiError, ImportApi, Network, connect
from monitor.config import Config, ConfigError, load
from monitor.jobs import JobList
from tests.clusters import cluster
from tests.fuzz.mutations import changed_bytes, changed_json
from tests.unit.test_client_hostile import answer, check, check_error

ROOT: Final = Path(__file__).parents[2]
INPUTS: Final = int(os.environ.get("MONITOR_FUZZ", "3000"))
SEED: Final = int(os.environ.get("MONITOR_FUZZ_SEED", "20240401"))
KEY: Final = "s3cr3t-Mark-0123456789"
LONGEST: Final = 5.0
"""Seconds of CPU for one input; the slowest takes a fraction of one."""

BATCH: Final = 2000
"""Inputs of one run of Hypothesis: what it remembers of them grows with their number."""

SAMPLES: Final = {
    "milvus-2.3": sorted(ROOT.glob("tests/samples/milvus-2.3*.json")),
    "v1": sorted(ROOT.glob("tests/samples/zilliz-*.json")),
    "v2": sorted(ROOT.glob("tests/samples/*.json")),
}
HEADERS: Final = ("Retry-After", "Location", "Content-Encoding", "Content-Type")
HEADER_VALUES: Final = ("gzip", "deflate", "0", "60", "9" * 5000, "Mon, 1 Jan 2020 00:00:00 +9999", "\x1b[2K", KEY, "")


class Fuzz:
    """Counts the inputs, and what came out that is none of ours."""

    def __init__(self) -> None:
        self.inputs = 0
        self.foreign = 0
        self.slowest = 0.0

    def run(self, count: int, strategy: st.SearchStrategy[Any], attempt: Callable[[Any], None]) -> None:
        """Attempt so many inputs; an exception that `attempt` lets through is shown with the smallest input for it."""

        def counted(given_input: Any) -> None:
            self.inputs += 1
            begin = time.thread_time()
            try:
                attempt(given_input)
            except Exception:
                self.foreign += 1
                raise
            took = time.thread_time() - begin
            self.slowest = max(self.slowest, took)
            assert took < LONGEST, f"an input took {took:.1f} s of CPU"

        for number, begin in enumerate(range(0, count, BATCH)):
            some = settings(
                max_examples=min(BATCH, count - begin),
                deadline=None,
                database=None,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            )
            seed(SEED + number)(some(given(strategy)(counted)))()


class Answers:
    """Connections that are given the answers instead of a network."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.bodies: list[bytes] = []

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> "Answers":
        return self

    ConnectionCls: Any = None

    def cert_verify(self, *_: Any) -> None:
        """There is no certificate."""

    def request_url(self, *_: Any) -> str:
        return "/"

    def urlopen(self, *_: Any, **__: Any) -> SimpleNamespace:
        body = self.bodies.pop(0) if len(self.bodies) > 1 else self.bodies[0]
        return SimpleNamespace(status=self.status, headers=HTTPHeaderDict(self.headers), data=body)

    def close(self) -> None:
        """Nothing is open."""


class Impatient(Event):
    """The sign to stop, without the waits between attempts: there is nobody to wait for."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(timeout and 0.0)


def mutated(random: Random, samples: list[Path]) -> bytes:
    """Return a real answer, changed, perhaps with the key in it: servers repeat what they were sent."""
    content = random.choice(samples).read_bytes()
    if random.random() < 0.2:
        content = content.replace(random.choice((b"message", b"events", b"books", b"Failed", b"file")), KEY.encode())
    if random.random() < 0.5:
        content = changed_json(json.loads(content), random)
    return changed_bytes(content, random) if random.random() < 0.6 else content


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[str, int, dict[str, str], list[bytes]]:
    """A generation, and the status, the headers and the bodies that it is answered with."""
    random = draw(st.randoms(use_true_random=True))
    api = random.choice(sorted(SAMPLES))
    bodies = [mutated(random, SAMPLES[api]) for _ in range(random.randint(1, 4))]
    if random.random() < 0.08:
        bodies = [json.dumps(draw(answer)).encode(), *bodies[1:]]
    elif random.random() < 0.1:
        bodies = [draw(st.binary()), *bodies[1:]]
    status = random.choice((200, 200, 200, 200, 201, 204, 302, 400, 401, 403, 404, 408, 418, 429, 500, 503, 599))
    headers = {name: random.choice(HEADER_VALUES) for name in HEADERS if random.random() < 0.1}
    return api, status, headers, bodies


def shown(error: BaseException | None) -> str:
    """Return what a traceback would show of an error and of those that it came from."""
    told = ""
    while error is not None:
        told += f"{error}\n{error!r}\n"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return told


def outcome(ask: Callable[[], Any]) -> Any:
    """Return what was asked for, or the error of ours that came instead, without the key in it."""
    try:
        return ask()
    except ApiError as error:
        found = error
    check_error(found)
    assert KEY not in shown(found)
    return found


def exchange(
    apis: dict[str, ImportApi], wire: Answers, given_input: tuple[str, int, dict[str, str], list[bytes]]
) -> None:
    """Poll a server that answers so: the list, and a describe."""
    api, wire.status, wire.headers, bodies = given_input
    asked = apis[api]
    for job_id in (None, "7", "448761313698322011"):
        wire.bodies = list(bodies)
        asked.session.begin_poll()
        found = outcome(
            (lambda: asked.list_jobs(JobList())) if job_id is None else lambda job_id=job_id: asked.describe(job_id)
        )  # type: ignore[misc]
        if isinstance(found, ApiError):
            continue
        jobs = found.records.values() if isinstance(found, JobList) else [found]
        for job in jobs:
            check(job)
            assert KEY not in repr(job)
        assert not isinstance(found, JobList) or KEY not in "".join(found.bad_records)


EXAMPLES: Final = [path.read_bytes() for path in sorted(ROOT.glob("config/*.yml")) if path.name != "web.yml"]
WEB: Final = (ROOT / "config/web.yml").read_bytes()


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A config file, and the web config file that it may name."""
    random = draw(st.randoms(use_true_random=True))
    main = random.choice(EXAMPLES).replace(b"api_key_file:", b"api_key:").replace(b"${ZILLIZ_API_KEY}", KEY.encode())
    web = WEB
    if random.random() < 0.4:
        main, web = b"web_config: web.yml\n" + main, changed_bytes(web, random)
    else:
        main = changed_bytes(main, random)
    if random.random() < 0.05:
        main = draw(st.binary())
    return main, web


def loaded(folder: Path, given_input: tuple[bytes, bytes]) -> None:
    """Load a config file: a config that keeps its secrets, or problems that tell none."""
    main, web = given_input
    (folder / "config.yml").write_bytes(main)
    (folder / "web.yml").write_bytes(web)
    found: Config | ConfigError
    try:
        found = load(folder / "config.yml", {"PLACE": "place", "ZILLIZ_API_KEY": KEY})
    except ConfigError as error:
        found = error
    if isinstance(found, ConfigError):
        assert found.problems
        assert all(line.isprintable() for line in found.problems)
    # A key that was moved into the name of a file, say, is none any more, and is told as one that does not exist.
    if all(b"api_key" in line for line in main.splitlines() if KEY.encode() in line):
        assert KEY not in repr(found) + (shown(found) if isinstance(found, ConfigError) else "")


@pytest.mark.timeout(120 + INPUTS // 25)
def test_only_errors_of_ours_come_out(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    print(f"MONITOR_FUZZ={INPUTS} MONITOR_FUZZ_SEED={SEED}")
    fuzz, wire = Fuzz(), Answers()
    with closing(Network()) as network:
        network.adapter = wire  # type: ignore[assignment]
        network.stopping = Impatient()
        apis = {
            api: connect(cluster("http://host:1", api=api, api_key=KEY, requests_per_second=1e9), network)
            for api in SAMPLES
        }
        try:
            fuzz.run(INPUTS * 7 // 10, exchanges(), lambda one: exchange(apis, wire, one))
            fuzz.run(INPUTS - INPUTS * 7 // 10, files(), lambda one: loaded(tmp_path, one))
        finally:
            record_property("fuzz_inputs", fuzz.inputs)
            record_property("fuzz_foreign_errors", fuzz.foreign)
            print(f"{fuzz.inputs} inputs, {fuzz.foreign} foreign errors, {fuzz.slowest:.2f} s of CPU at most")
    assert fuzz.inputs >= INPUTS
