"""Expected imports, in the API and on the pages."""

import html
import re
from pathlib import Path

import pytest

from monitor.config import parse
from monitor.store import ExpectationRecord
from tests.served_app import NOW, ServedApp, WatchedClusters, record

NIGHTLY = "{name: nightly, collection: %s, starts: '0 2 * * *', complete_within: 4h}"


def expected(cluster, collection, state, name="nightly", **changed):
    times = {"occurrence": NOW, "deadline": NOW + 3600, "known_since": 0.0, "gap_from": 0.0, "gap_to": 0.0}
    facts = {"cluster": cluster, "expectation": name, "database": "", "collection": collection, "state": state}
    return ExpectationRecord(**{**facts, **times, "seen_until": NOW, **changed})


@pytest.fixture
def watched():
    watched = WatchedClusters("eu", "us", labels={"team": "search"})
    text = f"expectations: [{NIGHTLY % 'books'}]\nclusters: [{{name: eu, url: 'http://a'}}]"
    watched.expectations = parse(text, source="c", directory=Path(), environ={}).expectations
    records = (
        expected("eu", "books", "completed"),
        expected("eu", "films", "late_start"),
        expected("us", "<b>&", "missed"),
        expected("eu", "books", "missed", name="removed"),
        expected("gone", "books", "missed"),
    )

    def write(connection):
        for row in records:
            assert watched.store.expectations.write(connection, row)

    watched.poll("eu", record("1", "books"))  # before the records: the first poll of a cluster begins anew
    watched.store.flush()
    watched.store.expectations.transact(write)
    return watched


@pytest.fixture
def served(watched):
    with ServedApp(watched) as running:
        yield running


def words(text):
    section = re.search(r'<section id="expectations".*?</section>', text, re.DOTALL)
    return "" if section is None else re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", section[0])))


@pytest.mark.parametrize(
    ("query", "listed"),
    [
        ("", [("us", "<b>&"), ("eu", "films"), ("eu", "books")]),
        ("?cluster=eu", [("eu", "films"), ("eu", "books")]),
        ("?cluster=eu&label=team:search", [("eu", "films"), ("eu", "books")]),
        ("?label=team:shop", []),
        ("?cluster=eu&label=team:shop", []),
        ("?limit=1", [("us", "<b>&")]),
    ],
)
def test_what_is_expected_comes_with_trouble_first_and_without_what_has_left_the_config(served, query, listed):
    answer = served.json(f"/api/v1/expectations{query}")

    assert [(row["cluster"], row["collection"]) for row in answer["expectations"]] == listed
    assert answer["complete"]


def test_an_expected_import_is_shown_with_its_times(served):
    assert served.json("/api/v1/expectations", cluster="us")["expectations"] == [
        {
            "cluster": "us",
            "labels": {"team": "search"},
            "expectation": "nightly",
            "database": "",
            "collection": "<b>&",
            "state": "missed",
            "starts": "2025-06-15T15:06:40Z",
            "deadline": "2025-06-15T16:06:40Z",
            "last_poll": "2025-06-15T15:06:40Z",
        }
    ]


def test_the_pages_of_a_cluster_and_of_a_collection_have_a_table(served):
    of_cluster = served.get("/?cluster=eu").text
    of_collection = served.get("/collection?cluster=eu&database=&collection=books").text

    assert "Expected imports 2" in words(of_cluster)
    assert words(of_cluster).index("late start films 2025-06-15 15:06:40") < words(of_cluster).index("completed books")
    assert "Expected imports 1" in words(of_collection)
    assert "films" not in words(of_collection)
    assert words(served.get("/").text) == words(served.get("/?cluster=eu&q=books").text) == ""


def test_a_collection_without_any_import_has_a_page_if_one_is_expected(served):
    text = served.get("/collection", params={"cluster": "us", "database": "", "collection": "<b>&"})

    assert text.status_code == 200
    assert "nightly missed <b>&" in words(text.text)
    assert served.get("/collection?cluster=us&database=&collection=books").status_code == 404


def test_without_the_database_the_answer_says_so_and_the_page_is_there(served, monkeypatch):
    def fail(*_, **_options):
        raise OSError("the disk is gone")

    monkeypatch.setattr("monitor.store.store.read_first", fail)

    assert served.json("/api/v1/expectations") == {"expectations": [], "complete": False}
    assert served.get("/?cluster=eu").status_code == 200
