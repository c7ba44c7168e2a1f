"""A config file becomes a `Config` in which every default is filled in and nothing is left to look up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from monitor.cli import app
from monitor.config import Cluster, Config, ConfigError, Tls, load, parse
from monitor.redaction import MASK, Redactor

if TYPE_CHECKING:
    from collections.abc import Iterator

SMALLEST = "clusters: [{name: lab, url: 'http://milvus:19530/'}]\n"


def read(text: str, directory: Path = Path(), **environ: str) -> Config:
    return parse(text, source="config.yml", directory=directory, environ=environ)


def test_the_smallest_file_gets_every_default_of_the_contract() -> None:
    config = read(SMALLEST)
    assert config.path is None
    assert (config.listen.host, config.listen.port) == ("127.0.0.1", 19595)
    assert (config.log.format, config.log.level, config.poll.concurrency) == ("auto", "info", 32)
    assert config.state.url == SecretStr(f"sqlite:///{Path.cwd()}/state.db")
    assert config.state.retention == 30 * 86_400.0
    assert config.replicas.takeover == 8.0
    assert config.clusters == (
        Cluster(
            name="lab",
            url="http://milvus:19530",
            api="v2",
            tls=Tls(ca_file=None, cert_file=None, key_file=None, insecure_skip_verify=False),
            interval=30.0,
            active_interval=10.0,
            timeout=10.0,
            page_size=100,
            requests_per_second=10.0,
            stall_after=1800.0,
            pending_after=3600.0,
            uncommitted_after=3600.0,
            failed_retention=86_400.0,
            series_per_cluster=1000,
        ),
    )
    (cluster,) = config.clusters
    assert (cluster.cluster_id, cluster.project_id, cluster.region_id, cluster.databases) == ("", "", "", ())
    assert cluster.api_key == SecretStr("")
    assert hash(cluster) == hash(read(SMALLEST).clusters[0])


def test_every_setting_reaches_its_place(tmp_path: Path) -> None:
    for name, what in (("ca.pem", "CERTIFICATE"), ("cert.pem", "CERTIFICATE"), ("key.pem", "PRIVATE KEY")):
        (tmp_path / name).write_text(f"-----BEGIN {what}-----\n")
    config = read(
        """
listen: 0.0.0.0:8080
log: {format: json, level: debug}
state: {url: 'memory://'}
replicas: {takeover: 1m}
poll: {concurrency: 7, interval: 1m}
clusters:
  - name: prod
    url: HTTPS://milvus.example:443/prefix/
    api: v1
    cluster_id: in01
    api_key: root:Milvus
    databases: [default, other]
    tls: {ca_file: ca.pem, cert_file: cert.pem, key_file: key.pem}
  - {name: on-demand, url: 'https://api.cloud.zilliz.com', project_id: p, region_id: r, api_key: k}
  - {name: shares, url: 'https://a', tls: {ca_file: ca.pem}}
  - {name: lab, url: 'https://b', tls: {insecure_skip_verify: true}}
""",
        tmp_path,
    )
    assert (config.listen.host, config.listen.port) == ("0.0.0.0", 8080)
    assert (config.log.format, config.log.level, config.poll.concurrency) == ("json", "debug", 7)
    assert config.replicas.takeover == 60.0
    prod, on_demand, shares, lab = config.clusters
    assert shares.tls.ca_file == prod.tls.ca_file
    assert (prod.url, prod.api, prod.cluster_id) == ("https://milvus.example:443/prefix", "v1", "in01")
    assert prod.api_key.get_secret_value() == "root:Milvus"
    assert prod.databases == ("default", "other")
    assert not prod.follows_databases
    assert prod.tls == Tls(ca_file=tmp_path / "ca.pem", cert_file=tmp_path / "cert.pem", key_file=tmp_path / "key.pem")
    assert lab.tls == Tls(insecure_skip_verify=True)
    assert (on_demand.cluster_id, on_demand.project_id, on_demand.region_id) == ("", "p", "r")


def test_a_cluster_overrides_each_key_of_poll_and_jobs_for_itself() -> None:
    own, other = read("""
poll: {interval: 1m, active_interval: 5s, timeout: 1s, page_size: 1, requests_per_second: 1}
jobs: {stall_after: 1m, pending_after: 1m, uncommitted_after: 1m, failed_retention: 0s, series_per_cluster: 0}
clusters:
  - {name: own, url: 'http://a', interval: 30s, active_interval: 3s, timeout: 2s, page_size: 2,
     requests_per_second: 0.5, stall_after: 2m, pending_after: 3m, uncommitted_after: 4m, failed_retention: 5m,
     series_per_cluster: 6}
  - {name: other, url: 'http://b'}
