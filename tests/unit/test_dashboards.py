"""The committed dashboards are what their source builds, and name only what there is."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana import source
from deploy.grafana.source.frame import ANNOTATION
from tests.grafana import FOLDER, dashboards, filled, panels, targets
from tests.promql import TARGET_LABELS, Vocabulary, exported

ALERTS = {"alertname", "alertstate", "severity", "milvus_cluster", "database", "collection", "job_id"}
DASHBOARDS = dashboards()
PAGES = {
    "/": {"cluster"},
    "/job": {"cluster", "id"},
    "/collection": {"cluster", "database", "collection"},
}
"""The pages of the monitor, and what they are asked for."""

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
ALERT_OF_THE_ROW = "${__data.fields.alertname:percentencode}"

everywhere = pytest.mark.parametrize("name", DASHBOARDS)


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary(exported() | {"ALERTS": TARGET_LABELS | ALERTS})


def variables(name: str) -> set[str]:
    return {variable["name"] for variable in DASHBOARDS[name]["templating"]["list"]}


def choice(name: str) -> dict[str, str]:
    return dict.fromkeys(variables(name), ".*")


def links(name: str) -> list[str]:
    """The URLs behind the cells of a dashboard's tables, and of its panels."""
    of_panels = [link["url"] for panel in panels(DASHBOARDS[name]) for link in panel.get("links", [])]
    return of_panels + [
        link["url"]
        for panel in panels(DASHBOARDS[name])
        for override in panel["fieldConfig"]["overrides"]
        for wanted in override["properties"]
        if wanted["id"] == "links"
        for link in wanted["value"]
    ]


def test_the_committed_files_are_what_the_source_builds():
    assert {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")} == source.dashboards(), (
        "make dashboards"
    )


@everywhere
def test_grafanas_own_model_knows_every_field(name):
    register_default_plugins()
    read = json.loads(json.dumps(Dashboard.from_json(DASHBOARDS[name]), cls=JSONEncoder))

    # What the data source adds to an annotation is not in the model of what all data sources share, nor is what only an
    # import reads.
    known = {f"/annotations/list/0/{field}" for field in ANNOTATION} | {"/__inputs", "/__elements", "/__requires"}
    assert set(forgotten(DASHBOARDS[name], read)) == known


def forgotten(written: Any, read: Any, path: str = "") -> Iterator[str]:
    """Where something was written that was not read."""
    if isinstance(written, dict) and isinstance(read, dict):
        for key, value in written.items():
            yield from forgotten(value, read.get(key), f"{path}/{key}")
    elif isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        for index, (one, other) in enumerate(zip(written, read, strict=True)):
            yield from forgotten(one, other, f"{path}/{index}")
    elif written != read:
        yield path


@everywhere
def test_queries_name_only_metrics_labels_and_values_that_there_are(name, vocabulary):
    for _, target in targets(DASHBOARDS[name]):
        vocabulary.labels(filled(target["expr"], choice(name)))
    for variable in DASHBOARDS[name]["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()
            assert label in vocabulary.labels(filled(selector, choice(name)))


@everywhere
def test_columns_links_and_legends_name_labels_that_the_queries_give(name, vocabulary):
    for panel in panels(DASHBOARDS[name]):
        given = [vocabulary.labels(filled(target["expr"], choice(name))) for target in panel["targets"]]
        for target, labels in zip(panel["targets"], given, strict=True):
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels, panel["title"]
        if panel["type"] == "table":
            letters = [target["refId"] for target in panel["targets"]]
            shown = {"Value"} if len(letters) == 1 else {f"Value #{letter}" for letter in letters}
            columns = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
            known = shown | frozenset().union(*given)
            assert columns <= known, panel["title"]
            clicks = json.dumps(panel["fieldConfig"]["overrides"])
            assert set(re.findall(r"__data\.fields\.(\w+)", clicks)) <= columns, panel["title"]


@everywhere
def test_queries_count_what_several_monitors_see_once(name, vocabulary):
    for title, target in targets(DASHBOARDS[name]):
        labels = vocabulary.labels(filled(target["expr"], choice(name)))
        assert not labels & (TARGET_LABELS - {"instance"}), title
        if "instance" in labels:
            assert name == "fleet", title
            assert title.split(" ")[0] in {"CPU", "Memory", "Versions"}, title


@everywhere
def test_variables_are_defined_before_they_are_used(name):
    used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(DASHBOARDS[name])))
    assert used == variables(name)
    defined: set[str] = set()
    for variable in DASHBOARDS[name]["templating"]["list"]:
        used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(variable)))
        assert used <= defined, variable["name"]
        defined.add(variable["name"])


