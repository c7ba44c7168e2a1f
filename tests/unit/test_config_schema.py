"""The JSON Schema says what the loader does, and the examples work as they are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from monitor.config import json_schema, load, parse

OTHERS = {"alertmanager.yml", "web.yml"}  # other kinds of files; test_alertmanager.py and test_web_config.py load them
EXAMPLES = [path for path in sorted((Path(__file__).parents[2] / "config").glob("*.yml")) if path.name not in OTHERS]
ENVIRON = {"ZILLIZ_API_KEY": "0123456789", "MILVUS_PASSWORD": "Milvus", "PORT": "19595"}


def sections(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {"": schema, **schema["$defs"]}


def test_the_schema_names_its_dialect_and_describes_every_setting() -> None:
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == "milvus-import-monitor config file"
    assert [one["required"] for one in schema["anyOf"]] == [["clusters"], ["discovery"]]
    for name, section in sections(schema).items():
        assert section["description"], name
        assert section["additionalProperties"] is False, name
        for key, setting in section["properties"].items():
            assert setting["description"], f"{name}.{key}"
    json.dumps(schema)


def test_the_defaults_in_the_schema_are_those_of_the_loader() -> None:
    schema = json_schema()
    defaults = {
        key: setting["default"]
        for name, section in sections(schema).items()
        if name not in {"Discovery", "ZillizAccount", "Expectation"}
        for key, setting in section["properties"].items()
        if "default" in setting
    }
    assert defaults == {
        "listen": "127.0.0.1:19595",
        "format": "auto",
        "level": "info",
        "url": "sqlite:///state.db",
        "retention": "30d",
        "takeover": "8s",
        "interval": "30s",
        "active_interval": "10s",
        "timeout": "10s",
        "page_size": 100,
        "requests_per_second": 10.0,
        "concurrency": 32,
        "stall_after": "30m",
        "pending_after": "1h",
        "uncommitted_after": "1h",
        "failed_retention": "24h",
        "series_per_cluster": 1000,
        "api": "v2",
        "insecure_skip_verify": False,
    }
    written = {
        "listen": defaults["listen"],
        "log": {key: defaults[key] for key in ("format", "level")},
        "state": {key: defaults[key] for key in ("url", "retention")},
        "replicas": {"takeover": defaults["takeover"]},
        "poll": {key: defaults[key] for key in schema["$defs"]["PollSection"]["properties"]},
        "jobs": {key: defaults[key] for key in schema["$defs"]["JobSettings"]["properties"]},
        "clusters": [{"name": "a", "url": "http://a", "api": "v2", "tls": {"insecure_skip_verify": False}}],
    }
    explicit = parse(json.dumps(written), source="x", directory=Path(), environ={})
    assert explicit == parse("clusters: [{name: a, url: 'http://a'}]", source="x", directory=Path(), environ={})


def test_a_cluster_in_the_schema_starts_with_its_name_and_ends_with_what_it_can_override() -> None:
    cluster = json_schema()["$defs"]["Cluster"]["properties"]
    assert list(cluster)[:3] == ["name", "url", "api"]
    assert cluster["interval"]["description"].endswith("Overrides poll.interval.")
    assert cluster["stall_after"]["description"].endswith("Overrides jobs.stall_after.")
    assert "concurrency" not in cluster


def test_a_discovery_in_the_schema_has_defaults_and_can_override_what_a_cluster_can() -> None:
    found = json_schema()["$defs"]["Discovery"]
    defaults = {key: setting["default"] for key, setting in found["properties"].items() if "default" in setting}
    cluster = json_schema()["$defs"]["Cluster"]["properties"]

    assert defaults == {"max_clusters": 1000, "interval": "5m"}
    assert found["properties"]["poll_interval"]["description"].endswith("Overrides poll.interval.")
    assert cluster.keys() - found["properties"].keys() == {"url", "api", "cluster_id", "project_id", "region_id"}


def test_a_duration_in_the_schema_is_a_pattern_and_every_setting_may_be_a_variable() -> None:
    kinds = json_schema()["$defs"]["PollSection"]["properties"]["interval"]["anyOf"]
    duration, variable = (re.compile(kind["pattern"]) for kind in kinds)
    assert duration.search("1h30m")
    assert not duration.search("30")
    assert not duration.search("")
    assert variable.search("${INTERVAL}")


def test_there_are_examples() -> None:
    assert [path.name for path in EXAMPLES] == [
        "demo.yml",
        "discovery.yml",
        "milvus.yml",
        "mixed-fleet.yml",
        "zilliz-cloud.yml",
    ]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_loads_with_the_variables_it_names(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = set(re.findall(r"(?<!\$)\$\{(\w+)\}", text))
    config = load(path, {name: ENVIRON[name] for name in named})
    assert {cluster.name for cluster in config.clusters} >= {"milvus"} or len(config.clusters) > 2


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_tells_a_newcomer_which_variables_to_set(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    comments = "\n".join(line for line in text.splitlines() if line.lstrip().startswith("#"))
    for name in re.findall(r"(?<!\$)\$\{(\w+)\}", text):
        assert name in comments
