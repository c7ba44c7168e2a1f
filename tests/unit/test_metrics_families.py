"""Each family: jobs and polls of a cluster in, the exact lines out."""

from collections.abc import Callable, Iterator

import pytest
from prometheus_client import CollectorRegistry

from monitor.jobs import JobRecord, Snapshot
from monitor.metrics import FAMILIES, ClusterMetrics, ExpectationSample, Exposition
from tests.clusters import cluster
from tests.jobs import poll, record

T = 1_750_000_000.0
JOB = 'milvus_cluster="prod",database="",collection="books",job_id="1"'
BOOKS = 'milvus_cluster="prod",database="",collection="books"'
Records = tuple[JobRecord, ...]


def polled(*lists: Records, then: Callable[[ClusterMetrics], None] = lambda _: None) -> Callable[[], str]:
    """Return what scrapes a cluster that gave these lists, one every 30 s, and to which then something happened."""

    def scrape() -> str:
        settings = cluster("http://milvus", name="prod", cluster_id="in01-1")
        metrics = ClusterMetrics(settings, ["timeout", "tls"])
        snapshot: Snapshot | None = None
        now = T
        for number, records in enumerate(lists):
            now = T + 30 * number
            diff = poll(snapshot, *records, now=now)
            snapshot = diff.snapshot
            metrics.poll_succeeded(diff, now=now, duration=0.25, bad_records=number)
        then(metrics)
        exposition = Exposition(CollectorRegistry())
        exposition.show([metrics])
        return exposition.scrape("", now)[0].decode()

    return scrape


def used(metrics: ClusterMetrics, requests: dict[str, int], throttled: dict[str, float]) -> None:
    metrics.set_usage(requests, throttled)
    metrics.poll_succeeded(poll(None, now=T), now=T, duration=0.25, bad_records=0)


RUNNING = record(progress=25, imported_rows=250, total_rows=1000)
FAILED = record(state="Failed", reason="disk quota exceeded")
COMPLETED = record(state="Completed", progress=100)
FULL = record(state="Completed", progress=100, imported_rows=1000, total_rows=1000)
PENDING = record(state="Pending")
LEFT_EARLY = 'milvus_import_jobs_left_early_total{milvus_cluster="prod"} %s'
EMPTY = record(state="Completed", progress=100, imported_rows=0, total_rows=0)
ABORTED = record(state="Failed", reason="aborted by user")
FORWARD = tuple((record(progress=10 * number),) for number in range(1, 5))
IMPORTS = [(record(str(number), state),) for number in range(5) for state in ("Importing", "Completed")]


def transitions(**counts: int) -> list[str]:
    """The lines of the usual transitions, 0 but for those that are counted."""
    states = ("pending", "importing", "uncommitted", "committing")
    steps = [("new", state) for state in (*states, "completed", "failed", "unknown")]
    steps += [("pending", "importing"), ("importing", "uncommitted"), ("uncommitted", "committing")]
    steps += [(state, end) for state in states for end in ("completed", "failed", "vanished")]
    steps.sort(key=lambda step: "_to_".join(step) in counts)  # what has not happened comes first
    return [
        f'milvus_import_job_transitions_total{{milvus_cluster="prod",from_state="{before}",to_state="{after}"}} '
        f"{counts.get(f'{before}_to_{after}', 0)}"
        for before, after in steps
    ]


def histogram(state: str, seconds: float | None = None, name: str = "job_duration_seconds") -> Iterator[str]:
    """The lines of a histogram of no duration, or of one."""
    name, labels = f"milvus_import_{name}", 'milvus_cluster="prod"' + (f',state="{state}"' if state else "")
    for bound in (10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400, None):
        le = "+Inf" if bound is None else f"{bound}.0"
        count = seconds is not None and (bound is None or seconds <= bound)
        yield f'{name}_bucket{{{labels},le="{le}"}} {int(count)}'
    yield f"{name}_count{{{labels}}} {int(seconds is not None)}"
    yield f"{name}_sum{{{labels}}} {seconds or 0.0}"


EXPECTED = polled(
    (),
    then=lambda metrics: metrics.set_expectations(
        [ExpectationSample("nightly", "", "books", "running", T + 900, T + 600)]
    ),
)

