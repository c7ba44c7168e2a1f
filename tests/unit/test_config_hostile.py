"""Whatever is in the file: a `ConfigError` in bounded time and memory, and no secret in sight."""

from __future__ import annotations

import json
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.config import Config, ConfigError, document, json_schema, load, parse
from monitor.config.cluster import MAX_CLUSTERS
from monitor.config.document import MAX_DEPTH, MAX_REPORTED, MAX_SCALAR
from monitor.config.files import MAX_CONFIG_BYTES
from monitor.config.validation import MAX_SUGGESTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = "s3cr3t-Mark"
CLUSTER = "clusters: [{name: a, url: 'http://a:19530'}]\n"


def attempt(text: str, environ: dict[str, str] | None = None) -> Config | ConfigError:
    outcome: Config | ConfigError
    try:
        outcome = parse(text, source="config.yml", directory=Path("/nowhere"), environ=environ or {})
    except ConfigError as error:
        outcome = error
    if isinstance(outcome, ConfigError):
        assert 0 < len(outcome.problems) <= MAX_REPORTED + 1
        assert all(line.isprintable() and "pydantic" not in line for line in outcome.problems)
    return outcome


def only_problem(text: str, environ: dict[str, str] | None = None) -> str:
    error = attempt(text, environ)
    assert isinstance(error, ConfigError)
    assert len(error.problems) == 1
    return error.problems[0]


@given(st.text())
@example("\ud800")
@example("\ufeff")
@example("a: '\\ud800'")
@example('a: "\\ud800"')
@example("%YAML 3.0\n--- a")
@example("<<: {a: b}")
@example("&a [*a]")
def test_any_text_is_a_config_or_a_config_error(text: str) -> None:
    attempt(text)


@given(st.text(alphabet=" \n-:[]{}&*!|>'\"%#,?ab<0~"))
def test_any_punctuation_is_a_config_or_a_config_error(text: str) -> None:
    attempt(text)
    # The parser in pure Python, which stands in where libyaml is missing, keeps the same promise.
    with patch.object(document, "LOADER", yaml.BaseLoader):
        attempt(text)


def known_keys() -> list[str]:
    schema = json_schema()
    keys = {key for section in (schema, *schema["$defs"].values()) for key in section["properties"]}
    return sorted(keys)


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["30s", "v1", "http://a", "https://zilliz.com", "${X}", "${Y}", "$${", ":1", "memory://", "/dev/null"]
    ),
)
SETTINGS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(known_keys()) | st.text(max_size=5), inner, max_size=8),
    ),
    max_leaves=30,
)


@given(st.dictionaries(st.sampled_from(sorted(json_schema()["properties"])), SETTINGS), st.lists(SETTINGS, max_size=3))
def test_any_settings_are_a_config_or_a_config_error(settings: dict[str, Any], clusters: list[Any]) -> None:
    settings["clusters"] = clusters or settings.get("clusters")
    attempt(json.dumps(settings), {"X": "value"})


PLACES = [
    "api_key: {mark}{newline}",
    "api_key: [{mark}]",
    "api_key: {{{mark}: {mark}}}",
    "api_key: {{{mark}: 1, {mark}: 2}}",
    "api_key: {{a: '${{NOPE}}', {mark}: '${{NOPE}}'}}",
    "api_key: '{mark}ключ'",
    'api_key: "{mark}\\n"',
    'api_key: "{mark}\\x07"',
    "api_key: '{mark}${{'",
    "api_key: '{mark}${{NOPE}}'",
    "api_key: '${{EMPTY}}{mark}'",
    "api_key: *{mark}",
    "api_key: !{mark} a",
    "api_key: '{mark}",
    "'api_key:{mark}': x",
    "'api_key {mark}': x",
    "{{api_key:{mark}}}: x",
    "api_kye: {mark}",
    "api_key: {mark}\n    api_key: {mark}",
    "api_key: ${{MARK}}\n    api_key_file: x",
    "api: {mark}",
    "api: ${{MARK}}",
    "cluster_id: 'a {mark}'",
    "databases: {mark}",
    "databases: [{mark}, {mark}]",
    "interval: {mark}",
    "page_size: ${{MARK}}",
    "tls: {mark}",
    "tls: {{insecure_skip_verify: ${{MARK}}}}",
    "name: {mark}",
    "url: http://root:{mark}@b",
    "url: http://b?key={mark}",
]


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_is_in_no_message_and_in_no_traceback(place: str) -> None:
    settings = place.format(mark=MARK, newline="")
    text = f"clusters:\n  - name: a\n    url: http://a\n    {settings}\n    page_size: wrong\n"
    with pytest.raises(ConfigError) as caught:
        parse(text, source="config.yml", directory=Path("/nowhere"), environ={"MARK": MARK, "EMPTY": ""})
    assert MARK not in str(caught.value)
    assert MARK not in repr(caught.value)
    assert caught.value.__context__ is None
    assert MARK not in "".join(traceback.format_exception(caught.value)[2:])


