"""The stream of changes, read from a real socket."""

import json
import threading
import time
from contextlib import contextmanager

import pytest
import requests

from monitor.config import WebConfig
from monitor.jobs import JobState
from tests.served_app import ServedApp, WatchedClusters, record

IMPORTING, COMPLETED, FAILED = JobState.IMPORTING, JobState.COMPLETED, JobState.FAILED


class Stream:
    """A stream that is read event by event; comments are events without a name."""

    def __init__(self, answer):
        self.answer = answer
        self._lines = answer.iter_lines(chunk_size=1)

    def __iter__(self):
        name, data = "", None
        for raw in self._lines:
            line = raw.decode()
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                data = json.loads(line.removeprefix("data: "))
            elif line.startswith(":"):
                data = line
            elif data is not None:
                yield name, data
                name, data = "", None

    def take(self, count):
        events = []
        for one in self:
            events.append(one)
            if len(events) == count:
                break
        return events

    def until(self, name):
        events = []
        for one in self:
            events.append(one)
            if one[0] == name:
                return events
        raise AssertionError(f"the stream ended without {name}: {events}")


@pytest.fixture
def watched():
    watched = WatchedClusters("eu", "us")
    watched.poll("eu", record("1", "books", IMPORTING, progress=0.1), record("2", "books", IMPORTING))
    watched.poll("us")
    return watched


@pytest.fixture
def served(watched):
    with ServedApp(watched) as running:
        yield running


@contextmanager
def stream(served, **query):
    """A stream whose first event has come, so that the monitor knows of it."""
    with requests.get(served.url + "/api/v1/stream", params=query, stream=True, timeout=30) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert "Content-Encoding" not in answer.headers
        opened = Stream(answer)
        assert opened.take(1)[0][0] == "hello"
        yield opened


def names(events):
    return [(name, data.get("job_id") or data.get("name")) for name, data in events]


def test_who_asks_only_for_the_head_of_the_stream_gets_that_and_is_done(watched):
    with ServedApp(watched, streams=1) as served, requests.Session() as session:
        for _ in range(3):
            answer = session.head(served.url + "/api/v1/stream", timeout=30)
            assert (answer.status_code, answer.content) == (200, b"")
            assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert session.head(served.url + "/api/v1/stream?cluster=nope", timeout=30).status_code == 404
        assert session.get(served.url + "/-/healthy", timeout=30).text == "healthy\n"


def test_it_tells_what_a_poll_changed(served, watched):
    with stream(served) as opened:
        watched.poll("eu", record("1", "books", FAILED, reason="no such file"), record("2", "books", IMPORTING))
        events = opened.take(3)

    assert names(events) == [("cluster", "eu"), ("job", "1"), ("transition", "1")]
    assert events[0][1]["jobs"]["failed"] == 1
    assert events[1][1] == served.json("/api/v1/jobs")["jobs"][0]
    assert events[2][1] == served.json("/api/v1/transitions")["transitions"][0]


def test_a_poll_that_changes_nothing_tells_nothing(served, watched):
    with stream(served) as opened:
        watched.poll("eu", record("1", "books", IMPORTING, progress=0.1), record("2", "books", IMPORTING))
        watched.poll("us", record("9", "films", IMPORTING))
        events = opened.take(3)

    assert names(events) == [("cluster", "us"), ("job", "9"), ("transition", "9")]


def test_a_cluster_that_stops_and_starts_answering_is_told(served, watched):
    with stream(served) as opened:
        watched.fail("us", "connection refused")
        watched.fail("us", "connection refused")
        watched.poll("us")
        events = opened.take(2)

    assert [(data["status"], data["why"]) for _, data in events] == [("down", "connection refused"), ("up", "")]


def test_only_what_is_asked_for_is_told(served, watched):
    with stream(served, cluster="us", event=["job", "gone"]) as opened:
        watched.poll("eu", record("1", "books", COMPLETED))
        watched.poll("us", record("9", "films", COMPLETED))
        watched.poll("us")
        events = opened.take(2)

    assert names(events) == [("job", "9"), ("gone", "9")]
    assert events[1][1] == {"cluster": "us", "job_id": "9"}