""").clusters

    def limits(cluster: Cluster) -> tuple[float, ...]:
        return (
            cluster.interval,
            cluster.active_interval,
            cluster.timeout,
            cluster.page_size,
            cluster.requests_per_second,
            cluster.stall_after,
            cluster.pending_after,
            cluster.uncommitted_after,
            cluster.failed_retention,
            cluster.series_per_cluster,
        )

    # 30s is the default, and still overrides what poll says.
    assert limits(own) == (30, 3, 2, 2, 0.5, 120, 180, 240, 300, 6)
    assert limits(other) == (60, 5, 1, 1, 1, 60, 60, 60, 0, 0)


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("https://ops.example/imports/", "https://ops.example/imports"),
        ("https://ops.example/imports", "https://ops.example/imports"),
        ("https://ops.example/", "https://ops.example"),
        ("HTTP://ops.example:8080/a-b/c.d_~/", "HTTP://ops.example:8080/a-b/c.d_~"),
        ("http://[2001:db8::1]:8080/imports/", "http://[2001:db8::1]:8080/imports"),
    ],
)
def test_the_url_of_the_pages_behind_a_proxy_has_no_slash_at_its_end(written: str, url: str) -> None:
    assert read(f"external_url: {written}\n{SMALLEST}").external_url == url
    assert read(SMALLEST).external_url == ""


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [
        ("127.0.0.1:19595", "127.0.0.1", 19595),
        ("localhost:0", "localhost", 0),
        ("'[::1]:65535'", "::1", 65535),
        ("'[0:0::1]:1'", "::1", 1),
        (":19595", "0.0.0.0", 19595),
        ("127.0.0.1:${PORT}", "127.0.0.1", 8080),
    ],
)
def test_an_address_to_listen_on(listen: str, host: str, port: int) -> None:
    config = read(f"listen: {listen}\n{SMALLEST}", PORT="8080")
    assert (config.listen.host, config.listen.port) == (host, port)


def test_a_variable_can_feed_a_number_a_truth_value_and_a_part_of_a_text() -> None:
    config = read(
        """
poll: {page_size: '${SIZE}'}
clusters: [{name: 'a-${REGION}', url: 'https://${REGION}.example', tls: {insecure_skip_verify: '${SKIP}'}}]
""",
        SIZE="50",
        REGION="eu",
        SKIP="true",
    )
    (cluster,) = config.clusters
    assert (cluster.name, cluster.url, cluster.page_size) == ("a-eu", "https://eu.example", 50)
    assert cluster.tls.insecure_skip_verify


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("$${KEY}", "${KEY}"),
        ("$$${KEY}", "$${KEY}"),
        ("$KEY", "$KEY"),
        ("a$", "a$"),
        ("a${KEY}b${KEY}c", "a${NESTED}b${NESTED}c"),
    ],
)
def test_a_dollar_is_only_special_before_a_brace_and_values_are_taken_as_they_are(written: str, read_as: str) -> None:
    config = read(f"clusters: [{{name: a, url: 'http://a', api_key: '{written}'}}]", KEY="${NESTED}")
    assert config.clusters[0].api_key.get_secret_value() == read_as


@pytest.mark.parametrize("written", ["0123", "1e5", "no", "1:30", "2024-01-01", "0x1F", "'null'"])
def test_what_looks_like_a_number_or_a_date_stays_the_text_that_it_is(written: str) -> None:
    assert read(f"clusters: [{{name: {written}, url: 'http://a'}}]").clusters[0].name == written.strip("'")


def test_anchors_and_merge_keys_save_repetition() -> None:
    config = read("""
clusters:
  - &first {name: first, url: 'https://a.example', api_key: &key the-key, tls: &tls {insecure_skip_verify: true}}
  - {<<: *first, name: second}
  - {name: third, <<: [{url: 'http://c.example', page_size: 5}, {page_size: 6, interval: 5s}]}
  - {name: fourth, url: 'https://d.example', api_key: *key, tls: *tls}