def test_a_secret_is_in_no_repr_and_in_no_schema() -> None:
    text = (
        "clusters: [{name: a, url: 'http://a', api_key: '${MARK}'}, {name: b, url: 'http://b', api_key: 'u:${MARK}'}]"
    )
    config = parse(text, source="config.yml", directory=Path(), environ={"MARK": MARK})
    assert MARK in config.secrets()
    assert MARK not in repr(config)
    assert MARK not in str(config)
    assert MARK not in json.dumps(json_schema())


TOO_MANY = "the file holds more than 1,000,000 keys and values, counting what its aliases stand for"


def billion_laughs() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 20)]
    return "\n".join(lines)


def quadratic_aliases() -> str:
    return f"a: &a [{', '.join('x' * 50_000)}]\nb: [{', '.join(['*a'] * 50_000)}]"


def aliased_depth() -> str:
    return "\n".join(["a0: &a0 []", *(f"a{level}: &a{level} [*a{level - 1}]" for level in range(1, 100))])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (billion_laughs, ": the file holds more than 1,000,000 keys and values, counting what its aliases stand for"),
        (
            quadratic_aliases,
            ":2: the file holds more than 1,000,000 keys and values, counting what its aliases stand for",
        ),
        (lambda: "[" * 1_000_000, f":1: nested deeper than {MAX_DEPTH} levels"),
        (lambda: "{a: " * 100_000, f":1: nested deeper than {MAX_DEPTH} levels"),
        (lambda: "- " * 500_000, f":1: nested deeper than {MAX_DEPTH} levels"),
        (lambda: "a: " + "x" * (MAX_SCALAR + 1), ":1: a value is longer than 32,768 characters"),
        (
            lambda: f"listen: {'${X}' * 40}\n{CLUSTER}",
            ":1: listen: is longer than 32,768 characters with its environment variables filled in",
        ),
        (
            lambda: "clusters: [" + "{}, " * (MAX_CLUSTERS + 1) + "]",
            ":1: clusters: lists 20,001 clusters; at most 20,000 are allowed",
        ),
    ],
)
def test_a_file_beyond_a_bound_is_refused_quickly(text: Callable[[], str], message: str) -> None:
    written = text()
    started = time.perf_counter()
    problem = only_problem(written, {"X": "x" * 1000})
    assert time.perf_counter() - started < 10
    assert problem.startswith("config.yml:")
    assert problem.endswith(message)


def test_depth_by_aliases_costs_nothing() -> None:
    assert isinstance(attempt(aliased_depth()), ConfigError)


def test_aliases_of_one_value_share_its_problem() -> None:
    text = "clusters:\n- &a {name: '${NOPE}', url: 'http://a', databases: [x]}\n" + "- *a\n" * 1000
    error = attempt(text)
    assert isinstance(error, ConfigError)
    assert error.problems == ("config.yml:2: clusters[0].name: environment variable NOPE is not set",)


def test_a_hundred_thousand_unknown_keys_are_counted_and_not_each_looked_up() -> None:
    keys = "".join(f"clusterz{number}: 1\n" for number in range(100_000))
    started = time.perf_counter()
    error = attempt(CLUSTER + keys)
    assert time.perf_counter() - started < 20
    assert isinstance(error, ConfigError)
    assert error.problems[0] == 'config.yml:2: clusterz0: unknown key; did you mean "clusters"?'
    assert error.problems[-1] == f"and {100_000 - MAX_REPORTED:,} more problems".replace(",", "")
    assert MAX_SUGGESTIONS < 100_000


def test_a_file_beyond_the_size_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_bytes(b"#" * (MAX_CONFIG_BYTES + 1))
    with pytest.raises(ConfigError, match=r"config.yml: the config file is larger than 16,777,216 bytes$"):
        load(path, {})


def test_a_file_name_with_control_characters_stays_one_printable_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "a\n\x1b[31mb.yml", {})
    assert caught.value.problems == (f"{tmp_path}/a\\n\\x1b[31mb.yml: the config file does not exist",)


def test_the_parser_in_pure_python_reads_the_same_document(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"{CLUSTER}log: &a {{level: ~, 'format': json}}\nstate: {{<<: *a, level: x}}\npoll: {{page_size: '0'}}"
    fast = attempt(text)
    monkeypatch.setattr(document, "LOADER", yaml.BaseLoader)
    slow = attempt(text)
    assert isinstance(fast, ConfigError)
    assert fast.problems == slow.problems


def test_ten_thousand_clusters_load_in_a_few_seconds(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    settings = "url: https://api.cloud.zilliz.com\n    api_key: ${KEY}\n    interval: 10s\n    cluster_id: in01"
    path.write_text("clusters:\n" + "".join(f"  - name: c{n}\n    {settings}-{n}\n" for n in range(10_000)))
    started = time.process_time()  # of this process alone: other tests run at the same time
    config = load(path, {"KEY": "the-key"})
    assert time.process_time() - started < 10
    assert len(config.clusters) == 10_000