def test_a_failed_job_is_gone_once_it_is_neither_listed_nor_recent(served, watched):
    watched.poll("us", record("8", "films"), record("9", "films"))
    with stream(served, cluster="us", event=["job", "gone"]) as opened:
        watched.poll("us", record("8", "films", FAILED), record("9", "films", FAILED))
        watched.poll("us", record("8", "films", FAILED))
        watched.poll("us", record("8", "films", FAILED), after=2 * 86400)
        watched.poll("us")
        events = opened.take(5)

    assert names(events) == [("job", "8"), ("job", "9"), ("job", "9"), ("gone", "9"), ("gone", "8")]
    assert events[2][1]["listed"] is False


def test_a_pulse_comes_once_a_second_at_most_whatever_happens(watched):
    with ServedApp(watched, pulse_interval=0.2) as served, stream(served, event="pulse") as opened:
        started = time.monotonic()
        for number in range(100):
            watched.poll("eu", record(str(number), "books", IMPORTING))
        last = watched.fleet.version
        versions = []
        for name, data in opened:
            assert name == "pulse"
            versions.append(data["version"])
            if data["version"] == last:
                break
        took = time.monotonic() - started

    assert versions == sorted(set(versions))
    assert len(versions) <= 2 + took / 0.2


def test_after_a_changed_config_and_a_flood_everything_has_to_be_fetched_again(watched):
    with ServedApp(watched, jobs_per_poll=3) as served, stream(served) as opened:
        watched.rename("us", "uk")
        watched.poll("eu", *(record(str(number), "books", IMPORTING) for number in range(10, 14)))
        events = opened.take(2)

    assert [name for name, _ in events] == ["refetch", "refetch"]
    assert events[1][1] == {"version": watched.fleet.version}


def test_a_slow_client_has_to_fetch_everything_again(watched):
    gate = threading.Event()
    with ServedApp(watched, stream_queue=5) as served, stream(served, event="job") as opened:
        served.loop.call_soon_threadsafe(gate.wait, 20)  # the loop stands still, and with it every stream
        for number in range(20):
            watched.poll("eu", record(str(number), "books", IMPORTING))
        gate.set()
        events = opened.until("refetch")
        watched.poll("eu", record("99", "books", IMPORTING))
        while events[-1][1].get("job_id") != "99":
            events += opened.take(1)

    assert events[0][0] == "refetch"
    assert len(events) <= 1 + 2 * 20


def test_silence_is_filled_with_comments(watched):
    with ServedApp(watched, heartbeat=0.05) as served, stream(served) as opened:
        assert opened.take(2) == [("", ": keep-alive")] * 2


@pytest.mark.parametrize("limits", [{"streams": 1}, {"streams_per_address": 1}])
def test_one_stream_too_many_is_refused_and_a_closed_one_makes_room(watched, limits):
    with ServedApp(watched, heartbeat=0.05, **limits) as served:
        with stream(served):
            refused = served.get("/api/v1/stream")
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with requests.get(served.url + "/api/v1/stream", stream=True, timeout=30) as answer:
                if answer.status_code == 200:
                    break

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert refused.json()["error"] == "too many streams are open"
    assert answer.status_code == 200


def test_streams_end_at_once_when_the_monitor_stops(watched):
    with ServedApp(watched) as served, stream(served) as opened:
        served.server.stop()
        assert opened.until("end")[-1] == ("end", {})
        assert list(opened.answer.iter_content()) == []
        served.thread.join(20)
        assert not served.thread.is_alive()


def test_streams_end_when_other_people_may_listen_from_now_on(served, watched):
    with stream(served) as opened:
        served.apply_web_config(WebConfig(fingerprint="other"))

        assert opened.until("end")[-1] == ("end", {})
    with stream(served) as again:
        watched.poll("us", record("9", "films", IMPORTING))
        assert names(again.take(1)) == [("cluster", "us")]


def test_polls_go_on_after_the_last_reader_and_after_the_server(watched):
    with ServedApp(watched) as served, stream(served):
        pass
    watched.poll("us", record("9", "films", IMPORTING))

    assert watched.fleet.cluster("us").tracked.get("9") is not None