CASES: list[tuple[str, Callable[[], str], list[str]]] = [
    ("job_progress_ratio", polled((RUNNING,)), [f"milvus_import_job_progress_ratio{{{JOB}}} 0.25"]),
    (
        "job_progress_ratio",
        polled((record(progress=100 / 3),)),
        [f"milvus_import_job_progress_ratio{{{JOB}}} 0.333333"],
    ),
    ("job_progress_ratio", polled((record(),)), []),
    ("job_stalled", polled((RUNNING,)), [f'milvus_import_job_stalled{{{JOB},state="importing"}} 0']),
    (
        "job_stalled",
        polled(*((record(state="Uncommitted"),) for _ in range(122))),
        [f'milvus_import_job_stalled{{{JOB},state="uncommitted"}} 1'],
    ),
    (
        "job_first_seen_timestamp_seconds",
        polled((RUNNING,), (RUNNING,)),
        [f"milvus_import_job_first_seen_timestamp_seconds{{{JOB}}} 1750000000.000"],
    ),
    (
        "job_last_change_timestamp_seconds",
        polled((RUNNING,), (record(progress=26),)),
        [f"milvus_import_job_last_change_timestamp_seconds{{{JOB}}} 1750000030.000"],
    ),
    ("job_imported_rows", polled((RUNNING,)), [f"milvus_import_job_imported_rows{{{JOB}}} 250"]),
    ("job_imported_rows", polled((record(),)), []),
    ("job_total_rows", polled((RUNNING,)), [f"milvus_import_job_total_rows{{{JOB}}} 1000"]),
    ("job_state", polled((RUNNING,)), [f'milvus_import_job_state{{{JOB},state="importing"}} 1']),
    ("job_state", polled((FAILED,)), [f'milvus_import_job_state{{{JOB},state="failed"}} 1']),
    ("job_state", polled((COMPLETED,)), []),
    ("job_failed", polled((FAILED,)), [f'milvus_import_job_failed{{{JOB},reason="quota_exceeded"}} 1']),
    ("job_failed", polled((RUNNING,)), []),
    ("job_incomplete", polled((RUNNING,), (EMPTY,)), [f"milvus_import_job_incomplete{{{JOB}}} 1"]),
    ("job_incomplete", polled((RUNNING,), (COMPLETED,)), []),
    ("job_state", polled((RUNNING,), (EMPTY,)), []),
    ("job_eta_seconds", polled(*FORWARD), [f"milvus_import_job_eta_seconds{{{JOB}}} 180"]),
    ("job_eta_seconds", polled(*FORWARD[:2]), []),
    (
        "jobs",
        polled(
            (record("1"), record("2"), record("3", "Completed", database="db", collection='a "b"')),
        ),
        [
            f'milvus_import_jobs{{{BOOKS},state="importing"}} 2',
            r'milvus_import_jobs{milvus_cluster="prod",database="db",collection="a \"b\"",state="completed"} 1',
        ],
    ),
    (
        "jobs_finished_total",
        polled((RUNNING,), (FAILED,)),
        [
            f'milvus_import_jobs_finished_total{{{BOOKS},state="completed"}} 0',
            f'milvus_import_jobs_finished_total{{{BOOKS},state="failed"}} 1',
            f'milvus_import_jobs_finished_total{{{BOOKS},state="vanished"}} 0',
        ],
    ),
    ("job_transitions_total", polled(), transitions()),
    (
        "job_transitions_total",
        polled((), (RUNNING,), (COMPLETED,)),
        transitions(new_to_importing=1, importing_to_completed=1),
    ),
    (
        "job_duration_seconds",
        polled((RUNNING,), (COMPLETED,)),
        [*histogram("completed", 30.0), *histogram("failed"), *histogram("vanished")],
    ),
    (
        "collection_last_finished_failed",
        polled((RUNNING,), (FAILED,)),
        [f"milvus_import_collection_last_finished_failed{{{BOOKS}}} 1"],
    ),
    (
        "collection_last_finished_aborted",
        polled((RUNNING,), (FAILED,)),
        [f"milvus_import_collection_last_finished_aborted{{{BOOKS}}} 0"],
    ),
    (
        "collection_last_finished_aborted",
        polled((RUNNING,), (ABORTED,)),
        [f"milvus_import_collection_last_finished_aborted{{{BOOKS}}} 1"],
    ),
    (
        "collection_last_completed_timestamp_seconds",
        polled((RUNNING,), (COMPLETED,)),
        [f"milvus_import_collection_last_completed_timestamp_seconds{{{BOOKS}}} 1750000030.000"],
    ),
    ("rows_total", polled((RUNNING,)), [f"milvus_import_rows_total{{{BOOKS}}} 0"]),
    ("rows_total", polled((RUNNING,), (FULL,), (FULL,)), [f"milvus_import_rows_total{{{BOOKS}}} 1000"]),
    ("rows_total", polled((FULL,), (FULL,)), [f"milvus_import_rows_total{{{BOOKS}}} 0"]),
    ("job_pending_seconds", polled((PENDING,)), [*histogram("", name="job_pending_seconds")]),
    (
        "job_pending_seconds",  # it was pending for 60 s, and then once more
        polled((), (PENDING,), (PENDING,), (RUNNING,), (PENDING,), (RUNNING,), (FULL,)),
        [*histogram("", 60.0, "job_pending_seconds")],
    ),
    ("job_pending_seconds", polled((), (FULL,)), [*histogram("", name="job_pending_seconds")]),
    ("jobs_left_early_total", polled((RUNNING,), (FULL,), (FULL,), (FULL,), (), ()), [LEFT_EARLY % 0]),
    ("jobs_left_early_total", polled((RUNNING,), (FULL,), (FULL,), (), ()), [LEFT_EARLY % 1]),
    (
        "collection_last_completed_short",
        polled((), *IMPORTS[:2]),
        [f"milvus_import_collection_last_completed_short{{{BOOKS}}} 0"],
    ),
    ("collection_last_completed_short", polled((RUNNING,), (COMPLETED,)), []),
    (
        "collection_failures_in_a_row",
        polled((), (RUNNING,), (FAILED,), (FAILED, record("2", "Failed")), (ABORTED, record("2", "Failed"))),
        [f"milvus_import_collection_failures_in_a_row{{{BOOKS}}} 2"],
    ),
    ("collection_failures_in_a_row", polled((RUNNING,)), []),
    ("collection_typical_duration_seconds", polled((), *IMPORTS[:8]), []),
    (
        "collection_typical_duration_seconds",
        polled((), *IMPORTS[:10]),
        [f"milvus_import_collection_typical_duration_seconds{{{BOOKS}}} 30.0"],
    ),
    ("expectation_state", polled(()), []),
    (
        "expectation_state",
        EXPECTED,
        [f'milvus_import_expectation_state{{{BOOKS},expectation="nightly",state="running"}} 1'],
    ),
    (
        "expectation_deadline_timestamp_seconds",
        EXPECTED,
        [f'milvus_import_expectation_deadline_timestamp_seconds{{{BOOKS},expectation="nightly"}} {T + 900:.3f}'],
    ),
    (
        "expectation_predicted_timestamp_seconds",
        EXPECTED,
        [f'milvus_import_expectation_predicted_timestamp_seconds{{{BOOKS},expectation="nightly"}} {T + 600:.3f}'],
    ),
    ("cluster_owned", polled(), ['milvus_import_cluster_owned{milvus_cluster="prod"} 1']),
    ("cluster_up", polled(), []),
    ("cluster_up", polled(()), ['milvus_import_cluster_up{milvus_cluster="prod"} 1']),
    (
        "cluster_up",
        polled((), then=lambda metrics: metrics.poll_failed("tls", now=T + 30, duration=1.0)),
        ['milvus_import_cluster_up{milvus_cluster="prod"} 0'],
    ),
    ("cluster_failure", polled(()), []),
    (
        "cluster_failure",
        polled((), then=lambda metrics: metrics.poll_failed("tls", now=T + 30, duration=1.0)),
        ['milvus_import_cluster_failure{milvus_cluster="prod",reason="tls"} 1'],
    ),
    ("cluster_paused", polled(()), ['milvus_import_cluster_paused{milvus_cluster="prod"} 0']),
    (
        "cluster_paused",
        polled((), then=lambda metrics: metrics.pause(T + 30, show_failures=False)),
        ['milvus_import_cluster_paused{milvus_cluster="prod"} 1'],
    ),
    ("cluster_missing", polled(()), ['milvus_import_cluster_missing{milvus_cluster="prod"} 0']),
    (
        "cluster_missing",
        polled((), then=lambda metrics: metrics.set_missing(missing=True)),
        ['milvus_import_cluster_missing{milvus_cluster="prod"} 1'],
    ),
    *(
        (name, polled((), then=lambda metrics: metrics.pause(T + 30, show_failures=False)), [])
        for name in ("poll_interval_seconds", "poll_interval_stretch_ratio")
    ),
    (
        "cluster_up",
        polled((), then=lambda metrics: metrics.pause(T + 30, show_failures=False)),
        [],
    ),
    (
        "cluster_info",
        polled(),
        [
            'milvus_import_cluster_info{milvus_cluster="prod",cluster_id="in01-1",url="http://milvus",api="v2"} 1',
        ],
    ),
    (
        "cluster_last_success_timestamp_seconds",
        polled(()),
        ['milvus_import_cluster_last_success_timestamp_seconds{milvus_cluster="prod"} 1750000000.0'],
    ),
    (
        "cluster_last_poll_duration_seconds",
        polled(()),
        ['milvus_import_cluster_last_poll_duration_seconds{milvus_cluster="prod"} 0.25'],
    ),
    (
        "cluster_series_dropped",
        polled(tuple(record(str(number)) for number in range(251))),
        ['milvus_import_cluster_series_dropped{milvus_cluster="prod"} 4'],
    ),
    (
        "poll_interval_seconds",
        polled((), then=lambda metrics: metrics.set_interval(10.0, 100.0)),
        ['milvus_import_poll_interval_seconds{milvus_cluster="prod"} 100.0'],
    ),
    (
        "poll_interval_stretch_ratio",
        polled((), then=lambda metrics: metrics.set_stretch(1.1**3)),
        ['milvus_import_poll_interval_stretch_ratio{milvus_cluster="prod"} 1.331'],
    ),
    ("polls_total", polled((), ()), ['milvus_import_polls_total{milvus_cluster="prod"} 2']),
    (
        "polls_missed_total",
        polled(then=lambda metrics: metrics.poll_missed(3)),
        ['milvus_import_polls_missed_total{milvus_cluster="prod"} 3'],
    ),
    (
        "poll_failures_total",
        polled(then=lambda metrics: metrics.poll_failed("tls", now=T, duration=1.0)),
        [
            'milvus_import_poll_failures_total{milvus_cluster="prod",reason="timeout"} 0',
            'milvus_import_poll_failures_total{milvus_cluster="prod",reason="tls"} 1',
        ],
    ),
    ("bad_records_total", polled((), (), ()), ['milvus_import_bad_records_total{milvus_cluster="prod"} 3']),
    (
        "api_requests_total",
        polled((), then=lambda metrics: used(metrics, {"list": 7}, {})),
        [
            'milvus_import_api_requests_total{milvus_cluster="prod",endpoint="list"} 7',
            'milvus_import_api_requests_total{milvus_cluster="prod",endpoint="describe"} 0',
        ],
    ),
    (
        "api_throttled_seconds_total",
        polled((), then=lambda metrics: used(metrics, {}, {"describe": 1.5})),
        [
            'milvus_import_api_throttled_seconds_total{milvus_cluster="prod",endpoint="list"} 0.0',
            'milvus_import_api_throttled_seconds_total{milvus_cluster="prod",endpoint="describe"} 1.5',
        ],
    ),
]


@pytest.mark.parametrize(("family", "scrape", "lines"), CASES, ids=[f"{case[0]}-{n}" for n, case in enumerate(CASES)])
def test_a_family_has_exactly_these_lines(family, scrape, lines):
    block = scrape().split(f"# TYPE milvus_import_{family} ")[1].split("# HELP")[0]

    assert block.splitlines()[1:] == lines


def test_every_family_has_a_case_with_lines():
    assert {family for family, _, lines in CASES if lines} == {family.name for family in FAMILIES}
