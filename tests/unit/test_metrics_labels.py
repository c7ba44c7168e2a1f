"""The own labels of a cluster on its series: jobs and polls in, the exact text out."""

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from monitor.metrics import FAMILIES, ClusterMetrics, ExpectationSample, Exposition
from tests.clusters import cluster
from tests.jobs import poll, record

T = 1_750_000_000.0
AWKWARD = {"note": 'a "b" \\ @ %s {c} é', "team": "search"}
PREFIX = 'milvus_cluster="prod",note="a \\"b\\" \\\\ @ %s {c} é",team="search"'
FORMATS = {"": plain, "application/openmetrics-text;version=1.0.0": openmetrics}


class Watched:
    """A cluster in the middle of things: every family has a series."""

    def __init__(self, labels):
        self.settings = cluster("http://milvus", name="prod", cluster_id="in01-1", labels=labels)
        self.metrics = ClusterMetrics(self.settings, ["timeout"])
        self.exposition = Exposition(CollectorRegistry())
        self.exposition.show([self.metrics])
        self.snapshot = None
        for number in range(1, 5):
            running = record("1", progress=10 * number, imported_rows=number, total_rows=9)
            self.poll(number, running, record("2"), record("3"), record("4"))
        running = record("1", progress=50, imported_rows=5, total_rows=9)
        ended = record("3", "Completed", 100, imported_rows=0, total_rows=0), record("4", "Completed", 100)
        times = {"create_time": str(T), "complete_time": str(T + 100)}
        others = [record(f"1{number}", "Completed", 100, collection="films", **times) for number in range(5)]
        self.poll(5, running, record("2", "Failed", reason="timeout"), *ended, *others)
        self.metrics.set_expectations([ExpectationSample("nightly", "", "books", "running", T + 900, T + 600)])
        self.metrics.poll_failed("timeout", now=T + 151, duration=0.1)

    def poll(self, number, *records):
        diff = poll(self.snapshot, *records, now=T + 30 * number)
        self.snapshot = diff.snapshot
        self.metrics.poll_succeeded(diff, now=T + 30 * number, duration=0.1, bad_records=0)

    def scrape(self, accept=""):
        return self.exposition.scrape(accept, T + 152)[0].decode()

    def lines(self):
        return [line for line in self.scrape().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("accept", FORMATS)
def test_each_series_of_a_cluster_has_its_labels_in_both_formats(accept):
    families = list(FORMATS[accept](Watched(AWKWARD).scrape(accept)))
    samples = [sample for family in families for sample in family.samples]

    assert {sample.name.removesuffix("_bucket") for sample in samples} >= {family.full_name for family in FAMILIES}
    assert all(sample.labels.items() >= {"milvus_cluster": "prod", **AWKWARD}.items() for sample in samples)


def test_the_labels_follow_the_name_of_the_cluster_and_are_escaped():
    lines = Watched(AWKWARD).lines()

    assert all(f"{{{PREFIX}" in line for line in lines)
    for line in (
        f"milvus_import_cluster_up{{{PREFIX}}} 0",
        f'milvus_import_cluster_info{{{PREFIX},cluster_id="in01-1",url="http://milvus",api="v2"}} 1',
        f'milvus_import_jobs{{{PREFIX},database="",collection="books",state="importing"}} 1',
        f'milvus_import_job_failed{{{PREFIX},database="",collection="books",job_id="2",reason="timeout"}} 1',
        f'milvus_import_job_transitions_total{{{PREFIX},from_state="importing",to_state="failed"}} 1',
        f'milvus_import_job_duration_seconds_bucket{{{PREFIX},state="failed",le="300.0"}} 1',
        f'milvus_import_job_duration_seconds_count{{{PREFIX},state="failed"}} 1',
    ):
        assert line in lines


def test_a_cluster_without_labels_has_none():
    assert Watched({}).lines()[0].startswith('milvus_import_job_progress_ratio{milvus_cluster="prod",database=')


@pytest.mark.parametrize("changed", [{"team": "shop"}, {}, {"env": "prod", "team": "search"}])
def test_changed_labels_are_on_every_series_at_once_and_nothing_else_changes(changed):
    watched, expected = Watched({"team": "search"}), Watched(changed)

    watched.metrics.reconfigure(expected.settings)

    assert sorted(watched.lines()) == sorted(expected.lines())
