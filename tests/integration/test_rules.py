"""The rules for Prometheus: tried by promtool, written in the monitor's own words, and documented."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer
import yaml

from monitor.cli import app
from monitor.config import TARGET_LABELS
from monitor.jobs.advice import BY_FAILURE, COMMITTING, INCOMPLETE, PENDING, STALLED, UNCOMMITTED, VANISHED
from tests.promql import OWN_LABELS, UnknownNameError, Vocabulary, exported
from tests.venvs import missing

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = PROMETHEUS / "rules" / "milvus-import-monitor.yml"
SETTINGS = PROMETHEUS / "rules" / "milvus-import-settings.yml"
CASES = sorted((PROMETHEUS / "tests").glob("MilvusImport*.yml"))
OTHER_CASES = [PROMETHEUS / "tests" / name for name in ("labels.yml", "sums.yml")]
RUNBOOKS = ROOT / "docs" / "runbooks"
SITE = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Documentation"]

KINDS = {"fires", "below", "resolves", "restart", "replicas"}
"""What is tried of each alert; of those about a cluster also what becomes of them when it goes away."""

FROM_KNOWN = {
    "MilvusImportJobFailed",
    "MilvusImportLastImportFailed",
    "MilvusImportLastImportAborted",
    "MilvusImportJobStalled",
    "MilvusImportJobPendingTooLong",
    "MilvusImportJobUncommittedTooLong",
    "MilvusImportJobVanished",
    "MilvusImportJobIncomplete",
    "MilvusImportNotStarted",
    "MilvusImportWillMissDeadline",
    "MilvusImportDeadlineMissed",
    "MilvusImportTooFewRows",
    "MilvusImportKeyRejected",
}
"""Alerts about a series that a rule carries over while no monitor shows the cluster: once resolved, they stay so."""

ABOUT_EXPECTATIONS = {
    "MilvusImportNotStarted",
    "MilvusImportWillMissDeadline",
    "MilvusImportDeadlineMissed",
    "MilvusImportTooFewRows",
}
"""Alerts about expected imports, each with an action of its own."""

ALWAYS = {"MilvusImportWatchdog"}
"""Alerts that fire all the time: they are never absent, and wake nobody."""

SET_BY_USERS = {
    "milvus_import:settings:info": {"monitor_url", "runbooks_url", "runbooks_suffix"},
    "milvus_import:max_import_age:seconds": {"milvus_cluster", "database", "collection", "of", *OWN_LABELS},
}

_CLUSTER = {"milvus_cluster", *OWN_LABELS}
_COLLECTION = _CLUSTER | {"database", "collection"}
REMEMBERED = {
    "job_id:milvus_import_job_failed:known": _COLLECTION | {"job_id", "reason"},
    "job_id:milvus_import_job_vanished:known": _COLLECTION | {"job_id"},
    "job_id:milvus_import_job_incomplete:known": _COLLECTION | {"job_id"},
    "job_id_state:milvus_import_job_stalled:known": _COLLECTION | {"job_id", "state"},
    "collection:milvus_import_collection_last_finished_failed:known": _COLLECTION,
    "collection:milvus_import_collection_last_finished_aborted:known": _COLLECTION,
    "expectation_state:milvus_import_expectation_state:known": _COLLECTION | {"expectation", "state"},
    "expectation:milvus_import_expectation_delay_seconds:known": _COLLECTION | {"expectation"},
    "milvus_cluster_reason:milvus_import_cluster_failure:known": _CLUSTER | {"reason"},
}
"""What a rule goes by that it recorded itself at its last evaluation."""


ABOUT_NAMES = {
    "milvus_cluster_instance:milvus_import_cluster:counted",
    "milvus_cluster:milvus_import_cluster:unmonitored",
}
"""Series that other rules match by the name of the cluster alone."""


def rules(kind):
    """The rules of a kind, alert or record, in the order of the file, by name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule[kind]: rule for group in groups for rule in group["rules"] if kind in rule}


ALERTS = rules("alert")
RECORDS = rules("record")


def vocabulary():
    """What an expression may name: what the monitor exports, what users set, and what is recorded."""
    words = Vocabulary(exported() | SET_BY_USERS | REMEMBERED)
    for name, rule in RECORDS.items():
        words.series[name] = words.labels(rule["expr"])
    return words


def cases(alert):
    return yaml.safe_load((PROMETHEUS / "tests" / f"{alert}.yml").read_text())["tests"]