@everywhere
def test_links_lead_to_dashboards_and_pages_that_there_are(name):
    dashboards_by_uid = {dashboard["uid"]: other for other, dashboard in DASHBOARDS.items()}
    for url in links(name):
        path, _, query = url.partition("?")
        if path.startswith("${monitor}"):
            assert set(parse_qs(query)) == PAGES[path.removeprefix("${monitor}")], url
        elif path.startswith("${runbooks}"):
            alert = path.removeprefix("${runbooks}/")
            assert (RUNBOOKS / f"{alert}.md").exists() or alert == ALERT_OF_THE_ROW, url
        else:
            given = {key.removeprefix("var-") for key in parse_qs(query) if key.startswith("var-")}
            assert given <= variables(dashboards_by_uid[urlsplit(path).path.removeprefix("/d/")]), url
    assert links(name)


@everywhere
def test_every_panel_says_what_it_shows_in_which_unit_and_where(name):
    for panel in panels(DASHBOARDS[name]):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
        if panel["type"] in {"stat", "timeseries"}:
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


@everywhere
def test_panels_lie_side_by_side_and_have_numbers_of_their_own(name):
    placed = DASHBOARDS[name]["panels"]
    assert len({panel["id"] for panel in placed}) == len(placed)
    spots = [(panel["title"], *(panel["gridPos"][key] for key in "xywh")) for panel in placed]
    assert all(x + width <= 24 for _, x, _, width, _ in spots)
    assert not [(one[0], other[0]) for one, other in combinations(spots, 2) if overlap(one[1:], other[1:])]


def overlap(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    (x, y, width, height), (u, v, wide, high) = one, other
    return x < u + wide and u < x + width and y < v + high and v < y + height


@everywhere
def test_an_import_asks_for_the_data_source_and_uses_it(name):
    dashboard = DASHBOARDS[name]
    (asked,) = dashboard["__inputs"]
    imported = json.loads(json.dumps(dashboard).replace(f"${{{asked['name']}}}", "uid-of-the-data-source"))
    (variable,) = [one for one in imported["templating"]["list"] if one["name"] == "datasource"]

    assert (asked["type"], asked["pluginId"]) == ("datasource", variable["query"])
    assert variable["current"]["value"] == "uid-of-the-data-source"
    assert "${DS_" not in json.dumps(imported)


@everywhere
def test_a_provisioned_dashboard_needs_no_input_but_for_its_first_choice(name):
    without = deepcopy(DASHBOARDS[name])
    for one in without["templating"]["list"]:
        if one["type"] == "datasource":
            del one["current"]  # no data source has this name, so Grafana selects one that there is

    assert "${DS_" not in json.dumps(without)
    assert "${VAR_" not in json.dumps(without)


@everywhere
def test_an_import_requires_the_panels_that_there_are(name):
    required = {(one["type"], one["id"]) for one in DASHBOARDS[name]["__requires"]}
    used = {("panel", panel["type"]) for panel in panels(DASHBOARDS[name])}

    assert required == used | {("grafana", "grafana"), ("datasource", "prometheus")}
    assert all(set(one) == {"type", "id", "name", "version"} for one in DASHBOARDS[name]["__requires"])


@everywhere
def test_dashboards_are_found_by_their_tags(name):
    links = DASHBOARDS[name]["links"]

    assert {"milvus-import", "milvus", "prometheus", "zilliz"} == set(DASHBOARDS[name]["tags"])
    assert [link["tags"] for link in links if link["type"] == "dashboards"] == [["milvus-import"]]


def test_the_dashboards_are_documented():
    page = (Path(__file__).parents[2] / "docs" / "dashboards.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `(\w+)\.json` \| ([^|]+) \|", page, re.MULTILINE)

    assert dict(documented) == {name: dashboard["title"] for name, dashboard in DASHBOARDS.items()}


def test_grafana_is_told_where_dashboards_and_prometheus_are():
    provisioning = Path(FOLDER).parent / "provisioning"
    (datasource,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards/milvus-import-monitor.yml").read_text())["providers"]

    assert (datasource["type"], datasource["isDefault"]) == ("prometheus", True)
    assert provider["options"] == {"path": "/var/lib/grafana/dashboards"}
