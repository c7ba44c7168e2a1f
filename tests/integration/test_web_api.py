"""The API, asked over HTTP."""

import json
import subprocess

import msgspec
import pytest
import requests

from monitor.jobs import Job, JobState, eta_seconds
from monitor.web import openapi
from monitor.web.api import ENDPOINTS, Clusters, Jobs, Transitions
from tests.venvs import environment
from tests.watched import Served, Watched

PENDING, IMPORTING, COMPLETED, FAILED = JobState.PENDING, JobState.IMPORTING, JobState.COMPLETED, JobState.FAILED
VANISHED, UNCOMMITTED = JobState.VANISHED, JobState.UNCOMMITTED
NO_FILE = "open file failed, path=a.parquet: file does not exist"


@pytest.fixture(scope="module")
def watched():
    watched = Watched("eu", "us", "asia", "idle")
    watched.poll("eu", Job("1", "books", IMPORTING, progress=0.1, total_rows=1000), Job("2", "films", IMPORTING))
    for progress in (0.2, 0.3, 0.4):
        watched.poll(
            "eu", Job("1", "books", IMPORTING, progress=progress, total_rows=1000), Job("2", "films", IMPORTING)
        )
    watched.poll(
        "eu",
        Job("1", "books", IMPORTING, progress=0.5, total_rows=1000),
        Job("2", "films", FAILED, reason=NO_FILE),
        Job("3", "books", PENDING, progress=0.0),
    )
    watched.poll("us", Job("1", "books", COMPLETED, database="archive"), Job("9", "songs", IMPORTING, progress=0.9))
    watched.poll("us", Job("1", "books", COMPLETED, database="archive"), gone={"9"})
    watched.fail("asia", "connection refused")
    return watched


@pytest.fixture(scope="module")
def served(watched):
    with Served(watched) as running:
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

    assert answer == served.json("/api/v1/jobs", cluster="eu")["jobs"][0]
    assert (answer["progress"], answer["total_rows"], answer["state"]) == (0.5, 1000, "importing")
    assert answer["progress_per_minute"] == pytest.approx(0.2)
    assert answer["rows_per_second"] == pytest.approx(1000 * 0.1 / 30, abs=1e-5)
    assert answer["eta_seconds"] == pytest.approx(eta_seconds(watched.fleet.job("eu", "1"), watched.now))
    assert answer["first_seen"] == "2025-06-15T15:07:10Z"
    assert (answer["stalled"], answer["listed"], answer["finished_at"]) == (False, True, None)
    failed = served.json("/api/v1/job", cluster="eu", id="2")
    assert (failed["failure"], failed["reason"]) == ("file_not_found", NO_FILE)


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
        ("jobs?clustr=eu", 400, "there is no parameter 'clustr'", "did you mean cluster?"),
        ("jobs?state=faild", 400, "state cannot be 'faild'", "did you mean failed?"),
        ("jobs?state=bad", 400, "state cannot be 'bad'", "there are: pending, importing,"),
        ("jobs?foo=1", 400, "there is no parameter 'foo'", "there are: cluster, database,"),
        ("jobs?stalled=yes", 400, "stalled cannot be 'yes'", "there are: true, false"),
        ("jobs?cluster=eu&cluster=us", 400, "cluster is given 2 times", "give it once"),
        ("jobs?limit=0", 400, "limit is not a number from 1 to 1000", "such as 100"),
        ("jobs?limit=1001", 400, "limit is not a number from 1 to 1000", "such as 100"),
        ("jobs?limit=x", 400, "limit is not a number from 1 to 1000", "such as 100"),
        ("jobs?cursor=abc", 400, "this cursor was given by no page", "begin again"),
        ("jobs?cursor=WyJhIl0", 400, "this cursor was given by no page", "begin again"),
        ("jobs?cluster=idel", 404, "no cluster is named 'idel'", "did you mean idle?"),
        ("clusters?cluster=xyz", 404, "no cluster is named 'xyz'", "/api/v1/clusters lists them"),
        ("jobs?q=" + "x" * 513, 400, "q is longer than 512 characters", "no name"),
        ("job?cluster=eu", 400, "id is missing", "it needs cluster and id; /api/v1/jobs tells them"),
        ("job?cluster=eu&id=77", 404, "no such job is known", "/api/v1/transitions"),
        ("job?cluster=xyz&id=77", 404, "no cluster is named 'xyz'", ""),
        ("transitions?since=yesterday", 400, "since is no time", "24h"),
        ("transitions?cursor=nonsense", 400, "this cursor was given by no page", "begin again"),
        ("stream?event=nothing", 400, "event cannot be 'nothing'", "there are: cluster, job, gone"),
        ("stream?cluster=xyz", 404, "no cluster is named 'xyz'", ""),
        ("cluster", 404, "there is no such endpoint", "did you mean /api/v1/clusters?"),
        ("foo", 404, "there is no such endpoint", "there are: /api/v1/openapi.json, /api/v1/clusters,"),
    ],
)
def test_what_is_wrong_is_said_with_a_hint(served, path, status, error, hint):
    answer = served.get(f"/api/v1/{path}")

    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json")
    assert answer.json()["error"] == error
    assert hint in answer.json()["hint"]