""")
    first, second, third, fourth = config.clusters
    assert (second.name, second.url, second.api_key, second.tls) == ("second", first.url, first.api_key, first.tls)
    assert (third.url, third.page_size, third.interval) == ("http://c.example", 5, 5.0)
    assert (fourth.api_key, fourth.tls) == (first.api_key, first.tls)


def test_a_section_whose_settings_are_all_commented_out_is_all_defaults() -> None:
    empty = "log:\nstate:\npoll:\njobs:\nclusters:\n  - name: lab\n    url: http://milvus:19530\n    tls:\n"
    assert read(empty) == read(SMALLEST)


def test_a_key_in_a_file_is_read_without_the_white_space_around_it(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("\ufeffthe-key\r\n", encoding="utf-8")
    config = read(
        f"""
clusters:
  - {{name: a, url: 'http://a', api_key_file: key}}
  - {{name: b, url: 'http://b', api_key_file: '{tmp_path}/key'}}
""",
        tmp_path,
    )
    assert [cluster.api_key.get_secret_value() for cluster in config.clusters] == ["the-key", "the-key"]


@pytest.mark.parametrize("scheme", ["sqlite:///", "postgresql://u:secret@db/", "postgres://u:secret@db/"])
def test_the_state_url_may_come_from_a_file_or_a_variable_with_a_line_break(scheme: str, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"{scheme}state\n")
    expected = {"sqlite:///": f"sqlite:///{tmp_path}/state"}.get(scheme, "postgresql://u:secret@db/state")
    for state in ("{url_file: url}", "{url: '${URL}'}"):
        config = read(f"state: {state}\n{SMALLEST}", tmp_path, URL=f"{scheme}state\n")
        assert config.state.url.get_secret_value() == expected
        assert ("secret" in config.secrets()) == ("secret" in expected)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:secret@h1:1,[::1]:2,h3/db?target_session_attrs=read-write",
        "postgresql://u:secret@/db?host=/run/postgresql",
        "postgresql:///db?host=/run/postgresql&user=u&password=secret",
        "postgresql://u:secret@%2Frun%2Fpostgresql/db",
    ],
)
def test_several_hosts_and_sockets_of_postgresql_are_accepted(url: str, tmp_path: Path) -> None:
    config = read(f"state: {{url: '{url}'}}\n{SMALLEST}", tmp_path)
    assert config.state.url.get_secret_value() == url
    assert "secret" in config.secrets()
    assert "secret" not in repr(config)


def test_a_state_url_file_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://secret")
    for state, problem in (
        ("{url_file: missing}", f"{tmp_path}/missing does not exist"),
        ("{url_file: url}", f"{tmp_path}/url must be sqlite:///state.db, "),
        ("{url_file: url, url: 'memory://'}", "cannot be combined with url; remove one of them"),
    ):
        (tmp_path / "url").write_text("memory://" if "url: " in state else "redis://secret")
        with pytest.raises(ConfigError) as caught:
            read(f"state: {state}\n{SMALLEST}", tmp_path)
        assert str(caught.value).startswith(f"config.yml:1: state.url_file: {problem}")
        assert "secret" not in str(caught.value)


def test_relative_paths_count_from_the_directory_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "key").write_text("the-key")
    path = tmp_path / "conf" / "config.yml"
    path.write_text("clusters: [{name: a, url: 'http://a', api_key_file: key}]")
    monkeypatch.chdir(tmp_path)
    config = load(Path("conf/config.yml"), {})
    assert config.path == Path("conf/config.yml")
    assert config.clusters[0].api_key.get_secret_value() == "the-key"


def test_a_byte_order_mark_and_windows_line_ends_are_read_over(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_bytes(b"\xef\xbb\xbf# from Windows\r\n" + SMALLEST.encode().replace(b"\n", b"\r\n"))
    assert load(path, {}).clusters[0].name == "lab"


def test_a_config_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yml"
    binary.write_bytes(b"log: {}\n# caf\xe9\n")
    for path, reason in (
        (tmp_path / "missing.yml", "does not exist"),
        (tmp_path, "is a directory, not a file"),
        (binary, "is not UTF-8 text (line 2)"),
        (binary / "x.yml", "does not exist"),
    ):
        with pytest.raises(ConfigError) as caught:
            load(path, {})
        assert caught.value.problems == (f"{path}: the config file {reason}",)


def test_a_file_without_permission_to_read_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "ca.pem").touch()
    # Patched and not chmod: tests run as root in containers, and root may read everything.
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigError, match=r"config.yml: the config file cannot be read: permission denied$"):
        load(tmp_path / "config.yml", {})
    with pytest.raises(ConfigError, match=r"tls.ca_file: .*/ca.pem cannot be read: permission denied$"):
        read("clusters: [{name: a, url: 'https://a', tls: {ca_file: ca.pem}}]", tmp_path)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A folder that this process cannot search, also where the tests run as root."""
    folder = tmp_path / "locked"
    folder.mkdir()
    for name in ("config.yml", "file"):
        (folder / name).write_text(SMALLEST)
    CliRunner().invoke(app, ["check-config", "-c", "missing"])  # imports everything while it can
    folder.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)
    yield folder
    os.seteuid(user)
    folder.chmod(0o700)