def promtool(*arguments, cwd=PROMETHEUS):
    """Run promtool, and return whether it was content, and what it said."""
    program = shutil.which("promtool") or missing("promtool is not installed (Debian: prometheus)")
    done = subprocess.run(
        [program, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False, timeout=100
    )
    return done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_rules_and_the_example_config():
    fine, said = promtool("check", "config", "prometheus.yml")

    assert fine, said
    assert said.count("2 rule files found") == 1
    assert f"{len(ALERTS) + len(RECORDS)} rules found" in said


@pytest.mark.parametrize("path", [*CASES, *OTHER_CASES], ids=lambda path: path.stem)
def test_every_case_of_the_rules_comes_out_as_told(path):
    fine, said = promtool("test", "rules", path)

    assert fine, said


def test_each_alert_has_cases_and_each_file_of_cases_has_its_alert():
    assert [path.stem for path in CASES] == sorted(ALERTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_is_tried_from_every_side(alert):
    tried = {case["name"].split(":")[0] for case in cases(alert)}

    assert tried >= (KINDS - {"below", "resolves"} if alert in ALWAYS else KINDS)
    if "milvus_cluster" in vocabulary().labels(ALERTS[alert]["expr"]):
        assert "cluster gone" in tried
    assert (alert in FROM_KNOWN) <= ("stays resolved" in tried)


@pytest.mark.parametrize("alert", ALERTS)
def test_the_cases_see_the_alert_with_every_annotation_and_see_its_absence(alert):
    seen, absent = [], 0
    for case in cases(alert):
        for check in case.get("alert_rule_test", []):
            assert check["alertname"] in ALERTS
            expected = check["exp_alerts"] if check["alertname"] == alert else []
            seen += [set(one["exp_annotations"]) for one in expected]
            absent += not expected
        for check in case.get("promql_expr_test", []):
            absent += not check["exp_samples"]

    assert seen
    assert all(annotations == set(ALERTS[alert]["annotations"]) for annotations in seen)
    assert absent or alert in ALWAYS


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_says_how_bad_it_is_what_it_means_and_where_to_look(alert):
    rule = ALERTS[alert]
    about_a_cluster = "milvus_cluster" in vocabulary().labels(rule["expr"])

    assert rule["labels"]["severity"] in ({"none"} if alert in ALWAYS else {"critical", "warning"})
    assert {"summary", "description", "runbook_url"} <= set(rule["annotations"])
    assert ("link" in rule["annotations"]) == about_a_cluster
    assert rule["annotations"]["runbook_url"].endswith(f"}}}}{SITE}runbooks/{alert}/{{{{ end }}}}")
    assert f"}}}}/{alert}{{{{" in rule["annotations"]["runbook_url"]


def test_alerts_about_jobs_say_what_to_do_in_the_words_of_the_pages():
    actions = {name: rule["annotations"]["action"] for name, rule in ALERTS.items() if "action" in rule["annotations"]}

    for variable, names in (
        ("$labels.reason", ["MilvusImportJobFailed"]),
        ("$reason", ["MilvusImportLastImportFailed", "MilvusImportLastImportAborted"]),
    ):
        for name in names:
            chosen = dict(re.findall(rf'if eq {re.escape(variable)} "(\w+)" }}}}([^{{]+)', actions.pop(name)))
            assert chosen == {failure: text for failure, text in BY_FAILURE.items() if failure != "other"}
            assert f"{{{{ else }}}}{BY_FAILURE['other']}{{{{ end }}}}" in ALERTS[name]["annotations"]["action"]
    assert all(len(actions.pop(name)) > 50 for name in ABOUT_EXPECTATIONS)
    stalled = actions.pop("MilvusImportJobStalled")
    assert stalled == f'{{{{ if eq $labels.state "committing" }}}}{COMMITTING}{{{{ else }}}}{STALLED}{{{{ end }}}}'
    assert actions == {
        "MilvusImportJobPendingTooLong": PENDING,
        "MilvusImportJobUncommittedTooLong": UNCOMMITTED,
        "MilvusImportJobVanished": VANISHED,
        "MilvusImportJobIncomplete": INCOMPLETE,
    }


@pytest.mark.parametrize("alert", ALERTS)
def test_the_annotations_name_only_labels_and_series_that_there_are(alert):
    words = vocabulary()
    labels = words.labels(ALERTS[alert]["expr"])
    text = " ".join(ALERTS[alert]["annotations"].values())
    queries = re.findall(r'(?:query|printf) "((?:[^"\\]|\\.)+)"', text)

    assert set(re.findall(r"\$labels\.(\w+)", text)) <= labels
    assert queries
    for query in queries:
        words.labels(query.replace('\\"', '"').replace("%q", '"x"'))


@pytest.mark.parametrize("name", [*ALERTS, *RECORDS])
def test_each_expression_names_only_metrics_labels_and_values_that_there_are(name):
    words = vocabulary()

    words.labels((ALERTS.get(name) or RECORDS[name])["expr"])


def test_a_rule_that_remembers_itself_records_what_it_reads():
    words = vocabulary()

    assert {name: words.series[name] for name in REMEMBERED} == REMEMBERED
    assert all(name in RECORDS[name]["expr"] for name in REMEMBERED)


@pytest.mark.parametrize(
    "expression",
    [
        "milvus_import_jobz",
        'milvus_import_jobs{state="runing"}',
        'milvus_import_poll_failures_total{reason=~"timeout|unauthorised"}',
        "sum by (job_id) (milvus_import_jobs)",
        "milvus_import_jobs and on (job_id) milvus_import_job_failed",
        "max without (replica) (milvus_import_jobs)",
    ],
)
def test_a_misspelt_expression_would_be_noticed(expression):
    with pytest.raises(UnknownNameError):
        vocabulary().labels(expression)


@pytest.mark.parametrize("path", [*CASES, *OTHER_CASES], ids=lambda path: path.stem)
def test_the_cases_feed_only_series_that_there_are(path):
    words = vocabulary()
    words.series |= {"ALERTS": {"alertname", "alertstate", *words.series["milvus_import_job_failed"]}}
    for case in yaml.safe_load(path.read_text())["tests"]:
        for series in case["input_series"]:
            labels = words.labels(series["series"])
            given = set(re.findall(r"[{,]\s*(\w+)=", series["series"]))
            assert given >= labels & {"milvus_cluster", "collection", "job_id", "state", "reason"}, series["series"]


@pytest.mark.parametrize("alert", ALERTS)
def test_no_alert_is_told_once_for_each_replica(alert):
    labels = vocabulary().labels(ALERTS[alert]["expr"])

    if "milvus_cluster" in labels:
        assert not labels & set(TARGET_LABELS)
    elif alert != "MilvusImportMonitorDown":  # the one alert that is about a replica
        assert not labels & {"instance", "pod"}


@pytest.mark.parametrize("name", [*ALERTS, *RECORDS])
def test_every_rule_about_a_cluster_keeps_the_clusters_own_labels(name):
    labels = vocabulary().labels((ALERTS.get(name) or RECORDS[name])["expr"])

    assert ("milvus_cluster" in labels) == (labels >= _CLUSTER) or name in ABOUT_NAMES


def test_every_rule_that_drops_the_labels_of_targets_drops_all_of_them():
    lists = re.findall(r"without \(([^)]*instance[^)]*)\)", RULES.read_text())

    assert len(lists) > 20
    assert all(one.endswith(", ".join(TARGET_LABELS)) for one in lists)


def seconds(duration):
    return sum(
        int(number) * {"m": 60, "h": 3600, "d": 86400}[unit] for number, unit in re.findall(r"(\d+)([mhd])", duration)
    )


def test_what_is_known_outlasts_the_wait_for_the_alerts_that_inhibit_it():
    windows = {
        window
        for name in RECORDS
        if "increase" not in name
        for window in re.findall(r"\[(15m)\]", RECORDS[name]["expr"])
    }

    assert windows == {"15m"}
    for alert in ("MilvusImportClusterUnreachable", "MilvusImportKeyRejected", "MilvusImportMonitorAbsent"):
        assert seconds(ALERTS[alert]["for"]) < 900


def test_every_value_that_is_carried_over_is_so_by_the_same_rule():
    for name in REMEMBERED:
        own = RECORDS[name]["expr"].replace("\n", " ").split(" or ")[-1]

        assert (
            own.split() == f"({name} and on (milvus_cluster) milvus_cluster:milvus_import_cluster:unmonitored)".split()
        )


def uncommented(tmp_path):
    """The settings with every example in force."""
    text = re.sub(r"^    #", "    ", SETTINGS.read_text(), flags=re.MULTILINE).replace("rules: []", "rules:")
    path = tmp_path / "settings.yml"
    path.write_text(text)
    return path


def test_the_settings_set_nothing_until_somebody_edits_them():
    assert all(group["rules"] == [] for group in yaml.safe_load(SETTINGS.read_text())["groups"])


def test_the_examples_in_the_settings_work(tmp_path):
    settings = uncommented(tmp_path)
    fine, said = promtool("check", "rules", settings)
    assert fine, said
    assert "5 rules found" in said

    films = 'milvus_cluster="prod-eu", collection="films", instance="a:19595"'
    first_seen = f'milvus_import_job_first_seen_timestamp_seconds{{{films}, job_id="1"}}'
    completed = 'milvus_import_collection_last_completed_timestamp_seconds{milvus_cluster="prod-eu", '
    up = 'milvus_import_cluster_up{milvus_cluster="prod-eu", instance="a:19595"}'
    series = [
        {"series": completed + 'database="default", collection="books", instance="a:19595"}', "values": "0x1100"},
        {"series": completed + 'collection="films", instance="a:19595"}', "values": "0x1100"},
        {"series": completed + 'collection="tmp_1", instance="a:19595"}', "values": "0x1100"},
        {"series": up, "values": "1x1100"},
        {"series": first_seen, "values": "0x1100"},
        {"series": f"milvus_import_collection_typical_duration_seconds{{{films}}}", "values": "36000x1100"},
        {"series": f"milvus_import_collection_last_completed_short{{{films}}}", "values": "0x1000 1x10 0x90"},
    ]
    long, short = (f'count(ALERTS{{alertname="MilvusImport{name}"}})' for name in ("TakesLong", "WasShort"))
    firing = 'count by (collection) (ALERTS{alertname="MilvusImportNoSuccessfulImport", alertstate="firing"})'
    books, films = ({"labels": f'{{collection="{name}"}}', "value": 1} for name in ("books", "films"))
    address = "milvus_import:settings:info"
    shown = f'{address}{{monitor_url="https://imports.example.com", runbooks_suffix=".md", runbooks_url="https://git.example.com/milvus-import-monitor/docs/runbooks"}}'
    checks = [
        {"expr": firing, "eval_time": "26h10m", "exp_samples": []},
        {"expr": firing, "eval_time": "26h20m", "exp_samples": [books]},
        {"expr": firing, "eval_time": "7d20m", "exp_samples": [books, films]},
        {"expr": long, "eval_time": "30h", "exp_samples": []},
        {"expr": long, "eval_time": "30h10m", "exp_samples": [{"labels": "{}", "value": 1}]},
        {"expr": short, "eval_time": "10000m", "exp_samples": []},
        {"expr": short, "eval_time": "10010m", "exp_samples": [{"labels": "{}", "value": 1}]},
        {"expr": address, "eval_time": "1h", "exp_samples": [{"labels": shown, "value": 1}]},
    ]
    case = {"interval": "10m", "input_series": series, "promql_expr_test": checks}
    test = {"rule_files": [str(RULES), str(settings)], "evaluation_interval": "10m", "tests": [case]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test))

    fine, said = promtool("test", "rules", tmp_path / "test.yml")

    assert fine, said


def test_the_alerts_are_documented_as_they_are():
    table = re.findall(
        r"^\| \[`(\w+)`\]\(runbooks/(\w+)\.md\) \| (\w+) \| (\w*) ?\| (.+) \|$",
        (ROOT / "docs" / "alerts.md").read_text(),
        re.MULTILINE,
    )

    assert [row[:4] for row in table] == [
        (name, name, rule["labels"]["severity"], rule.get("for", "")) for name, rule in ALERTS.items()
    ]


def test_the_recorded_series_are_documented_as_they_are():
    text = (ROOT / "docs" / "alerts.md").read_text().split("## Recorded series\n", 1)[1].split("\n## ", 1)[0]

    assert re.findall(r"^\| `([\w:]+)` \|", text, re.MULTILINE) == list(RECORDS)


def test_each_alert_has_its_runbook_and_each_runbook_its_alert():
    assert sorted(path.stem for path in RUNBOOKS.glob("*.md")) == sorted(ALERTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_each_runbook_has_meaning_diagnosis_and_mitigation(alert):
    text = (RUNBOOKS / f"{alert}.md").read_text()

    assert text.startswith(f"# {alert}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Meaning", "Diagnosis", "Mitigation"]


@pytest.mark.parametrize(
    "page", [*sorted(RUNBOOKS.glob("*.md")), ROOT / "docs" / "alerts.md"], ids=lambda page: page.stem
)
def test_the_queries_in_the_docs_name_only_what_there_is(page):
    words = vocabulary()
    words.series["ALERTS"] = frozenset({"alertname", "alertstate", "severity"}) | words.labels(
        "milvus_import_job_failed"
    )
    for query in re.findall(r"```promql\n(.*?)```", page.read_text(), re.DOTALL):
        for one in query.split("\n\n"):
            words.labels(one)


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_a_runbook_names_only_events_settings_and_commands_that_there_are(page):
    log, settings = ((ROOT / "docs" / name).read_text() for name in ("log.md", "configuration.md"))
    text = page.read_text()

    for event in re.findall(r"\.event == \"(\w+)\"", text):
        assert f"| `{event}` |" in log, event
    for setting in re.findall(r"`((?:jobs|poll|state)\.\w+)`", text):
        assert f"| `{setting}` |" in settings, setting
    commands = re.findall(r"^\$ milvus-import-monitor ([a-z-]+)", text, re.MULTILINE)
    assert set(commands) <= set(typer.main.get_command(app).commands)
