"""Every mistake in a config file is reported in one line: file, line, setting, what is wrong and what is expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monitor.config import ConfigError, parse

if TYPE_CHECKING:
    from pathlib import Path

ENVIRON = {"KEY": "a-key", "EMPTY": "", "PORT": "99999"}
CLUSTER = "clusters: [{name: a, url: 'http://a:19530'}]\n"
KNOWN_AT_THE_TOP = (
    "listen, web_config, external_url, log, state, replicas, poll, jobs, clusters, discovery, expectations"
)
KNOWN_IN_LOG = "format, level"
KNOWN_IN_CLUSTER = (
    "name, url, api, cluster_id, project_id, region_id, api_key, api_key_file, databases, labels, tls, interval, "
    "active_interval, timeout, page_size, requests_per_second, stall_after, pending_after, uncommitted_after, "
    "failed_retention, series_per_cluster"
)
TABS = (
    "config.yml:2: not valid YAML at column 1: found character that cannot start any token; "
    "indent with spaces, not tabs"
)
QUOTE = (
    "config.yml:1: not valid YAML at column 5: mapping values are not allowed in this context; "
    'quote a value that contains ": "'
)

STATE_URL = (
    "state.url: must be sqlite:///state.db, sqlite:////absolute/path/state.db, "
    "postgresql://user:password@host/database, or memory://"
)


def problems(text: str, directory: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse(text, source="config.yml", directory=directory, environ=ENVIRON)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def check(text: str, expected: str, directory: Path) -> None:
    assert problems(text, directory) == tuple(expected.strip().splitlines())


def one(settings: str) -> str:
    """A config whose only cluster has these settings besides its name and url."""
    return f"clusters:\n  - name: a\n    url: http://a:19530\n    {settings}\n"


def cloud(settings: str) -> str:
    return f"clusters:\n  - name: a\n    url: https://api.cloud.zilliz.com\n    {settings}\n"


def test_a_typo_in_a_key_names_the_nearest_known_key(tmp_path: Path) -> None:
    check(
        one("intervall: 10s"),
        'config.yml:4: clusters[0].intervall: unknown key; did you mean "interval"?',
        tmp_path,
    )


def test_a_missing_secret_names_its_environment_variable(tmp_path: Path) -> None:
    check(
        one("api_key: ${ZILLIZ_API_KEY}"),
        "config.yml:4: clusters[0].api_key: environment variable ZILLIZ_API_KEY is not set",
        tmp_path,
    )


def test_every_missing_variable_of_a_value_is_named(tmp_path: Path) -> None:
    check(
        one("api_key: ${USER_NAME}:${PASSWORD}"),
        "config.yml:4: clusters[0].api_key: environment variable USER_NAME is not set\n"
        "config.yml:4: clusters[0].api_key: environment variable PASSWORD is not set",
        tmp_path,
    )


def test_a_variable_missing_at_many_places_is_reported_once(tmp_path: Path) -> None:
    text = CLUSTER + "log: {level: '${NOPE}', format: '${NOPE}'}\nlisten: ${NOPE}\n"
    check(text, "config.yml:2: log.level: environment variable NOPE is not set", tmp_path)


def test_all_problems_are_reported_at_once_in_the_order_of_the_lines(tmp_path: Path) -> None:
    text = """\
clusters:
  - name: a
    url: ftp://a
    api: v3
    databases: [x, x]
    tls: {key_file: k.pem, cafile: x}
  - url: http://b
  - name: a
    url: http://c
    region_id: r
  - name: a
    url: http://c
listen: 127.0.0.1:99999
poll: {interval: 30}
"""
    expected = f"""
