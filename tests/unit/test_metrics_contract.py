"""What is on /metrics, name by name: the table of the contract, read back with both parsers and with promtool."""

import shutil
import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from monitor.client import ErrorKind
from monitor.discovery import DiscoveryStatus
from monitor.metrics import FAMILIES, ClusterMetrics, ExpectationSample, Exposition, ProcessMetrics
from tests.clusters import cluster
from tests.jobs import poll, record
from tests.venvs import missing

NOW = 1_750_000_000.0
KINDS = [kind.value for kind in ErrorKind]
ACCEPT = {"text": "text/plain", "openmetrics": "application/openmetrics-text"}

COLLECTION = {"milvus_cluster", "database", "collection"}
JOB = {*COLLECTION, "job_id"}
CLUSTER = {"milvus_cluster"}

CONTRACT = {
    "jobs": ("gauge", {*COLLECTION, "state"}),
    "job_progress_ratio": ("gauge", JOB),
    "job_state": ("gauge", {*JOB, "state"}),
    "job_incomplete": ("gauge", JOB),
    "job_failed": ("gauge", {*JOB, "reason"}),
    "job_stalled": ("gauge", {*JOB, "state"}),
    "job_first_seen_timestamp_seconds": ("gauge", JOB),
    "job_last_change_timestamp_seconds": ("gauge", JOB),
    "job_imported_rows": ("gauge", JOB),
    "job_total_rows": ("gauge", JOB),
    "job_eta_seconds": ("gauge", JOB),
    "jobs_finished_total": ("counter", {*COLLECTION, "state"}),
    "job_transitions_total": ("counter", {*CLUSTER, "from_state", "to_state"}),
    "job_duration_seconds": ("histogram", {*CLUSTER, "state"}),
    "collection_last_finished_failed": ("gauge", COLLECTION),
    "collection_last_finished_aborted": ("gauge", COLLECTION),
    "collection_last_completed_timestamp_seconds": ("gauge", COLLECTION),
    "rows_total": ("counter", COLLECTION),
    "job_pending_seconds": ("histogram", CLUSTER),
    "jobs_left_early_total": ("counter", CLUSTER),
    "collection_last_completed_short": ("gauge", COLLECTION),
    "collection_failures_in_a_row": ("gauge", COLLECTION),
    "collection_typical_duration_seconds": ("gauge", COLLECTION),
    "expectation_state": ("gauge", {*COLLECTION, "expectation", "state"}),
    "expectation_deadline_timestamp_seconds": ("gauge", {*COLLECTION, "expectation"}),
    "expectation_predicted_timestamp_seconds": ("gauge", {*COLLECTION, "expectation"}),
    "cluster_failure": ("gauge", {*CLUSTER, "reason"}),
    "cluster_owned": ("gauge", CLUSTER),
    "cluster_up": ("gauge", CLUSTER),
    "cluster_paused": ("gauge", CLUSTER),
    "cluster_missing": ("gauge", CLUSTER),
    "cluster_info": ("gauge", {*CLUSTER, "cluster_id", "url", "api"}),
    "cluster_last_success_timestamp_seconds": ("gauge", CLUSTER),
    "cluster_last_poll_duration_seconds": ("gauge", CLUSTER),
    "cluster_series_dropped": ("gauge", CLUSTER),
    "poll_interval_seconds": ("gauge", CLUSTER),
    "poll_interval_stretch_ratio": ("gauge", CLUSTER),
    "polls_total": ("counter", CLUSTER),
    "polls_missed_total": ("counter", CLUSTER),
    "poll_failures_total": ("counter", {*CLUSTER, "reason"}),
    "poll_duration_seconds": ("histogram", set()),
    "bad_records_total": ("counter", CLUSTER),
    "api_requests_total": ("counter", {*CLUSTER, "endpoint"}),
    "api_throttled_seconds_total": ("counter", {*CLUSTER, "endpoint"}),
    "config_last_reload_successful": ("gauge", set()),
    "config_last_reload_success_timestamp_seconds": ("gauge", set()),
    "discovery_up": ("gauge", {"discovery"}),
    "discovery_clusters": ("gauge", {"discovery"}),
    "discovery_last_success_timestamp_seconds": ("gauge", {"discovery"}),
    "replicas": ("gauge", set()),
    "clusters": ("gauge", set()),
    "store_up": ("gauge", set()),
    "log_lines_dropped_total": ("counter", set()),
    "store_write_failures_total": ("counter", set()),
    "build_info": ("gauge", {"version", "python"}),
}


