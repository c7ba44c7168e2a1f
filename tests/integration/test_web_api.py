"""The API, asked over HTTP."""

import json
import subprocess

import msgspec
import pytest
import requests

from monitor.jobs import JobState, eta_seconds
from monitor.jobs.advice import BY_FAILURE
from monitor.store import StoreUnavailableError
from monitor.web.api import ENDPOINTS, Clusters, Expectations, Jobs, Transitions, openapi_document
from tests.served_app import ServedApp, WatchedClusters, record
from tests.venvs import environment

PENDING, IMPORTING, COMPLETED, FAILED = JobState.PENDING, JobState.IMPORTING, JobState.COMPLETED, JobState.FAILED
VANISHED, UNCOMMITTED = JobState.VANISHED, JobState.UNCOMMITTED
NO_FILE = "open file failed, path=a.parquet: file does not exist"


@pytest.fixture(scope="module")
def watched():
    watched = WatchedClusters("eu", "us", "asia", "idle")
    watched.poll("eu", record("1", "books", IMPORTING, progress=0.1, total_rows=1000), record("2", "films", IMPORTING))
    for progress in (0.2, 0.3, 0.4):
        watched.poll(
            "eu", record("1", "books", IMPORTING, progress=progress, total_rows=1000), record("2", "films", IMPORTING)
        )
    watched.poll(
        "eu",
        record("1", "books", IMPORTING, progress=0.5, total_rows=1000),
        record("2", "films", FAILED, reason=NO_FILE),
        record("3", "books", PENDING, progress=0.0),
    )
    watched.poll(
        "us", record("1", "books", COMPLETED, database="archive"), record("9", "songs", IMPORTING, progress=0.9)
    )
    watched.poll("us", record("1", "books", COMPLETED, database="archive"), absent={"9"})
    watched.fail("asia", "connection refused")
    return watched


@pytest.fixture(scope="module")
def served(watched):
    with ServedApp(watched) as running:
        yield running


def ids(answer):
    return [(job["cluster"], job["job_id"]) for job in answer["jobs"]]


def test_clusters_are_told_by_name_with_what_is_known_of_them(served):
    answer = served.json("/api/v1/clusters")

    assert [(one["name"], one["status"], one["why"]) for one in answer["clusters"]] == [
        ("asia", "down", "connection refused"),
        ("eu", "up", ""),
        ("idle", "not_polled", ""),
        ("us", "up", ""),
    ]
    assert answer["next_cursor"] is None
    eu = answer["clusters"][1]
    assert eu["jobs"] == dict.fromkeys(map(str, JobState), 0) | {"pending": 1, "importing": 1, "failed": 1}
    assert (eu["last_success"], eu["interval_seconds"]) == ("2025-06-15T15:09:10Z", 30.0)
    assert "key" not in json.dumps(answer)


def test_a_job_is_told_in_every_detail(served, watched):
    answer = served.json("/api/v1/job", cluster="eu", id="1")

    assert answer == served.json("/api/v1/jobs", cluster="eu")["jobs"][0] | {"commands": []}
    assert (answer["progress"], answer["total_rows"], answer["state"]) == (0.5, 1000, "importing")
    assert answer["progress_per_minute"] == pytest.approx(0.2)
    assert answer["rows_per_second"] == pytest.approx(1000 * 0.1 / 30, abs=1e-5)
    assert answer["eta_seconds"] == pytest.approx(
        eta_seconds(watched.fleet.cluster("eu").tracked.get("1"), watched.now)
    )
    assert answer["first_seen"] == "2025-06-15T15:07:10Z"
    assert (answer["stalled"], answer["listed"], answer["finished_at"]) == (False, True, None)
    failed = served.json("/api/v1/job", cluster="eu", id="2")
    assert (failed["failure"], failed["reason"]) == ("file_not_found", NO_FILE)
    assert failed["advice"] == BY_FAILURE["file_not_found"]
    assert [command["title"] for command in failed["commands"]] == ["Import again"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, [("eu", "1"), ("eu", "2"), ("eu", "3"), ("us", "1"), ("us", "9")]),
        ({"cluster": "eu"}, [("eu", "1"), ("eu", "2"), ("eu", "3")]),
        ({"cluster": "idle"}, []),
        ({"state": "failed"}, [("eu", "2")]),
        ({"state": ["failed", "vanished"]}, [("eu", "2"), ("us", "9")]),
        ({"collection": "books"}, [("eu", "1"), ("eu", "3"), ("us", "1")]),
        ({"collection": "books", "database": "archive"}, [("us", "1")]),
        ({"database": ""}, [("eu", "1"), ("eu", "2"), ("eu", "3"), ("us", "9")]),
        ({"stalled": "true"}, []),
        ({"stalled": "false", "cluster": "us"}, [("us", "1"), ("us", "9")]),
        ({"q": "PARQUET"}, [("eu", "2")]),
        ({"q": "song"}, [("us", "9")]),
        ({"q": "\0"}, []),
    ],
)
def test_jobs_are_found_by(served, query, found):
    assert ids(served.json("/api/v1/jobs", **query)) == found