def test_a_folder_that_cannot_be_searched_is_a_message_for_each_file_in_it(locked: Path) -> None:
    denied = f"{locked}/file cannot be read: permission denied"
    with pytest.raises(ConfigError) as caught:
        load(locked / "config.yml", {})
    assert caught.value.problems == (f"{locked}/config.yml: the config file cannot be read: permission denied",)
    with pytest.raises(ConfigError) as caught:
        read(
            """
web_config: file
state: {url_file: file}
clusters:
  - {name: a, url: 'https://a', api_key_file: file, tls: {ca_file: file}}
""",
            locked,
        )
    assert caught.value.problems == (
        f"config.yml:2: web_config: {denied}",
        f"config.yml:3: state.url_file: {denied}",
        f"config.yml:5: clusters[0].api_key_file: {denied}",
        f"config.yml:5: clusters[0].tls.ca_file: {denied}",
    )
    ended = CliRunner().invoke(app, ["check-config", "-c", str(locked / "config.yml")])
    assert (ended.exit_code, ended.output.count("\n")) == (2, 1)


def test_a_key_and_its_password_are_redacted_unless_they_are_public_or_too_short() -> None:
    config = read("""
clusters:
  - {name: a, url: 'http://a', api_key: 'root:Milvus'}
  - {name: b, url: 'http://b', api_key: 'plain-key'}
  - {name: c, url: 'http://c', api_key: 'root:abc'}
  - {name: d, url: 'http://d', api_key: 'abc'}
  - {name: e, url: 'http://e'}
  - {name: f, url: 'http://f', api_key: 'root:other'}
""")
    redactor = Redactor(config.secrets())
    for secret in ("root:Milvus", "other", "root:other", "plain-key", "root:abc"):
        assert redactor.text(secret) == MASK
    assert redactor.text("Milvus abc") == "Milvus abc"


@pytest.mark.parametrize("written", ["all", "'all'", "'${NAMES}'"])
def test_all_databases_are_asked_of_the_cluster(written: str) -> None:
    config = read(f"clusters: [{{name: a, url: 'http://a', databases: {written}}}]", NAMES="all")
    assert config.clusters[0].follows_databases


def test_a_database_may_be_called_all() -> None:
    (cluster,) = read("clusters: [{name: a, url: 'http://a', databases: [all]}]").clusters
    assert (cluster.databases, cluster.follows_databases) == (("all",), False)


@pytest.mark.parametrize(
    ("written", "key", "warned"),
    [
        ("Bearer the-key", "the-key", 1),
        ("BEARER  root:Milvus", "root:Milvus", 1),
        ("Bearer", "Bearer", 0),
        ("Bearer-the-key", "Bearer-the-key", 0),
        ("the-key", "the-key", 0),
    ],
)
def test_a_key_is_used_without_bearer_and_a_warning_names_the_setting(written, key, warned):
    config = read(
        f"clusters: [{{name: a, url: 'http://a', api_key: '{written}'}}]\n"
        f"discovery: [{{zilliz: {{api_key: '{written}'}}}}, {{http: {{url: 'http://i', api_key: '{written}'}}}}]"
    )

    zilliz, http = config.discovery
    found = (config.clusters[0].api_key, zilliz.zilliz.api_key, http.http.api_key)
    assert {secret.get_secret_value() for secret in found} == {key}
    assert [text.split(": ")[1] for text in config.warnings()] == [
        "clusters[0].api_key",
        "discovery[0].zilliz.api_key",
        "discovery[1].http.api_key",
    ] * warned
    assert key in config.secrets()


def test_no_more_than_some_warnings_are_spelled_out():
    clusters = ", ".join(f"{{name: c{number}, url: 'http://a', api_key: Bearer k{number}}}" for number in range(50))

    warnings = read(f"clusters: [{clusters}]").warnings()

    assert len(warnings) == 21
    assert warnings[-1].endswith("and 30 more keys with the word Bearer")