def busy_cluster(name: str) -> ClusterMetrics:
    """A cluster in whose life everything has happened: every family has a line."""
    settings = cluster("https://example.com", name=name, cluster_id="in01-1", interval=30.0)
    metrics = ClusterMetrics(settings, KINDS)
    snapshot = None
    for number in range(5):
        records = [
            record("1", "Importing", 10.0 * (number + 1), database="default", imported_rows=number, total_rows=9),
            record("2", "Completed" if number > 2 else "Pending", database="default", imported_rows=0),
            record("3", "Failed" if number > 3 else "Importing", collection='od"d\\ \nname é', reason="no disk"),
        ]
        times = {"create_time": str(NOW - 100), "complete_time": str(NOW + 1)}
        ended = [record(f"1{n}", "Completed", database="default", **times) for n in range(5)] if number > 2 else []
        diff = poll(snapshot, *records, *ended, now=NOW + number * 30)
        snapshot = diff.snapshot
        metrics.set_usage({"list": number, "describe": 1}, {"list": 0.5})
        metrics.poll_succeeded(diff, now=NOW + number * 30, duration=0.25, bad_records=1)
    metrics.poll_failed("timeout", now=NOW + 125, duration=0.25)
    metrics.poll_missed(2)
    metrics.set_expectations([ExpectationSample("nightly", "default", "books", "running", NOW + 60, NOW + 30)])
    return metrics


@pytest.fixture(scope="module")
def scrapes() -> dict[str, str]:
    process = ProcessMetrics()
    process.observe_poll(0.2)
    process.set_reload_succeeded(NOW)
    process.set_discoveries({"zilliz": DiscoveryStatus(up=True, clusters=2, last_success=NOW)})
    exposition = Exposition(process.registry)
    exposition.show([busy_cluster("prod"), busy_cluster("staging")])
    return {form: exposition.scrape(accept, NOW + 120)[0].decode() for form, accept in ACCEPT.items()}


def parsed(form, text):
    return list(text_families(text) if form == "text" else openmetrics_families(text))


@pytest.mark.parametrize("form", ACCEPT)
def test_every_metric_of_the_contract_is_there_with_its_type_and_labels_and_no_other(scrapes, form):
    shown = {}
    for family in parsed(form, scrapes[form]):
        if family.name.startswith("milvus_import_"):
            name = family.name.removeprefix("milvus_import_") + ("_total" if family.type == "counter" else "")
            shown[name] = (family.type, {frozenset(set(sample.labels) - {"le"}) for sample in family.samples})

    assert shown == {name: (kind, {frozenset(labels)}) for name, (kind, labels) in CONTRACT.items()}


def test_the_catalogue_of_families_says_what_is_shown():
    catalogue = {family.name: (family.type, {"milvus_cluster", *family.labels}) for family in FAMILIES}

    assert catalogue.items() <= CONTRACT.items()
    assert len(catalogue) == len(FAMILIES)
    assert {family.full_name for family in FAMILIES} == {f"milvus_import_{name}" for name in catalogue}


@pytest.mark.parametrize("form", ACCEPT)
def test_each_family_is_one_block_with_the_lines_of_all_clusters(scrapes, form):
    families = [line.split()[2] for line in scrapes[form].splitlines() if line.startswith("# TYPE ")]
    blocks = []
    for line in scrapes[form].splitlines():
        if not line.startswith("#"):
            name = line.split("{")[0].split(" ")[0]
            family = max((one for one in families if name.startswith(one)), key=len)
            if not blocks or blocks[-1] != family:
                blocks.append(family)

    assert len(families) == len(set(families))
    assert len(blocks) == len(set(blocks))
    assert {sample.labels["milvus_cluster"] for sample in parsed(form, scrapes[form])[0].samples} == {"prod", "staging"}


def test_both_formats_show_the_same(scrapes):
    def values(form):
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in parsed(form, scrapes[form])
            for sample in family.samples
            if sample.name.startswith("milvus_import_")
        }

    assert values("text") == values("openmetrics")
    assert len(values("text")) > 150