@pytest.mark.parametrize("path", ["jobs?foo=1", "jobs?state=bad", "jobs?stalled=yes", "stream?event=nothing", "foo"])
def test_nothing_is_suggested_that_is_not_near(served, path):
    assert "did you mean" not in served.get(f"/api/v1/{path}").json()["hint"]


def test_another_method_is_refused_as_json(served):
    answer = requests.post(served.url + "/api/v1/jobs", timeout=10)

    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}
    assert answer.json()["hint"] == "use GET"


def test_one_too_many_is_told_to_come_again(served, monkeypatch):
    monkeypatch.setattr("monitor.web.desk.WAITING", 0)
    answer = served.get("/api/v1/jobs")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_a_job_that_left_the_list_is_told_for_as_long_as_its_failure_matters():
    watched = Watched("eu", failed_retention=3600.0)
    watched.poll("eu", Job("1", "books", IMPORTING), Job("2", "books", COMPLETED), Job("3", "books", IMPORTING))
    watched.poll("eu", Job("1", "books", FAILED), Job("2", "books", COMPLETED), Job("3", "books", IMPORTING))
    watched.poll("eu")
    with Served(watched) as served:
        soon = ids(served.json("/api/v1/jobs"))
        watched.now += 3600
        late = ids(served.json("/api/v1/jobs"))

    assert soon == [("eu", "1"), ("eu", "3")]
    assert late == [("eu", "3")]


def test_a_cluster_that_leaves_the_config_leaves_the_api():
    watched = Watched("eu", "us")
    watched.poll("eu", Job("1", "books", IMPORTING))
    watched.poll("us", Job("1", "books", IMPORTING))
    with Served(watched) as served:
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
        assert names == [p.name for p in next(one for one in ENDPOINTS if one.path == path).parameters]
    assert document == json.loads(msgspec.json.encode(openapi.document()))


def test_answers_are_what_the_document_says(served):
    document = served.json("/api/v1/openapi.json")
    schemas = document["components"]["schemas"]

    def check(name, value):
        assert set(value) == set(schemas[name]["properties"]) == set(schemas[name]["required"]), name

    check("ClusterView", served.json("/api/v1/clusters")["clusters"][0])
    check("JobView", served.json("/api/v1/job", cluster="eu", id="1"))
    check("TransitionView", served.json("/api/v1/transitions")["transitions"][0])
    for name, path in (("Clusters", "clusters"), ("Jobs", "jobs"), ("Transitions", "transitions")):
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


@pytest.mark.parametrize("kind", [Clusters, Jobs, Transitions])
def test_every_answer_can_be_read_by_a_client_that_is_typed(served, kind):
    assert msgspec.json.decode(served.get(f"/api/v1/{kind.__name__.lower()}").content, type=kind)