@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize(("path", "name", "count"), [("clusters", "clusters", 4), ("jobs", "jobs", 5)])
def test_pages_follow_each_other(served, path, name, count, limit):
    seen, cursor = [], None
    for _ in range(count + 1):
        page = served.json(f"/api/v1/{path}", limit=limit, **({"cursor": cursor} if cursor else {}))
        assert len(page[name]) <= limit
        seen += page[name]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert seen == served.json(f"/api/v1/{path}")[name]
    assert len(seen) == count


def test_transitions_are_told_newest_first_and_page_by_page(served):
    whole = served.json("/api/v1/transitions")

    assert [(one["cluster"], one["job_id"], one["from_state"], one["to_state"]) for one in whole["transitions"]] == [
        ("us", "9", "importing", "vanished"),
        ("eu", "3", "new", "pending"),
        ("eu", "2", "importing", "failed"),
    ]
    assert (whole["next_cursor"], whole["complete"]) == (None, True)
    assert whole["transitions"][2]["failure"] == "file_not_found"
    first = served.json("/api/v1/transitions", limit=2)
    rest = served.json("/api/v1/transitions", limit=2, cursor=first["next_cursor"])
    assert first["transitions"] + rest["transitions"] == whole["transitions"]


@pytest.mark.parametrize(
    ("query", "jobs"),
    [
        ({"cluster": "eu"}, ["3", "2"]),
        ({"cluster": "eu", "job": "2"}, ["2"]),
        ({"state": "failed"}, ["2"]),
        ({"collection": "songs"}, ["9"]),
        ({"since": "1h"}, ["9", "3", "2"]),
        ({"since": "45s"}, ["9"]),
        ({"since": "1m15s"}, ["9", "3", "2"]),
        ({"since": "2025-06-15T15:09:40Z"}, ["9"]),
        ({"until": "2025-06-15T17:09:40+02:00"}, ["3", "2"]),
        ({"until": "2025-06-15"}, []),
    ],
)
def test_transitions_are_found_by(served, query, jobs):
    assert [one["job_id"] for one in served.json("/api/v1/transitions", **query)["transitions"]] == jobs


@pytest.mark.parametrize(
    ("path", "status", "error", "hint"),
    [
        ("jobs?clustr=eu", 400, "unknown parameter 'clustr'", "did you mean cluster?"),
        ("jobs?state=faild", 400, "state is invalid: invalid enum value 'faild'", "did you mean failed?"),
        ("jobs?state=bad", 400, "state is invalid: invalid enum value 'bad'", "valid: pending, importing,"),
        ("jobs?foo=1", 400, "unknown parameter 'foo'", "valid: cluster, label,"),
        ("jobs?stalled=yes", 400, "stalled is invalid: invalid enum value 'yes'", "valid: true, false"),
        ("jobs?cluster=eu&cluster=us", 400, "cluster is given 2 times", "give it once"),
        ("jobs?limit=0", 400, "limit is invalid: expected `int` >= 1", "openapi.json"),
        ("jobs?limit=1001", 400, "limit is invalid: expected `int` <= 1000", "openapi.json"),
        ("jobs?limit=x", 400, "limit is invalid: expected `int`, got `str`", "openapi.json"),
        ("jobs?cursor=abc", 400, "the cursor is not from a page of this list", "start again"),
        ("jobs?cursor=WyJhIl0", 400, "the cursor is not from a page of this list", "start again"),
        ("jobs?cluster=idel", 404, "no cluster is named 'idel'", "did you mean idle?"),
        ("clusters?cluster=xyz", 404, "no cluster is named 'xyz'", "/api/v1/clusters lists them"),
        ("jobs?q=" + "x" * 513, 400, "q is invalid: expected `str` of length <= 512", "openapi.json"),
        ("job?cluster=eu", 400, "id is required", "required: cluster, id"),
        ("job?cluster=eu&id=77", 404, "no such job", "/api/v1/transitions"),
        ("job?cluster=xyz&id=77", 404, "no cluster is named 'xyz'", ""),
        ("transitions?since=yesterday", 400, "since is not a time", "24h"),
        ("transitions?cursor=nonsense", 400, "the cursor is not from a page of this list", "start again"),
        ("stream?event=nothing", 400, "event is invalid: invalid enum value 'nothing'", "valid: cluster, job, gone"),
        ("stream?cluster=xyz", 404, "no cluster is named 'xyz'", ""),
        ("cluster", 404, "there is no such page or endpoint", "the address may be mistyped"),
    ],
)
def test_what_is_wrong_is_said_with_a_hint(served, path, status, error, hint):
    answer = served.get(f"/api/v1/{path}")

    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json")
    assert answer.json()["error"] == error
    assert hint in answer.json()["hint"]


