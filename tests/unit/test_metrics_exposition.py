"""The form of a scrape: which format is chosen, and that no name can break out of its label."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from monitor.jobs import JobRecord
from monitor.metrics import ClusterMetrics, Exposition
from monitor.metrics.exposition import OPENMETRICS, TEXT, choose_format
from tests.clusters import cluster
from tests.jobs import poll

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_WITH_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
    "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_THAT_PREFERS_TEXT = (
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,"
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "application/openmetrics-text;version=0.0.1;q=0.3,*/*;q=0.2"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"

nasty = st.text(max_size=30) | st.text(alphabet='\\"\n\r{}=, #n\t\x00\x85\u2028é☃', max_size=12)


@pytest.mark.parametrize(
    "accept",
    [
        PROMETHEUS_2,
        PROMETHEUS_3,
        PROMETHEUS_WITH_PROTOBUF,
        "application/openmetrics-text",
        "application/openmetrics-text;q=0.9, text/plain;q=0.1",
        "text/plain;q=0.5, application/openmetrics-text;q=0.5",
        "application/openmetrics-text;version=1.0.0;q=0.6,application/openmetrics-text;version=0.0.1;q=0.1,text/plain;q=0.5",
    ],
)
def test_openmetrics_is_the_answer_to_those_who_ask_for_it(accept):
    assert Exposition(CollectorRegistry()).scrape(accept, 0)[1] == OPENMETRICS


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        BROWSER,
        "text/plain",
        "text/plain;version=0.0.4",
        PROMETHEUS_3_THAT_PREFERS_TEXT,
        "application/openmetrics-text;version=0.0.1",
        "application/openmetrics-text;version=new",
        "application/openmetrics-textual",
        "application/json",
        ",;,;q=;==,\x00é;q=0.1;q",
        "q=1" * 10_000,
    ],
)
def test_the_text_format_is_the_answer_to_all_others(accept):
    assert Exposition(CollectorRegistry()).scrape(accept, 0)[1] == TEXT


@given(st.text() | st.text(alphabet="aplictonexrmsq=;,/*.01 -"))
def test_no_accept_header_is_too_odd_to_be_answered(accept):
    assert choose_format(accept) in (OPENMETRICS, TEXT)


def scrape(metrics, *, openmetrics=False):
    exposition = Exposition(CollectorRegistry())
    exposition.show([metrics])
    body = exposition.scrape("application/openmetrics-text" if openmetrics else "", 1000)[0].decode()
    families = openmetrics_families(body) if openmetrics else text_families(body)
    return body, [sample for family in families for sample in family.samples]


def polled(name, database, collection, job_id, **facts):
    metrics = ClusterMetrics(cluster("http://milvus", name=name), ["other"])
    listed = JobRecord(job_id, "Importing", collection, database=database, **facts)
    metrics.poll_succeeded(poll(None, listed, now=1000), now=1000, duration=0.1, bad_records=0)
    return metrics


@given(nasty, nasty, nasty, nasty)
def test_every_name_comes_back_from_both_parsers_as_it_was(name, database, collection, job_id):
    metrics = polled(name, database, collection, job_id)
    labels = {"milvus_cluster": name, "database": database, "collection": collection, "job_id": job_id}
    for openmetrics in (False, True):
        _, samples = scrape(metrics, openmetrics=openmetrics)
        (state,) = [sample for sample in samples if sample.name == "milvus_import_job_state"]
        assert state.labels == {**labels, "state": "importing"}


@given(nasty)
def test_no_name_adds_a_line_or_a_label(evil):
    plain, _ = scrape(polled("c", "d", "x", "1"))
    forged, samples = scrape(polled("c", "d", evil, "1"))

    assert forged.count("\n") == plain.count("\n")
    assert {name for sample in samples for name in sample.labels} == {
        *("milvus_cluster", "database", "collection", "job_id", "state", "reason", "endpoint"),
        *("cluster_id", "url", "api", "from_state", "to_state", "le"),
    }


def test_a_name_that_spells_out_a_metric_stays_a_name():
    evil = 'x"} 1\nmilvus_import_job_failed{job_id="1"} 1\n# EOF\n'
    for openmetrics in (False, True):
        _, samples = scrape(polled("c", "", evil, "1"), openmetrics=openmetrics)

        assert not [sample for sample in samples if sample.name == "milvus_import_job_failed"]
        assert {sample.labels["collection"] for sample in samples if "collection" in sample.labels} == {evil}


def test_half_a_character_is_shown_as_a_question_mark_and_costs_nobody_the_scrape():
    _, samples = scrape(polled("c", "", "half \ud83d emoji", "1"))

    assert {one.labels["collection"] for one in samples if "collection" in one.labels} == {"half ? emoji"}


@pytest.mark.parametrize("progress", [0.0, 1e-7, 100 * (0.1 + 0.2), 100.0, math.inf, math.nan])
@pytest.mark.parametrize("rows", [0, 10**15, 2**63])
def test_numbers_come_back_as_they_were(progress, rows):
    for openmetrics in (False, True):
        _, samples = scrape(polled("c", "", "x", "1", progress=progress, imported_rows=rows), openmetrics=openmetrics)
        values = {sample.name: sample.value for sample in samples}

        assert values["milvus_import_job_progress_ratio"] == pytest.approx(progress / 100, nan_ok=True, rel=0)
        assert values["milvus_import_job_imported_rows"] == rows


def test_a_scrape_shows_the_clusters_it_was_given_last_and_in_that_order():
    exposition = Exposition(CollectorRegistry())
    one, two = (ClusterMetrics(cluster("http://milvus", name=name), []) for name in ("one", "two"))
    exposition.show([one, two])
    both = exposition.scrape("", 0)[0].decode()
    exposition.show([two])
    left = exposition.scrape("", 0)[0].decode()

    assert both.index('polls_total{milvus_cluster="one"') < both.index('polls_total{milvus_cluster="two"')
    assert '"one"' not in left
    assert '"two"' in left