config.yml:3: clusters[0].url: must be a URL that begins with http:// or https://, such as https://api.cloud.zilliz.com
config.yml:4: clusters[0].api: must be one of v2, v1, milvus-2.3
config.yml:5: clusters[0].databases: lists a database twice
config.yml:6: clusters[0].tls.cafile: unknown key; did you mean "ca_file"?
config.yml:6: clusters[0].tls.key_file: {tmp_path}/k.pem does not exist
config.yml:7: clusters[1].name: is required
config.yml:8: clusters[2].name: must be unique, and is already given on line 2
config.yml:10: clusters[2].region_id: needs project_id as well
config.yml:11: clusters[3].name: must be unique, and is already given on line 2
config.yml:13: listen: the port must be 1-65535, or 0 for any free port
config.yml:14: poll.interval: missing unit: write 30s
"""
    check(text, expected, tmp_path)


def test_what_is_wrong_between_settings_is_reported_together_with_what_is_wrong_with_single_ones(
    tmp_path: Path,
) -> None:
    text = """\
clusters:
  - name: a
    url: https://api.cloud.zilliz.com
    interval: 5
    tls: {insecure_skip_verify: maybe, key_file: .}
  - {name: b, url: 'http://b', page_size: 0, cluster_id: c, project_id: p}
  - {name: c, url: 'http://c', page_size: 0, cluster_id: c, api_kye: k}
state: {url: 'memory://', url_file: missing, retention: 5}
poll: {interval: 30}
"""
    expected = f"""