@pytest.mark.parametrize("path", ["jobs?foo=1", "jobs?state=bad", "jobs?stalled=yes", "stream?event=nothing"])
def test_nothing_is_suggested_that_is_not_near(served, path):
    assert "did you mean" not in served.get(f"/api/v1/{path}").json()["hint"]


def test_another_method_is_refused_as_json(served):
    answer = requests.post(served.url + "/api/v1/jobs", timeout=10)

    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}
    assert answer.json()["hint"] == f"use {answer.headers['Allow']}"


def test_one_request_too_many_is_refused_with_a_time_to_try_again(watched):
    with ServedApp(watched, waiting_requests=0) as served:
        answer = served.get("/api/v1/jobs")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_without_the_database_there_are_tracked_jobs_and_the_answer_says_so(monkeypatch):
    def fail(*_, **__):
        raise StoreUnavailableError

    watched = WatchedClusters("eu")
    watched.poll("eu", record("1"), record("2"), record("3", state=COMPLETED))
    watched.poll("eu", record("1"), record("2", state=FAILED), record("3", state=COMPLETED))
    with ServedApp(watched) as served:
        before = served.json("/api/v1/jobs")
        for name in ("jobs", "job", "finished"):
            monkeypatch.setattr(watched.store, name, fail)
        after = served.json("/api/v1/jobs")
        tracked = served.get("/api/v1/job?cluster=eu&id=2").status_code
        finished = served.get("/api/v1/job?cluster=eu&id=3")

    assert (ids(before), before["complete"]) == ([("eu", "1"), ("eu", "2"), ("eu", "3")], True)
    assert (ids(after), after["complete"]) == ([("eu", "1"), ("eu", "2")], False)
    assert (tracked, finished.status_code) == (200, 503)
    assert finished.json()["error"] == "the database is unavailable"


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_mix_tracked_and_stored_jobs_in_order(limit):
    watched = WatchedClusters("a", "b")
    for name in ("a", "b"):
        states = [COMPLETED, IMPORTING, FAILED, COMPLETED, PENDING, VANISHED, COMPLETED]
        first = [record(str(number), state=IMPORTING) for number in range(7)]
        watched.poll(name, *first)
        listed = [record(str(number), state=state) for number, state in enumerate(states) if state is not VANISHED]
        watched.poll(name, *listed, absent={"5"})
    seen, cursor = [], None
    with ServedApp(watched) as served:
        for _ in range(14):
            page = served.json("/api/v1/jobs", limit=limit, **({"cursor": cursor} if cursor else {}))
            seen += ids(page)
            cursor = page["next_cursor"]
            if cursor is None:
                break
        completed = ids(served.json("/api/v1/jobs", state="completed", limit=4))

    assert seen == [(name, str(number)) for name in ("a", "b") for number in range(7)]
    assert completed == [("a", "0"), ("a", "3"), ("a", "6"), ("b", "0")]


def test_counts_are_those_of_the_jobs_that_are_listed_below_them():
    watched = WatchedClusters("eu")
    watched.poll("eu", *(record(str(number)) for number in range(4)))
    watched.poll("eu", record("0", state=COMPLETED), record("1", state=FAILED), record("2"), absent={"3"})
    watched.poll("eu", record("0", state=COMPLETED), record("2"))
    with ServedApp(watched) as served:
        counts = served.json("/api/v1/clusters")["clusters"][0]["jobs"]
        jobs = served.json("/api/v1/jobs")["jobs"]

    assert {state: count for state, count in counts.items() if count} == {
        "completed": 1,
        "failed": 1,
        "importing": 1,
        "vanished": 1,
    }
    assert sorted(job["state"] for job in jobs) == ["completed", "failed", "importing", "vanished"]


