"""The labels of clusters on the pages and in the API, and the search for them."""

import json

import pytest

from monitor.discovery import WatchedCluster
from monitor.jobs import JobState
from tests.clusters import cluster
from tests.served_app import ServedApp, WatchedClusters, record

LABELS = {"eu": {"team": "search", "tier": "1"}, "us": {"team": "search"}, "asia": {}, "lab": {"note": "<b>&:x</b>"}}


@pytest.fixture
def watched():
    clusters = WatchedClusters(*LABELS)
    clusters.configs = [
        cluster(config.url, name=config.name, labels=LABELS[config.name]) for config in clusters.configs
    ]
    clusters.fleet.apply_config([*map(WatchedCluster, clusters.configs)])
    for name in LABELS:
        clusters.poll(name, record(f"{name}-1"), record(f"{name}-2"))
        clusters.poll(name, record(f"{name}-1"), record(f"{name}-2", state=JobState.FAILED))
        clusters.poll(name, record(f"{name}-1"), record(f"{name}-2", state=JobState.FAILED), record(f"{name}-3"))
        finished = record(f"{name}-3", state=JobState.COMPLETED)
        clusters.poll(name, record(f"{name}-1"), record(f"{name}-2", state=JobState.FAILED), finished)
    return clusters


@pytest.fixture
def served(watched):
    with ServedApp(watched) as running:
        yield running


def rows(served, endpoint, **query):
    answer = served.get(f"/api/v1/{endpoint}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()[endpoint]


def names(entries):
    return {entry.get("cluster") or entry["name"] for entry in entries}


@pytest.mark.parametrize("endpoint", ["clusters", "jobs", "transitions"])
def test_every_row_of_the_api_has_the_labels_of_its_cluster(served, endpoint):
    entries = rows(served, endpoint)

    assert names(entries) == set(LABELS)
    assert all(entry["labels"] == LABELS[entry.get("cluster") or entry["name"]] for entry in entries)
    assert served.get("/api/v1/job", params={"cluster": "eu", "id": "eu-3"}).json()["labels"] == LABELS["eu"]


@pytest.mark.parametrize("endpoint", ["clusters", "jobs", "transitions"])
@pytest.mark.parametrize(
    ("label", "found"),
    [
        (["team:search"], {"eu", "us"}),
        (["team:search", "tier:1"], {"eu"}),
        (["note:<b>&:x</b>"], {"lab"}),
        (["team:sea"], set()),
        (["tier:search"], set()),
    ],
)
def test_a_search_by_label_finds_the_clusters_that_have_it(served, endpoint, label, found):
    assert names(rows(served, endpoint, label=label)) == found


def test_a_search_by_label_has_pages(served):
    seen, cursor = [], ""
    while cursor is not None:
        answer = served.get("/api/v1/jobs", params={"label": "team:search", "limit": 2, "cursor": cursor}).json()
        seen += [job["job_id"] for job in answer["jobs"]]
        cursor = answer["next_cursor"]

    assert seen == ["eu-1", "eu-2", "eu-3", "us-1", "us-2", "us-3"]


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/api/v1/jobs?label=team", "label is not a name and a value"),
        ("/api/v1/clusters?label=:search", "label is not a name and a value"),
        ("/api/v1/transitions?label=team:", "label is not a name and a value"),
        ("/api/v1/stream?label=team", "label is not a name and a value"),
        ("/api/v1/jobs?label=team:a&label=team:b", "label is given with two values of team"),
    ],
)
def test_what_is_no_label_is_an_error(served, path, error):
    answer = served.get(path)

    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_the_stream_has_the_labels(served, watched):
    with served.get("/api/v1/stream", stream=True) as answer:
        events, event = {}, ""
        for line in answer.iter_lines(decode_unicode=True):
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: "):
                events[event] = json.loads(line.removeprefix("data: "))
            if line.startswith("data: ") and event == "hello":
                watched.poll("eu", record("eu-1", state=JobState.COMPLETED), record("eu-2", state=JobState.FAILED))
            if "transition" in events:
                break

    assert [events[name]["labels"] for name in ("cluster", "job", "transition")] == [LABELS["eu"]] * 3


def test_a_stream_has_only_the_clusters_with_a_label(served, watched):
    label = [f"{name}:{value}" for name, value in LABELS["eu"].items()]
    with served.get("/api/v1/stream", params={"label": label, "event": "transition"}, stream=True) as answer:
        transitions = []
        for line in answer.iter_lines(decode_unicode=True):
            if line == "event: hello":
                for name in ("us", "eu"):
                    watched.poll(name, record(f"{name}-1", state=JobState.COMPLETED))
            elif line.startswith("data: {") and "to_state" in line:
                transitions.append(json.loads(line.removeprefix("data: ")))
                break

    assert [(step["cluster"], step["to_state"]) for step in transitions] == [("eu", "completed")]


def test_a_changed_label_is_in_the_next_answer(served, watched):
    watched.configs[0] = cluster(watched.configs[0].url, name="eu", labels={"team": "shop"})
    watched.fleet.apply_config([*map(WatchedCluster, watched.configs)])

    assert names(rows(served, "jobs", label="team:shop")) == {"eu"}
    assert rows(served, "transitions", cluster="eu")[0]["labels"] == {"team": "shop"}


def test_the_pages_show_the_labels_as_links_to_what_has_them(served):
    fleet, eu = served.get("/").text, served.get("/", params={"cluster": "eu"}).text
    job = served.get("/job", params={"cluster": "eu", "id": "eu-1"}).text
    link = '<a class="quiet" href="/?label=team%3Asearch">team: search</a>'

    assert fleet.count(link) == 2
    assert eu.count(link) == 2  # below the name, and in the table
    assert job.count(link) == 1
    assert "note: &lt;b&gt;&amp;:x&lt;/b&gt;" in fleet
    assert "<b>&" not in fleet


def test_the_page_searches_by_label(served):
    text = served.get("/", params={"label": "team:search"}).text

    for name in ("eu-1", "eu-2", "eu-3", "us-1", "us-2", "us-3"):
        assert f'id={name}"' in text, name
    assert "asia" not in text.replace('value="asia"', "")
    assert 'name="label" value="team:search"' in text
    assert '<span class="of"> of 2</span>' in text
    assert 'href="/?label=team%3Asearch&amp;state=failed"' in text
    assert served.get("/", params={"label": "team"}).status_code == 400