config.yml:2: clusters[0]: {ZILLIZ}
config.yml:4: clusters[0].interval: missing unit: write 5s
config.yml:5: clusters[0].tls.key_file: {tmp_path} is a directory, not a file
config.yml:5: clusters[0].tls.insecure_skip_verify: must be true or false
config.yml:6: clusters[1].page_size: must be a whole number from 1 to 100
config.yml:6: clusters[1].project_id: cannot be combined with cluster_id; remove one of them
config.yml:6: clusters[1]: needs api_key or api_key_file, because cluster_id is given
config.yml:7: clusters[2].api_kye: unknown key; did you mean "api_key"?
config.yml:7: clusters[2].page_size: must be a whole number from 1 to 100
config.yml:8: state.url_file: {tmp_path}/missing does not exist
config.yml:8: state.retention: missing unit: write 5s
config.yml:9: poll.interval: missing unit: write 30s
"""
    check(text, expected, tmp_path)


def test_only_the_first_problems_are_spelled_out_and_the_rest_is_counted(tmp_path: Path) -> None:
    clusters = "".join(f"  - {{name: a{number}, url: nowhere}}\n" for number in range(25))
    found = problems(f"clusters:\n{clusters}", tmp_path)
    assert len(found) == 21
    assert found[19].startswith("config.yml:21: clusters[19].url: ")
    assert found[20] == "and 5 more problems"
    assert problems(f"clusters:\n{clusters}".replace("nowhere", "http://a", 4), tmp_path)[-1] == "and 1 more problem"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "config.yml: the file is empty; it needs at least a list of clusters"),
        ("# nothing\n", "config.yml: the file is empty; it needs at least a list of clusters"),
        ("~\n", "config.yml: the file is empty; it needs at least a list of clusters"),
        ("- a\n", "config.yml:1: the file must be a mapping of settings, with a list of clusters"),
        ("just words\n", "config.yml:1: the file must be a mapping of settings, with a list of clusters"),
        ("${NOPE}\n", "config.yml:1: environment variable NOPE is not set"),
        (
            "log: {}\n",
            "config.yml:1: clusters: is required; list at least one cluster, with its name and url, or add a discovery",
        ),
        (
            "clusters:\n",
            "config.yml:1: clusters: is required; list at least one cluster, with its name and url, or add a discovery",
        ),
        (
            "clusters: []\n",
            "config.yml:1: clusters: is required; list at least one cluster, with its name and url, or add a discovery",
        ),
        ("clusters: {a: b}\n", "config.yml:1: clusters: must be a list of clusters (- name: …)"),
        ("clusters: ${NOPE}\n", "config.yml:1: clusters: environment variable NOPE is not set"),
        ("clusters: [a]\n", "config.yml:1: clusters[0]: must be a mapping of settings (key: value)"),
        ("clusters: ['${NOPE}']\n", "config.yml:1: clusters[0]: environment variable NOPE is not set"),
        (
            "cluster: []\n",
            (
                "config.yml:1: cluster: unknown key here; it belongs in expectations: check the indentation of this "
                'line, or did you mean "clusters"?'
            ),
        ),
        (
            "a: 1\n" + CLUSTER,
            f"config.yml:1: a: unknown key; valid keys are {KNOWN_AT_THE_TOP}",
        ),
        (CLUSTER + "log: {x: 1}\n", f"config.yml:2: log.x: unknown key; valid keys are {KNOWN_IN_LOG}"),
        (CLUSTER + "log: {'x y': 1}\n", f"config.yml:2: log: unknown key; valid keys are {KNOWN_IN_LOG}"),
        (CLUSTER + "log: {'': 1}\n", f"config.yml:2: log: unknown key; valid keys are {KNOWN_IN_LOG}"),
        (CLUSTER + "log:\n  Level: info\n", 'config.yml:3: log.Level: unknown key; did you mean "level"?'),
        (
            CLUSTER + "log: {level: info}\nlog: {level: info}\n",
            "config.yml:3: log: duplicate key; it is first given on line 2",
        ),
        (
            "clusters:\n- name: a\n  url: http://a\n- name: b\n  url: http://b\n  url: http://c\n",
            "config.yml:6: clusters[1].url: duplicate key; it is first given on line 5",
        ),
        (
            "clusters:\n  - nam: a\n    url: http://a\n",
            'config.yml:2: clusters[0].nam: unknown key; did you mean "name"?',
        ),
        ("clusters:\n  - name: a\n", "config.yml:2: clusters[0].url: is required"),
        (
            CLUSTER + "---\n" + CLUSTER,
            "config.yml:2: a second YAML document starts here; only one is allowed",
        ),
        (CLUSTER + "log: !!map {}\n", "config.yml:2: YAML tags (!) are not supported; remove the tag"),
        (CLUSTER + "log: {level: !x info}\n", "config.yml:2: YAML tags (!) are not supported; remove the tag"),
        (CLUSTER + "? [a]\n: 1\n", "config.yml:2: a key must be text, not a list, a mapping or an alias"),
        (CLUSTER + "log: &l {}\n*l : 1\n", "config.yml:3: a key must be text, not a list, a mapping or an alias"),
        (
            CLUSTER + "log: *nowhere\n",
            "config.yml:2: an alias (*) points to an anchor (&) that is not complete above it",
        ),
        (
            CLUSTER + "log: &l {a: *l}\n",
            "config.yml:2: an alias (*) points to an anchor (&) that is not complete above it",
        ),
        (
            CLUSTER + "log: {<<: info}\n",
            'config.yml:2: a merge key ("<<") needs an alias of a mapping, or a list of them',
        ),
        ("a: b: c\n", QUOTE),
        (
            "log:\n\tlevel: info\n",
            TABS,
        ),
        ("a: 'open\n", "config.yml:2: not valid YAML at column 1: found unexpected end of stream"),
        (
            "log:\n  level: \x07\n",
            "config.yml:2: a control character or half of a surrogate pair is not allowed in YAML",
        ),
        ("a: \ud800\n", "config.yml:1: a control character or half of a surrogate pair is not allowed in YAML"),
    ],
)
def test_a_file_of_the_wrong_shape(text: str, expected: str, tmp_path: Path) -> None:
    check(text, expected, tmp_path)


INDENTED = "the line is indented differently from its neighbours"
HERE = "unknown key here; it belongs"
TLS_KEYS = "in clusters.tls or in discovery.http.tls or in discovery.tls"
CHECK = "check the indentation of this line"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "clusters:\n  - name: a\n     url: http://a\n",
            f"config.yml:3: not valid YAML at column 9: mapping values are not allowed in this context; {INDENTED}",
        ),
        (
            "clusters:\n  - name: a\n   url: http://a\n",
            f"config.yml:3: not valid YAML at column 4: did not find expected '-' indicator; {INDENTED}",
        ),
        (
            "poll:\n  interval: 30s\n timeout: 3s\n",
            f"config.yml:3: not valid YAML at column 2: did not find expected key; {INDENTED}",
        ),
        ('a: "x" y\n', "config.yml:1: not valid YAML at column 8: did not find expected key"),
        (
            CLUSTER + "poll:\ninterval: 3s\n",
            f"config.yml:3: interval: {HERE} in poll or in clusters or in discovery: {CHECK}",
        ),
        (
            "clusters:\n  - name: a\n    url: http://a\n    tls:\n    key_file: x\n",
            f'config.yml:5: clusters[0].key_file: {HERE} {TLS_KEYS}: {CHECK}, or did you mean "api_key_file"?',
        ),
        (CLUSTER + "log:\n  poll:\n    timeout: 3s\n", f"config.yml:3: log.poll: {HERE} at the top level: {CHECK}"),
    ],
)
def test_a_line_that_is_indented_wrongly_says_so(text: str, expected: str, tmp_path: Path) -> None:
    check(text, expected, tmp_path)


PORT = "the port must be 1-65535, or 0 for any free port"
ADDRESS = "must be host:port, such as 127.0.0.1:19595, [::1]:19595 or :19595 for all interfaces"
EXTERNAL = "must be a URL such as https://ops.example/imports/, without credentials"
PREFIX = "the path must be made of letters, digits and . _ ~ - between single slashes"
DURATION = "must be a duration such as 500ms, 30s, 5m, 1h30m or 2d"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("listen: 127.0.0.1:99999", f"listen: {PORT}"),
        ("listen: 127.0.0.1:${PORT}", f"listen: {PORT}"),
        ("listen: 127.0.0.1", f"listen: {ADDRESS}"),
        ("listen: 19595", f"listen: {ADDRESS}"),
        ("listen: ::1:19595", f"listen: {ADDRESS}"),
        ("listen: a:-1", f"listen: {ADDRESS}"),
        ("listen: '[localhost]:1'", "listen: must have an IPv6 address between the brackets, such as [::1]:19595"),
        ("listen: 'a b:1'", "listen: must have a host name or an address before the colon"),
        ("listen:", "listen: is empty; write a value or remove the key"),
        ("listen: ''", "listen: is empty; write a value or remove the key"),
        ("listen: [a]", "listen: must be a single value, not a list"),
        ("listen: {a: b}", "listen: must be a single value, not a mapping"),
        ("listen: ${EMPTY}", "listen: environment variable EMPTY is empty"),
        (
            "listen: ${KEY",
            "listen: ${ must be followed by the name of an environment variable and }; write $${ to mean ${",
        ),
        (
            "listen: ${1KEY}",
            "listen: ${ must be followed by the name of an environment variable and }; write $${ to mean ${",
        ),
        ("external_url: ops.example/imports", f"external_url: {EXTERNAL}"),
        ("external_url: ftp://ops.example", f"external_url: {EXTERNAL}"),
        ("external_url: https://me:secret@ops.example", f"external_url: {EXTERNAL}"),
        ("external_url: https://ops.example:0/", f"external_url: {EXTERNAL}"),
        ("external_url: https://ops.example:99999/", f"external_url: {EXTERNAL}"),
        ("external_url: 'https://[::/'", f"external_url: {EXTERNAL}"),
        ("external_url: https://ops.example?a=b", f"external_url: {EXTERNAL}"),
        ("external_url: https://ops.example/a?b", f"external_url: {PREFIX}"),
        ("external_url: https://ops.example//a", f"external_url: {PREFIX}"),
        ("external_url: https://ops.example/a/../b", f"external_url: {PREFIX}"),
        ("external_url: https://ops.example/%61", f"external_url: {PREFIX}"),
        ("external_url: 'https://ops.example/\">'", f"external_url: {PREFIX}"),
        ("external_url:", "external_url: is empty; write a value or remove the key"),
        ("log: [json]", "log: must be a mapping of settings (key: value)"),
        ("log: ${NOPE}", "log: environment variable NOPE is not set"),
        ("log: {format: xml}", "log.format: must be one of auto, json, logfmt, console"),
        ("log: {level: INFO}", "log.level: must be one of debug, info, warning, error"),
        ("state: {url: 'sqlite://state.db'}", STATE_URL),
        ("state: {url: 'sqlite:///'}", STATE_URL),
        ("state: {url: 'sqlite:///a?mode=ro'}", "state.url: must be sqlite:/// and a path, without parameters"),
        (
            "state: {url: 'postgresql:///'}",
            (
                "state.url: must be postgresql://user:password@host/database, "
                "with special characters of the password as %XX"
            ),
        ),
        (
            "state: {url: 'postgresql://u:secret@h1:5432,h2:65536/d'}",
            "state.url: the port of PostgreSQL must be 1-65535",
        ),
        (
            "state: {url: 'postgresql://u:secret@h1/d?port=0'}",
            "state.url: the port of PostgreSQL must be 1-65535",
        ),
        (
            "state: {url: 'postgresql://u:secret@h1,h2/d?secret=1'}",
            (
                "state.url: the URL of PostgreSQL cannot be understood: write special characters as %XX, "
                "and only parameters of libpq"
            ),
        ),
        ("state: {url: redis://}", STATE_URL),
        ("web_config: [web.yml]", "web_config: must be a single value, not a list"),
        ("poll: {interval: 99ms}", "poll.interval: must be a duration from 100ms to 366d"),
        ("poll: {interval: 367d}", "poll.interval: must be a duration from 100ms to 366d"),
        ("poll: {interval: 30}", "poll.interval: missing unit: write 30s"),
        ("poll: {interval: 1.5}", f"poll.interval: {DURATION}"),
        ("poll: {interval: 1m1h}", f"poll.interval: {DURATION}"),
        ("poll: {interval: -1s}", f"poll.interval: {DURATION}"),
        ("poll: {timeout: 0s}", "poll.timeout: must be a duration from 1ms to 10m"),
        ("poll: {timeout: 11m}", "poll.timeout: must be a duration from 1ms to 10m"),
        ("poll: {page_size: 0}", "poll.page_size: must be a whole number from 1 to 100"),
        ("poll: {page_size: 101}", "poll.page_size: must be a whole number from 1 to 100"),
        ("poll: {page_size: 1.5}", "poll.page_size: must be a whole number from 1 to 100"),
        ("poll: {page_size: ten}", "poll.page_size: must be a whole number from 1 to 100"),
        ("poll: {requests_per_second: 0}", "poll.requests_per_second: must be a number above 0 and up to 10000"),
        ("poll: {requests_per_second: .nan}", "poll.requests_per_second: must be a number above 0 and up to 10000"),
        ("poll: {concurrency: 0}", "poll.concurrency: must be a whole number from 1 to 512"),
        ("poll: {concurrency: 513}", "poll.concurrency: must be a whole number from 1 to 512"),
        ("replicas: {takeover: 4s}", "replicas.takeover: must be a duration from 5s to 10m"),
        ("replicas: {takeover: 1h}", "replicas.takeover: must be a duration from 5s to 10m"),
        ("jobs: {series_per_cluster: -1}", "jobs.series_per_cluster: must be a whole number from 0 to 1000000"),
        ("jobs: {stall_after: 0s}", "jobs.stall_after: must be a duration from 1ms to 366d"),
    ],
)
def test_a_setting_of_the_process_out_of_its_range(settings: str, expected: str, tmp_path: Path) -> None:
    check(CLUSTER + settings, f"config.yml:2: {expected}", tmp_path)


NAME = "must be 1 to 128 printable characters without a space at either end"
URL = "must be a URL that begins with http:// or https://, such as https://api.cloud.zilliz.com"
URL_PORT = "must have a host and, if there is a colon after it, a port from 1 to 65535"
ZILLIZ = "needs cluster_id, or project_id with region_id, because the url is one of Zilliz Cloud"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("''", "is empty; write a value or remove the key"), ('"a\\nb"', NAME), ("' a'", NAME), ("a" * 129, NAME)],
)
def test_a_name_that_makes_no_label(name: str, expected: str, tmp_path: Path) -> None:
    check(f"clusters: [{{name: {name}, url: 'http://a'}}]", f"config.yml:1: clusters[0].name: {expected}", tmp_path)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("localhost:19530", URL),
        ("ftp://a", URL),
        ("http://", URL),
        ("http:///path", URL),
        ("http://:19530", URL),
        ("http://a b", URL),
        ("http://a\\b", URL),
        ("http://ä", URL),
        ("http://-a", URL),
        ("http://" + "a" * 2050, URL),
        ("http://a:0", URL_PORT),
        ("http://a:65536", URL_PORT),
        ("http://a:x", URL_PORT),
        ("http://[::1", URL_PORT),
        ("http://root:Milvus@a", "must not contain credentials (@); use api_key"),
        ("http://root:12/34@a", "must not contain credentials (@); use api_key"),
        ("http://a?b", "must not contain a query (?) or a fragment (#)"),
        ("http://a/#", "must not contain a query (?) or a fragment (#)"),
        ("http://a/v2/vectordb/jobs", "must end before /v2/vectordb; the monitor adds the path of the API itself"),
        ("http://a/b/v1/vector/", "must end before /v1/vector; the monitor adds the path of the API itself"),
        ("http://a/api/v1/import", "must end before /api/v1/import; the monitor adds the path of the API itself"),
    ],
)
def test_a_url_that_cannot_be_asked(url: str, expected: str, tmp_path: Path) -> None:
    check(f"clusters: [{{name: a, url: '{url}'}}]", f"config.yml:1: clusters[0].url: {expected}", tmp_path)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("api: v4", ".api: must be one of v2, v1, milvus-2.3"),
        (
            "api: milvus-2.3\n    cluster_id: a b",
            ".cluster_id: must be 1 to 128 visible ASCII characters without spaces",
        ),
        ("databases: default", ".databases: must be a list, such as [a, b], or all"),
        ("databases: ['*']", ".databases: cannot contain *; write databases: all"),
        (
            "api: milvus-2.3\n    databases: all",
            ".databases: cannot be all, because api is milvus-2.3; only the API v2 lists the databases of a cluster",
        ),
        ("databases:", ".databases: is empty; write a value or remove the key"),
        (
            "databases: []",
            ".databases: must have at least 1 item, or be left out",
        ),
        ("databases: [a, '']", ".databases[1]: is empty; write a value or remove the key"),
        ("databases: [a, [b]]", ".databases[1]: must be a single value, not a list"),
        ("databases: ['${NOPE}']", ".databases[0]: environment variable NOPE is not set"),
        ("databases: ${NOPE}", ".databases: environment variable NOPE is not set"),
        ("interval: 5", ".interval: missing unit: write 5s"),
        (
            "concurrency: 5",
            ".concurrency: unknown key here; it belongs in poll: check the indentation of this line",
        ),
        ("colour: red", f".colour: unknown key; valid keys are {KNOWN_IN_CLUSTER}"),
        ("api_key:", ".api_key: is empty; write a value or remove the key"),
        ("api_key: [a-key]", ".api_key: must be a single value, not a list"),
        ("api_key: {a-key: 1}", ".api_key: must be a single value, not a mapping"),
        ('api_key: "a\\nkey"', ".api_key: must not contain a line break"),
        ("api_key: ключ", ".api_key: must not contain characters outside of latin-1"),
        ("api_key: ' a-key'", ".api_key: must not contain control characters, or a space at either end"),
        ('api_key: "a\\x07key"', ".api_key: must not contain control characters, or a space at either end"),
        ("api_key_file: ''", ".api_key_file: is empty; write a value or remove the key"),
        ('api_key_file: "a\\0b"', ".api_key_file: must be the path of a file, in up to 4096 printable characters"),
        ("tls: {insecure_skip_verify: maybe}", ".tls.insecure_skip_verify: must be true or false"),
        ("tls: {insecure_skip_verify: yes}", ".tls: has no effect on an http:// url; use https:// or remove tls"),
        ("tls: [a]", ".tls: must be a mapping of settings (key: value)"),
        ("region_id: r", ".region_id: needs project_id as well"),
        ("cluster_id: c", ": needs api_key or api_key_file, because cluster_id is given"),
    ],
)
def test_a_setting_of_a_cluster_that_cannot_be_used(settings: str, expected: str, tmp_path: Path) -> None:
    line = 2 if expected.startswith(": ") else 4 + settings.count("\n")
    check(one(settings), f"config.yml:{line}: clusters[0]{expected}", tmp_path)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("", f"config.yml:2: clusters[0]: {ZILLIZ}"),
        ("api_key: k", f"config.yml:2: clusters[0]: {ZILLIZ}"),
        (
            "cluster_id: c | project_id: p | api_key: k",
            "config.yml:5: clusters[0].project_id: cannot be combined with cluster_id; remove one of them",
        ),
        ("project_id: p | api_key: k", "config.yml:4: clusters[0].project_id: needs region_id as well"),
        (
            "project_id: p | region_id: r",
            "config.yml:2: clusters[0]: needs api_key or api_key_file, because project_id is given",
        ),
        ("api: v1 | api_key: k", "config.yml:2: clusters[0]: needs cluster_id, because api is v1"),
        ("api: v1 | cluster_id: c", "config.yml:2: clusters[0]: needs api_key or api_key_file, because api is v1"),
        (
            "cluster_id: c | api_key: k | api_key_file: key",
            "config.yml:6: clusters[0].api_key_file: cannot be combined with api_key; remove one of them",
        ),
        ("cluster_id: c | api_kye: k", 'config.yml:5: clusters[0].api_kye: unknown key; did you mean "api_key"?'),
        (
            "cluster_id: a b",
            (
                "config.yml:2: clusters[0]: needs api_key or api_key_file, because cluster_id is given\n"
                "config.yml:4: clusters[0].cluster_id: must be 1 to 128 visible ASCII characters without spaces"
            ),
        ),
        (
            "cluster_id: c | api_key: k | tls: {key_file: pem}",
            "config.yml:6: clusters[0].tls.key_file: needs cert_file as well",
        ),
        (
            "cluster_id: c | api_key: k | tls: {ca_file: pem, insecure_skip_verify: true}",
            "config.yml:6: clusters[0].tls.insecure_skip_verify: cannot be combined with ca_file; remove one of them",
        ),
    ],
)
def test_settings_of_a_cluster_that_do_not_go_together(settings: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("another-key")
    (tmp_path / "pem").write_text("-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n")
    # One setting a line, so that the line in the message says which one is meant.
    check(cloud(settings.replace(" | ", "\n    ")), expected, tmp_path)


def test_a_ca_file_goes_with_a_check_that_is_not_skipped(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    text = "clusters: [{name: a, url: 'https://a', tls: {ca_file: ca.pem, insecure_skip_verify: false}}]"
    (cluster,) = parse(text, source="config.yml", directory=tmp_path, environ=ENVIRON).clusters
    assert cluster.tls.ca_file == tmp_path / "ca.pem"


@pytest.mark.parametrize(
    "host", ["zilliz.com", "api.cloud.zilliz.com.cn", "x.zillizcloud.com", "API.CLOUD.ZILLIZ.COM", "api.zilliz.com."]
)
def test_every_host_of_zilliz_cloud_needs_to_know_which_cluster(host: str, tmp_path: Path) -> None:
    check(f"clusters: [{{name: a, url: 'https://{host}'}}]", f"config.yml:1: clusters[0]: {ZILLIZ}", tmp_path)


def test_a_file_that_is_named_and_missing_is_reported_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "cyrillic").write_text("ключ")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "large").write_bytes(b"a" * 65_537)
    (tmp_path / "two-lines").write_bytes(b"a\nb")
    (tmp_path / "key.pem").write_text("-----BEGIN EC PRIVATE KEY-----\n")
    (tmp_path / "cert.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "locked.pem").write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    text = """\