def test_openmetrics_names_counters_without_total_and_ends_with_eof_once(scrapes):
    heads = [line.split() for line in scrapes["openmetrics"].splitlines() if line.startswith("# TYPE ")]

    assert all(not name.endswith("_total") for _, _, name, kind in heads if kind == "counter")
    assert ["#", "TYPE", "milvus_import_polls", "counter"] in heads
    assert scrapes["openmetrics"].endswith("\n# EOF\n")
    assert scrapes["openmetrics"].count("# EOF") == 1


def test_the_text_format_names_counters_with_total_and_has_no_eof(scrapes):
    assert "# TYPE milvus_import_polls_total counter\n" in scrapes["text"]
    assert "# EOF" not in scrapes["text"]


def test_promtool_has_nothing_to_say():
    promtool = shutil.which("promtool") or missing("promtool is not installed (Debian: prometheus)")
    process = ProcessMetrics()
    exposition = Exposition(process.registry)
    exposition.show([busy_cluster("prod"), busy_cluster("staging")])
    body, _ = exposition.scrape("", NOW + 120)
    check = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True, check=False, timeout=30)

    assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")


def test_a_cluster_with_no_poll_yet_is_known_and_its_counters_begin_at_0():
    exposition = Exposition(ProcessMetrics().registry)
    exposition.show([ClusterMetrics(cluster("https://example.com", name="new"), KINDS)])
    lines = exposition.scrape("", NOW)[0].decode().splitlines()
    shown = [line for line in lines if line.startswith("milvus_import_") and 'milvus_cluster="new"' in line]
    shown = [line for line in shown if not line.startswith("milvus_import_job_")]  # the transitions and durations

    assert shown == [
        'milvus_import_cluster_owned{milvus_cluster="new"} 1',
        'milvus_import_cluster_paused{milvus_cluster="new"} 0',
        'milvus_import_cluster_missing{milvus_cluster="new"} 0',
        'milvus_import_cluster_info{milvus_cluster="new",cluster_id="",url="https://example.com",api="v2"} 1',
        'milvus_import_poll_interval_seconds{milvus_cluster="new"} 30.0',
        'milvus_import_poll_interval_stretch_ratio{milvus_cluster="new"} 1.0',
        'milvus_import_cluster_series_dropped{milvus_cluster="new"} 0',
        'milvus_import_polls_missed_total{milvus_cluster="new"} 0',
        *(f'milvus_import_poll_failures_total{{milvus_cluster="new",reason="{kind}"}} 0' for kind in KINDS),
        'milvus_import_bad_records_total{milvus_cluster="new"} 0',
        'milvus_import_jobs_left_early_total{milvus_cluster="new"} 0',
        'milvus_import_api_throttled_seconds_total{milvus_cluster="new",endpoint="list"} 0.0',
        'milvus_import_api_throttled_seconds_total{milvus_cluster="new",endpoint="describe"} 0.0',
        'milvus_import_polls_total{milvus_cluster="new"} 0',
        'milvus_import_api_requests_total{milvus_cluster="new",endpoint="list"} 0',
        'milvus_import_api_requests_total{milvus_cluster="new",endpoint="describe"} 0',
    ]


def test_the_kinds_of_failure_are_those_of_the_contract():
    assert " ".join(KINDS) == (
        "transient throttled unauthorized not_found bad_request bad_response timeout connection tls other"
    )


def test_an_on_demand_cluster_is_told_by_its_project_and_region():
    settings = cluster("https://example.com", name="x", project_id="proj-1", region_id="aws-eu")
    exposition = Exposition(ProcessMetrics().registry)
    exposition.show([ClusterMetrics(settings, [])])

    assert 'cluster_id="proj-1/aws-eu"' in exposition.scrape("", NOW)[0].decode()


def test_the_result_of_the_last_reload_is_shown():
    process = ProcessMetrics()
    process.set_reload_succeeded(NOW)
    process.set_reload_failed()

    assert process.registry.get_sample_value("milvus_import_config_last_reload_successful") == 0
    assert process.registry.get_sample_value("milvus_import_config_last_reload_success_timestamp_seconds") == NOW
