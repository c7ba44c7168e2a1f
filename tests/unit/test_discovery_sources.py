"""Lists of clusters in files and from an inventory."""

import json
import os

import pytest

from monitor.client import Network
from monitor.config import Inventory
from monitor.discovery.files import FilesSource
from monitor.discovery.http import HttpSource
from monitor.discovery.model import DiscoveryError
from tests.discovered import account, listed, plan
from tests.recorder import Answer, Recorder

LAB = "- {name: lab, url: 'http://lab:19530'}\n"


def files(folder, *patterns, **options):
    return FilesSource(tuple(str(folder / pattern) for pattern in patterns), folder, {"KEY": "hidden-key"}, **options)


def problem(source):
    with pytest.raises(DiscoveryError) as failure:
        source.list_clusters()
    return str(failure.value)


def test_clusters_of_several_files_are_listed_with_what_their_entries_set(tmp_path):
    (tmp_path / "a.yml").write_text(
        LAB + "- {name: b, url: 'https://b', api_key: '${KEY}', interval: 5s, databases: [x]}\n"
    )
    (tmp_path / "b.json").write_text('{"clusters": [{"name": "c", "url": "http://c", "api_key_file": "key"}]}')
    (tmp_path / "key").write_text("in-a-file\n")
    (tmp_path / ".hidden.yml").write_text("nonsense")

    lab, b, c = files(tmp_path, "*.yml", "b.json").list_clusters()

    assert (lab.id, lab.name, lab.settings) == ("http://lab:19530", "lab", {"url": "http://lab:19530"})
    assert b.settings.pop("api_key").get_secret_value() == "hidden-key"
    assert b.settings == {"url": "https://b", "interval": 5.0, "databases": ["x"]}
    assert c.settings == {"url": "http://c", "api_key_file": str(tmp_path / "key")}


def test_all_databases_of_an_entry_stay_all_databases(tmp_path):
    (tmp_path / "a.yml").write_text("- {name: b, url: 'http://b', databases: all, labels: {team: search}}")

    (watched,) = plan(account(), zilliz=listed(*files(tmp_path, "a.yml").list_clusters())).watched

    assert watched.cluster.follows_databases
    assert watched.cluster.labels == {"team": "search"}


def test_the_id_of_an_entry_is_that_of_its_cluster(tmp_path):
    (tmp_path / "a.yml").write_text(
        "- {name: a, url: 'http://z', cluster_id: in01-1, api_key: k}\n"
        "- {name: b, url: 'http://z', project_id: p, region_id: r, api_key: k}\n"
    )

    a, b = files(tmp_path, "a.yml").list_clusters()

    assert (a.id, b.id, b.project_id, b.region) == ("in01-1", "p/r", "p", "r")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "{file}: the file is empty; it needs at least a list of clusters"),
        (LAB + "- {name: b, ulr: http://b}", '{file}:2: clusters[1].ulr: unknown key; did you mean "url"?'),
        (LAB + "- {name: b, url: ftp://hidden}\n- {name: c}", None),
        (
            LAB + "- {name: lab, url: 'http://b'}",
            "{file}:2: clusters[1].name: must be unique, and is already given on line 1",
        ),
        (
            LAB + "- {name: b, url: 'http://b', api_key: '${NOPE}'}",
            "{file}:2: clusters[1].api_key: environment variable NOPE is not set",
        ),
        (
            "- {name: b, url: 'http://b', api_key_file: nope}",
            "{file}:1: clusters[0].api_key_file: {folder}/nope does not exist",
        ),
        (
            "- {name: b, cluster_id: i, url: 'http://b'}",
            "{file}:1: clusters[0]: needs api_key or api_key_file, because cluster_id is given",
        ),
        ("just text", "{file}:1: the file must be a mapping of settings, with a list of clusters"),
        ("hosts: []", "{file}:1: hosts: unknown key; valid keys are clusters (and 1 more problem)"),
    ],
)
def test_one_wrong_entry_makes_the_list_fail_with_file_line_and_key(tmp_path, text, message):
    (tmp_path / "a.yml").write_text(text)
    (tmp_path / "b.yml").write_text(LAB)

    said = problem(files(tmp_path, "*.yml"))

    if message is None:
        assert "clusters[1].url: must be a URL" in said
        assert said.endswith("(and 1 more problem)")
        assert "hidden" not in said
    else:
        assert said == message.format(file=tmp_path / "a.yml", folder=tmp_path)