clusters:
  - {name: a, url: 'http://a', api_key_file: missing}
  - {name: b, url: 'http://a', api_key_file: .}
  - {name: c, url: 'http://a', api_key_file: empty}
  - {name: d, url: 'http://a', api_key_file: /dev/null}
  - {name: e, url: 'http://a', api_key_file: cyrillic}
  - {name: f, url: 'http://a', api_key_file: binary}
  - {name: g, url: 'http://a', api_key_file: large}
  - {name: h, url: 'http://a', api_key_file: two-lines}
  - {name: i, url: 'http://a', api_key_file: missing}
  - {name: j, url: 'https://a', tls: {ca_file: missing.pem, cert_file: ., key_file: empty/x}}
  - {name: k, url: 'https://a', tls: {ca_file: key.pem, cert_file: cert.pem, key_file: cert.pem}}
  - {name: l, url: 'https://a', tls: {ca_file: cert.pem, cert_file: cert.pem, key_file: key.pem}}
  - {name: m, url: 'https://a', tls: {cert_file: cert.pem, key_file: locked.pem}}
"""
    expected = f"""
config.yml:2: clusters[0].api_key_file: {tmp_path}/missing does not exist
config.yml:3: clusters[1].api_key_file: {tmp_path} is a directory, not a file
config.yml:4: clusters[2].api_key_file: {tmp_path}/empty is empty
config.yml:5: clusters[3].api_key_file: /dev/null is not a regular file
config.yml:6: clusters[4].api_key_file: {tmp_path}/cyrillic must not contain characters outside of latin-1
config.yml:7: clusters[5].api_key_file: {tmp_path}/binary is not UTF-8 text (line 1)
config.yml:8: clusters[6].api_key_file: {tmp_path}/large is larger than 65,536 bytes
config.yml:9: clusters[7].api_key_file: {tmp_path}/two-lines must not contain a line break
config.yml:10: clusters[8].api_key_file: {tmp_path}/missing does not exist
config.yml:11: clusters[9].tls.ca_file: {tmp_path}/missing.pem does not exist
config.yml:11: clusters[9].tls.cert_file: {tmp_path} is a directory, not a file
config.yml:11: clusters[9].tls.key_file: {tmp_path}/empty/x does not exist
config.yml:12: clusters[10].tls.ca_file: {tmp_path}/key.pem contains no certificate in PEM format (-----BEGIN …)
config.yml:12: clusters[10].tls.key_file: {tmp_path}/cert.pem contains no private key in PEM format (-----BEGIN …)
config.yml:14: clusters[12].tls.key_file: {tmp_path}/locked.pem is encrypted; it must be a key without a password
"""
    check(text, expected, tmp_path)


def test_a_file_name_beyond_the_limit_of_the_system_is_a_message_too(tmp_path: Path) -> None:
    (message,) = problems(one(f"api_key_file: {'a' * 300}"), tmp_path)
    assert message.endswith("cannot be read: File name too long")
