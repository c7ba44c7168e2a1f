"""What a real Milvus 2.3.5 does with a good file and a missing one, and what the daemon makes of it."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.daemon import Line, Metrics, command, started, write_config
from tests.integration.milvus_server import REQUIREMENTS, MilvusServer, running_milvus, write_rows
from tests.venvs import environment

# The first run installs the environment and unpacks the server.
pytestmark = pytest.mark.timeout(400)

ROWS = 50_000


@pytest.fixture(scope="module")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    python = environment("milvus-2.3.5", *REQUIREMENTS)
    with running_milvus(python, tmp_path_factory.mktemp("milvus") / "data") as server:
        yield server


@dataclass(frozen=True)
class Story:
    """The daemon's account of three imports: one that keeps the server busy, a good one, and one of a missing file."""

    good_job: str
    missing_job: str
    missing_file: Path
    transitions: list[Line]
    metrics: Metrics
    tail: str

    def of(self, job_id: str) -> list[Line]:
        return [line for line in self.transitions if line["job_id"] == job_id]


@pytest.fixture(scope="module")
def story(milvus: MilvusServer, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("imports")
    busy = write_rows(folder / "busy.json", ROWS)
    good = write_rows(folder / "good.json", ROWS)
    missing = folder / "missing.json"
    config = write_config(folder, f"{{name: real, url: '{milvus.management_url}', api: milvus-2.3}}")
    with started("run", "-c", config) as daemon:
        daemon.wait_for("cluster_baseline")
        daemon.wait_for("poll_finished", 2)
        assert daemon.get("/-/ready").status_code == 200, daemon.tail()
        # The server imports one file at a time: while it is at the first, the second is seen pending.
        _, good_job, missing_job = milvus.bulk_insert(("warm_up", busy), ("books", good), ("books", missing))
        for job_id in (good_job, missing_job):
            daemon.wait_for("import_job_transition", job_id=job_id, where=_finished)
        # Anything reported twice would be reported again by the polls that follow.
        daemon.wait_for("poll_finished", len(daemon.lines("poll_finished")) + 3)
        return Story(
            good_job,
            missing_job,
            missing,
            daemon.lines("import_job_transition"),
            daemon.metrics(),
            daemon.tail(),
        )


def _finished(line: Line) -> bool:
    return line["to_state"] in {"completed", "failed", "vanished"}


def test_a_good_import_is_reported_pending_importing_and_completed_once_each(story: Story) -> None:
    steps = [(line["from_state"], line["to_state"], line["level"]) for line in story.of(story.good_job)]
    assert steps == [
        ("new", "pending", "info"),
        ("pending", "importing", "info"),
        ("importing", "completed", "info"),
    ], story.tail


def test_an_import_of_a_missing_file_is_reported_failed_once_with_the_servers_words(story: Story) -> None:
    reported = story.of(story.missing_job)
    steps = [(line["from_state"], line["to_state"]) for line in reported]
    # Whether a poll catches it importing for a moment is the server's timing; the chain has no gap and one end.
    assert steps[0][0] == "new", story.tail
    assert [before for before, _ in steps[1:]] == [after for _, after in steps[:-1]], story.tail
    assert [after for _, after in steps].count("failed") == 1, story.tail
    assert steps[-1][1] == "failed", story.tail
    failed = reported[-1]
    assert failed["level"] == "error"
    assert failed["failure"] == "file_not_found"
    assert failed["reason"] == (
        f"failed to get file size of '{story.missing_file}', error:stat {story.missing_file}: "
        "no such file or directory: importing data failed"
    )
    assert (failed["milvus_cluster"], failed["collection"]) == ("real", "books")


def test_the_failed_import_is_on_the_metrics_page_with_its_reason_class(story: Story) -> None:
    labels = {
        "milvus_cluster": "real",
        "database": "",
        "collection": "books",
        "job_id": story.missing_job,
        "reason": "file_not_found",
    }
    assert story.metrics.named("milvus_import_job_failed") == [(labels, 1.0)], story.tail


@pytest.mark.parametrize(("state", "finished"), [("completed", 1.0), ("failed", 1.0), ("vanished", 0.0)])
def test_finished_imports_are_counted_by_their_outcome(story: Story, state: str, finished: float) -> None:
    labels = {"milvus_cluster": "real", "database": "", "collection": "books", "state": state}
    counted = story.metrics.named("milvus_import_jobs_finished_total", collection="books", state=state)
    assert counted == [(labels, finished)], story.tail


def test_a_cluster_that_answers_is_up(story: Story) -> None:
    assert story.metrics.named("milvus_import_cluster_up") == [({"milvus_cluster": "real"}, 1.0)], story.tail


def test_a_server_without_the_v2_api_counts_as_not_found(milvus: MilvusServer, tmp_path: Path) -> None:
    config = write_config(tmp_path, f"{{name: real, url: '{milvus.proxy_url}', api: v2}}")
    with started("run", "-c", config) as daemon:
        daemon.wait_for("cluster_unreachable")
        metrics = daemon.metrics()
        failures = metrics.named("milvus_import_poll_failures_total", milvus_cluster="real")
        assert {labels["reason"] for labels, count in failures if count} == {"not_found"}, daemon.tail()
        assert metrics.named("milvus_import_cluster_up") == [({"milvus_cluster": "real"}, 0.0)], daemon.tail()


def test_a_probe_of_a_server_without_the_v2_api_names_the_setting_that_fits(
    milvus: MilvusServer, tmp_path: Path
) -> None:
    config = write_config(tmp_path, f"{{name: real, url: '{milvus.proxy_url}', api: v2}}")
    probe = subprocess.run(
        command("check-config", "-c", config, "--probe"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = probe.stdout + probe.stderr
    assert probe.returncode == 1, said
    assert "not_found" in said
    assert "needs `api: milvus-2.3` with the URL of its management port" in said
    assert "Traceback" not in said
