"""What people are advised to do about a job, and the commands that they paste: run by a real shell and a real curl."""

import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from monitor.client import commands
from monitor.jobs import Failure, Job, JobState, advise
from monitor.jobs.advice import BY_FAILURE
from tests.clusters import cluster

ROOT = Path(__file__).parents[2]
KEY = "key-that-no-page-shows"
EVIL = "x'; touch owned; $(touch owned)`touch owned`\\\"!1\n\x1b[201~\N{RIGHT-TO-LEFT OVERRIDE}\N{GRINNING FACE}"


class Server(ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((self.command, self.path, dict(self.headers), json.loads(body) if body else None))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_GET  # noqa: N815 - names of http.server

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def job(state, job_id="449000000000000001", **facts):
    times = {"first_seen": 1.0, "state_since": 1.0, "last_change": 1.0}
    return Job(job_id=job_id, collection=facts.pop("collection", "books"), state=state, **times, **facts)


def run(server, directory, wanted, shell, **settings):
    """Paste every command into a shell, and return the requests that it sends."""
    watched = cluster(server.url, api_key=KEY, **settings)
    for command in [entry.command for entry in commands(watched, wanted)]:
        assert KEY not in command
        assert command.isascii()
        assert command.isprintable() or set(filter(lambda char: not char.isprintable(), command)) == {"\n"}
        if command:
            variables = {"MILVUS_API_KEY": KEY, "STORAGE_ACCESS_KEY": "AK/+1", "STORAGE_SECRET_KEY": "SK/+2"}
            subprocess.run(
                [shell, "-c", command],
                cwd=directory,
                env={"PATH": os.environ["PATH"], "HOME": str(directory), "no_proxy": "*"} | variables,
                check=True,
                capture_output=True,
                timeout=60,
            )
    assert not list(directory.iterdir())
    assert all(headers["Authorization"] == f"Bearer {KEY}" for _, _, headers, _ in server.requests)
    return server.requests


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_an_uncommitted_job_can_be_committed_or_aborted(server, tmp_path, shell):
    waiting = job(JobState.UNCOMMITTED, database="shop")
    sent = run(server, tmp_path, waiting, shell, cluster_id="in01-1")

    assert [(method, path, body) for method, path, _, body in sent] == [
        ("POST", f"/v2/vectordb/jobs/import/{what}", {"clusterId": "in01-1", "jobId": waiting.job_id})
        for what in ("commit", "abort")
    ]
    assert all(headers["DB-Name"] == "shop" for _, _, headers, _ in sent)


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_hostile_names_stay_data(server, tmp_path, shell):
    for state in (JobState.UNCOMMITTED, JobState.FAILED):
        run(server, tmp_path, job(state, EVIL, collection=EVIL, database=EVIL), shell)

    bodies = [body for _, _, _, body in server.requests]
    assert bodies[0] == bodies[1] == {"jobId": EVIL}
    assert bodies[2] == {"dbName": EVIL, "collectionName": EVIL, "files": [["PATH"]]}


@pytest.mark.parametrize(
    ("settings", "path", "body"),
    [
        (
            {"project_id": "proj-1", "region_id": "aws-1"},
            "/v2/vectordb/jobs/import/create",
            {"projectId": "proj-1", "regionId": "aws-1", "collectionName": "books", "objectUrls": [["URL"]]},
        ),
        ({}, "/v2/vectordb/jobs/import/create", {"collectionName": "books", "files": [["PATH"]]}),
        (
            {"api": "v1", "cluster_id": "in01-1"},
            "/v1/vector/collections/import",
            {"clusterId": "in01-1", "collectionName": "books", "objectUrl": "URL"},
        ),
        (
            {"api": "milvus-2.3"},
            "/api/v1/import",
            {"collection_name": "books", "partition_name": "", "files": ["PATH"]},
        ),
    ],
)
def test_a_failed_import_can_be_started_again_in_every_generation(server, tmp_path, settings, path, body):
    ((method, target, headers, sent),) = run(server, tmp_path, job(JobState.FAILED), "sh", **settings)
    storage = {"accessKey": "AK/+1", "secretKey": "SK/+2"} if "objectUrl" in str(body) else {}

    assert (method, target, sent) == ("POST", path, body | storage)
    v2 = settings.get("api", "v2") == "v2"
    assert headers.get("Idempotency-Key") == ("retry-1-of-449000000000000001" if v2 else None)


@pytest.mark.parametrize("api", ["v1", "milvus-2.3"])
@pytest.mark.parametrize("wanted", [job(JobState.UNCOMMITTED), job(JobState.IMPORTING, stalled=True)])
def test_a_generation_that_cannot_commit_or_abort_says_so(server, tmp_path, api, wanted):
    last = commands(cluster(server.url, api=api), wanted)[-1]

    assert (last.command, last.note) == ("", f"This API ({api}) has no request to commit or abort a job.")
    for method, *_ in run(server, tmp_path, wanted, "sh", api=api):
        assert method == "GET"


@pytest.mark.parametrize(
    ("names", "files"),
    [
        (["[a/1.parquet]", "[a/2.parquet]"], [["a/1.parquet"], ["a/2.parquet"]]),
        (["[a/1.npy a/2.npy]"], [["PATH"]]),
        (["a/1.parquet"], [["PATH"]]),
        (["[a.json]"] * 101, [["PATH"]]),
        ([f"[{EVIL.translate({10: None, 32: None})}]"], [["PATH"]]),
    ],
)
def test_files_are_named_where_the_server_reports_them_clearly(names, files):
    (again,) = commands(cluster("http://milvus"), job(JobState.FAILED), names)

    body = again.command.partition("--data '")[2].removesuffix("'")
    assert json.loads(body)["files"] == files


def test_nothing_is_advised_about_a_job_that_needs_nothing():
    for fine in (job(JobState.IMPORTING), job(JobState.COMPLETED), job(JobState.PENDING)):
        assert advise(fine) == ""
        assert commands(cluster("http://milvus"), fine) == ()
    for bad in (
        job(JobState.VANISHED),
        job(JobState.COMPLETED, incomplete=True),
        *(job(state, stalled=True) for state in (JobState.PENDING, JobState.IMPORTING, JobState.COMMITTING)),
    ):
        assert advise(bad).endswith(".")
        assert commands(cluster("http://milvus"), bad)


def test_a_committing_job_cannot_be_aborted():
    offered = commands(cluster("http://milvus"), job(JobState.COMMITTING, stalled=True))

    assert [command.title for command in offered] == ["Show its files"]


def test_every_class_of_failure_has_its_sentence_and_the_runbook_the_same():
    table = (ROOT / "docs" / "runbooks" / "MilvusImportJobFailed.md").read_text()

    assert set(BY_FAILURE) == set(Failure)
    for failure, sentence in BY_FAILURE.items():
        assert f"| `{failure}` | {sentence}" in table
