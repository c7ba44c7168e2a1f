"""The labels of a cluster in the config: what is taken, and what is refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from monitor.config import RESERVED_LABELS, TARGET_LABELS, Cluster, ConfigError, json_schema, parse
from monitor.metrics import FAMILIES, ProcessMetrics

MEANT = "is already a label of the monitor, of Prometheus or of an alert; choose another name"
NAME = "the name of a label must be 1 to 64 letters, digits and underscores, the first no digit"
VALUE = "must be 1 to 128 printable characters without a space at either end"


def loaded(labels: str) -> Cluster:
    text = f"clusters:\n  - name: a\n    url: http://a\n    labels: {labels}\n"
    (cluster,) = parse(text, source="config.yml", directory=Path(), environ={"TEAM": "search"}).clusters
    return cluster


@pytest.mark.parametrize(
    ("written", "labels"),
    [
        ("{}", {}),
        ("{team: search, env: prod}", {"env": "prod", "team": "search"}),
        ("{tier: 1, on: no, id: 007}", {"id": "007", "on": "no", "tier": "1"}),
        ("{team: '${TEAM}'}", {"team": "search"}),
        ("{_team: 'a \"b\" \\ {c}, d=é'}", {"_team": 'a "b" \\ {c}, d=é'}),
    ],
)
def test_labels_are_text_as_it_is_written(written: str, labels: dict[str, str]) -> None:
    cluster = loaded(written)

    assert cluster.labels == labels
    assert list(cluster.labels) == sorted(labels)
    assert hash(cluster) == hash(loaded(written))
    assert cluster.identity() == loaded("{}").identity()


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("", "labels: is empty; write a value or remove the key"),
        ("team", "labels: must be a mapping of settings (key: value)"),
        ("[team]", "labels: must be a mapping of settings (key: value)"),
        ("{team: }", "labels.team: is empty; write a value or remove the key"),
        ("{team: ''}", "labels.team: is empty; write a value or remove the key"),
        ("{team: [a]}", "labels.team: must be a single value, not a list"),
        ("{team: {a: b}}", "labels.team: must be a single value, not a mapping"),
        ("{team: ' a'}", f"labels.team: {VALUE}"),
        ('{team: "a\\nb"}', f"labels.team: {VALUE}"),
        (f"{{team: {'a' * 129}}}", f"labels.team: {VALUE}"),
        ("{my-team: a}", f"labels.my-team: {NAME}"),
        ("{1a: a}", f"labels: {NAME}"),
        ("{équipe: a}", f"labels: {NAME}"),
        (f"{{{'a' * 65}: a}}", f"labels: {NAME}"),
        ("{__team: a}", "labels.__team: the name of a label must not start with __, which Prometheus reserves"),
        ("{severity: critical}", f"labels.severity: {MEANT}"),
        ("{exported_job: a}", f"labels.exported_job: {MEANT}"),
        ("{team: a, team: b}", "labels.team: duplicate key; it is first given on line 4"),
        (f"{{{', '.join(f'a{number}: b' for number in range(17))}}}", "labels: must have at most 16 items"),
    ],
)
def test_what_is_no_label_is_refused_in_one_sentence(written: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(written)

    assert caught.value.problems == (f"config.yml:4: clusters[0].{problem}",)


def test_a_misspelt_label_of_many_lines_is_found_on_its_line() -> None:
    with pytest.raises(ConfigError) as caught:
        loaded("\n      team: search\n      state: busy")

    assert caught.value.problems == (f"config.yml:6: clusters[0].labels.state: {MEANT}",)


def test_no_label_of_the_monitor_or_of_a_scrape_can_be_given_to_a_cluster() -> None:
    ours = {name for family in FAMILIES for name in family.labels} | {"milvus_cluster", "le"}
    ours |= {name for own in ProcessMetrics().registry.collect() for sample in own.samples for name in sample.labels}
    contract = {"expectation", "discovery", "alertname", "alertstate", "severity"}

    assert ours | contract | set(TARGET_LABELS) <= RESERVED_LABELS


@pytest.mark.parametrize(
    ("labels", "valid"),
    [
        ({"team": "search"}, True),
        ({"state": "busy"}, False),
        ({"__team": "a"}, False),
        ({"my-team": "a"}, False),
        ({"team": ""}, False),
    ],
)
def test_the_schema_for_editors_says_the_same(labels: dict[str, str], valid: bool) -> None:
    config = {"clusters": [{"name": "a", "url": "http://a", "labels": labels}]}

    assert jsonschema.Draft202012Validator(json_schema()).is_valid(config) == valid