def test_a_key_of_the_discovery_serves_entries_without_one(tmp_path):
    (tmp_path / "a.yml").write_text("- {name: b, cluster_id: i, url: 'http://b'}")

    assert files(tmp_path, "a.yml", has_key=True).list_clusters()[0].settings == {"url": "http://b", "cluster_id": "i"}


def test_a_path_has_to_exist_and_a_glob_may_match_nothing(tmp_path):
    assert problem(files(tmp_path, "a.yml")) == f"{tmp_path}/a.yml does not exist"
    assert files(tmp_path, "*.yml").list_clusters() == ()
    (tmp_path / "x.yml").mkdir()
    assert problem(files(tmp_path, "*.yml")) == f"{tmp_path}/x.yml is a directory, not a file"


def test_the_version_follows_content_and_not_times(tmp_path):
    path = tmp_path / "a.yml"
    path.write_text(LAB)
    source = files(tmp_path, "*.yml")
    first = source.version()

    os.utime(path, (1, 1))
    path.write_text(LAB)
    assert source.version() == first
    path.write_text(LAB.replace("lab", "lob"))
    os.utime(path, (1, 1))
    assert source.version() != first
    path.write_text(LAB)
    assert source.version() == first
    (tmp_path / "b.yml").write_text("")
    assert source.version() != first


@pytest.fixture
def network():
    network = Network(backoff=0.0)
    yield network
    network.close()


def test_an_inventory_answers_in_json_or_yaml_and_its_query_is_sent(network):
    listed = [{"name": "lab", "url": "http://lab", "api_key": "${KEY}", "page_size": 5}]
    with Recorder(Answer(listed), Answer(LAB.encode())) as server:
        inventory = Inventory(url=f"{server.url}/v1/clusters/?team=a%20b", api_key="the-token")
        source = HttpSource(inventory, network, 5.0)
        (first,), (second,) = source.list_clusters(), source.list_clusters()
        request = server.requests[0]

    assert request.target == "GET /v1/clusters/?team=a%20b"
    assert request.headers["authorization"] == b"Bearer the-token"
    assert first.settings["api_key"].get_secret_value() == "${KEY}"
    assert first.settings["page_size"] == 5
    assert second.name == "lab"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            Answer([{"name": "a", "url": "http://a", "api_key_file": "/etc/passwd"}]),
            "api_key_file: is not allowed in a list",
        ),
        (
            Answer([{"name": "a", "url": "https://a", "tls": {"ca_file": "/x"}}]),
            "tls.ca_file: is not allowed in a list",
        ),
        (Answer([{"name": "a", "url": "hidden-key"}]), "clusters:1: clusters[0].url: must be a URL"),
        (Answer([{"name": "a", "url": "http://a", "api_key": ["hidden-key"]}]), "must be a single value, not a list"),
        (Answer(b"<html>hidden-key"), "the file must be a mapping of settings"),
        (Answer(b"\xff"), "the response is not UTF-8 text"),
        (Answer(b'[{"name": "a", "api_key": "hidden-key'), "not valid YAML at"),
        (Answer({}, status=404), "/clusters: there is nothing at this address (HTTP 404)"),
        (Answer({}, status=503), "503"),
        (Answer(hang_up=True, raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[]"), "127.0.0.1"),
        (Answer(b"[" * 100_000), "nested deeper than"),
    ],
)
def test_what_is_no_list_fails_without_a_secret(network, answer, message):
    with Recorder(answer) as server:
        inventory = Inventory(url=f"{server.url}/clusters?token=hidden-key", api_key="hidden-key")
        said = problem(HttpSource(inventory, network, 2.0))

    assert message in said
    assert "hidden" not in said


def test_a_secret_in_the_query_of_an_inventory_is_not_repeated(network):
    answer = Answer(
        {"code": 500, "message": "no route to /clusters?env=prod&access_token=a%2Bhidden and a+hidden"}, 500
    )
    with Recorder(answer) as server:
        url = f"{server.url}/clusters?env=prod&access_token=a%2Bhidden"
        said = problem(HttpSource(Inventory(url=url), network, 2.0))

    assert "env=prod" in said
    assert "hidden" not in said


def test_json_that_is_no_yaml_is_read_all_the_same(network):
    text = "[\n\t" + json.dumps({"name": "\N{GRINNING FACE}", "url": "http://a"}) + "\n]"
    with Recorder(Answer(text.encode())) as server:
        (cluster,) = HttpSource(Inventory(url=server.url), network, 5.0).list_clusters()

    assert cluster.name == "\N{GRINNING FACE}"