def test_a_job_that_left_the_list_is_told_for_as_long_as_its_failure_matters():
    watched = WatchedClusters("eu", failed_retention=3600.0)
    watched.poll(
        "eu", record("1", "books", IMPORTING), record("2", "books", COMPLETED), record("3", "books", IMPORTING)
    )
    watched.poll("eu", record("1", "books", FAILED), record("2", "books", COMPLETED), record("3", "books", IMPORTING))
    watched.poll("eu")
    with ServedApp(watched) as served:
        soon = ids(served.json("/api/v1/jobs"))
        watched.now += 3600
        late = ids(served.json("/api/v1/jobs"))

    assert soon == [("eu", "1"), ("eu", "3")]
    assert late == [("eu", "3")]


def test_a_cluster_that_leaves_the_config_leaves_the_api():
    watched = WatchedClusters("eu", "us")
    watched.poll("eu", record("1", "books", IMPORTING))
    watched.poll("us", record("1", "books", IMPORTING))
    with ServedApp(watched) as served:
        before = ids(served.json("/api/v1/jobs"))
        watched.rename("us", "uk")
        after = ids(served.json("/api/v1/jobs"))
        clusters = [one["name"] for one in served.json("/api/v1/clusters")["clusters"]]

    assert (before, after, clusters) == ([("eu", "1"), ("us", "1")], [("eu", "1")], ["eu", "uk"])


# The OpenAPI document


def test_the_document_is_about_every_endpoint_and_nothing_else(served):
    document = served.json("/api/v1/openapi.json")

    assert document["openapi"] == "3.1.0"
    assert list(document["paths"]) == [endpoint.path for endpoint in ENDPOINTS]
    for path, methods in document["paths"].items():
        names = [parameter["name"] for parameter in methods["get"]["parameters"]]
        assert names == list(next(one for one in ENDPOINTS if one.path == path).query.__struct_fields__)
    assert document == json.loads(msgspec.json.encode(openapi_document()))


def test_answers_are_what_the_document_says(served):
    document = served.json("/api/v1/openapi.json")
    schemas = document["components"]["schemas"]

    def check(name, value):
        assert set(value) == set(schemas[name]["properties"]) == set(schemas[name]["required"]), name

    check("ClusterView", served.json("/api/v1/clusters")["clusters"][0])
    check("JobView", served.json("/api/v1/jobs")["jobs"][0])
    check("JobDetails", served.json("/api/v1/job", cluster="eu", id="2"))
    check("CommandView", served.json("/api/v1/job", cluster="eu", id="2")["commands"][0])
    check("TransitionView", served.json("/api/v1/transitions")["transitions"][0])
    for name, path in (
        ("Clusters", "clusters"),
        ("Jobs", "jobs"),
        ("Transitions", "transitions"),
        ("Expectations", "expectations"),
    ):
        check(name, served.json(f"/api/v1/{path}"))
    check("Problem", served.get("/api/v1/nothing").json())


@pytest.mark.timeout(600)
def test_schemathesis_finds_nothing(served, tmp_path):
    python = environment("schemathesis", "schemathesis==4.32.5")
    # The stream has no end, so that there is nothing to wait for.
    command = [
        *(python.with_name("schemathesis"), "run", served.url + "/api/v1/openapi.json"),
        *("--exclude-path", "/api/v1/stream", "--max-examples", "40", "--seed", "1", "--no-color"),
        # A text that no cluster has is a request that is fine, and is answered 404.
        *("--exclude-checks", "positive_data_acceptance"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, cwd=tmp_path, check=False)

    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


@pytest.mark.parametrize("kind", [Clusters, Jobs, Transitions, Expectations])
def test_every_answer_can_be_read_by_a_client_that_is_typed(served, kind):
    assert msgspec.json.decode(served.get(f"/api/v1/{kind.__name__.lower()}").content, type=kind)


def test_pages_and_the_api_show_how_long_imports_of_a_collection_usually_take():
    watched = WatchedClusters("eu")
    watched.poll("eu")
    for number in range(5):
        watched.poll("eu", record(f"{number}", "books", IMPORTING))
        watched.poll("eu", record(f"{number}", "books", COMPLETED), after=720.0)
    watched.poll("eu", record("9", "books", IMPORTING), record("8", "films", IMPORTING))
    with ServedApp(watched) as served:
        jobs = {job["job_id"]: job for job in served.json("/api/v1/jobs", state="importing")["jobs"]}
        paths = ("/?cluster=eu", "/job?cluster=eu&id=9", "/collection?cluster=eu&database=&collection=books")
        pages = [served.get(path).text for path in paths]
        other = served.get("/job?cluster=eu&id=8").text

    fields = [f"typical_duration_{name}" for name in ("seconds", "low_seconds", "high_seconds")]
    assert [jobs["9"][name] for name in fields] == [720, 720, 720]
    assert [jobs["8"][name] for name in fields] == [None, None, None]
    assert ["usually 12 min" in page for page in (*pages, other)] == [True, True, True, False]
