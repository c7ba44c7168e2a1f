import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from monitor.config import ALL_DATABASES, ClusterFilter
from monitor.discovery.cluster_list import MISSED_LISTS, MISSED_SECONDS, ClusterList, decode, encode
from monitor.discovery.model import REMOVED, DiscoveredCluster, DiscoveryError
from tests.discovered import URL, account, found, listed, names, plan, reasons, static


def statuses(made):
    return {watched.cluster.cluster_id: (watched.status, watched.polled) for watched in made.watched}


def test_every_cluster_of_an_account_is_watched_with_its_key():
    made = plan(account(stall_after=60.0, poll_interval=5.0), zilliz=listed(found("in01-a", "prod"), found("in01-b")))

    assert names(made) == {"in01-a": "prod", "in01-b": "in01-b"}
    cluster = made.watched[0].cluster
    assert cluster.api_key.get_secret_value() == "key-of-zilliz"
    assert (cluster.url, cluster.stall_after, cluster.interval, cluster.timeout) == (URL, 60.0, 5.0, 10.0)
    assert made.watched[0].discovery == "zilliz"


def test_a_renamed_cluster_keeps_its_name():
    first = plan(account(), zilliz=listed(found("in01-a", "prod")))
    renamed = first.lists["zilliz"].update([found("in01-a", "production")], 300.0)

    assert names(plan(account(), zilliz=renamed)) == {"in01-a": "prod"}


def test_clusters_of_one_name_get_their_ids_as_well_whatever_their_order():
    expected = {"in01-a": "prod", "in01-b": "prod-in01-b"}

    assert names(plan(account(), zilliz=listed(found("in01-a", "prod"), found("in01-b", "prod")))) == expected
    assert names(plan(account(), zilliz=listed(found("in01-b", "prod"), found("in01-a", "prod")))) == expected


def test_a_name_is_not_given_to_another_cluster_when_its_first_one_is_renamed():
    first = plan(account(), zilliz=listed(found("in01-a", "prod")))
    second = first.lists["zilliz"].update([found("in01-a", "old"), found("in01-b", "prod")], 300.0)

    assert names(plan(account(), zilliz=second)) == {"in01-a": "prod", "in01-b": "prod-in01-b"}


def test_what_stands_under_clusters_wins():
    made = plan(
        account(),
        clusters=(static("mine", "in01-a"), static("prod", "in01-c")),
        zilliz=listed(found("in01-a", "a"), found("in01-b", "prod")),
    )

    assert names(made) == {"in01-a": "mine", "in01-c": "prod", "in01-b": "prod-in01-b"}
    assert reasons(made) == {"in01-a": "listed under clusters as mine"}


def test_a_cluster_of_two_discoveries_belongs_to_the_first_until_that_one_has_removed_it():
    both = {"one": listed(found("in01-a")), "two": listed(found("in01-a"), found("in01-b"))}
    first = plan(account("one"), account("two"), **both)
    assert [(watched.cluster.cluster_id, watched.discovery) for watched in first.watched] == [
        ("in01-a", "one"),
        ("in01-b", "two"),
    ]
    assert reasons(first) == {"in01-a": "found by the discovery one as well, to which it belongs"}

    lists = dict(first.lists)
    for now in (300.0, 600.0, 1199.0):
        lists["one"] = lists["one"].update([found("in01-c")], now)
        missing = plan(account("one"), account("two"), now=now, **lists)
        assert {watched.cluster.cluster_id: watched.discovery for watched in missing.watched}["in01-a"] == "one"
    lists["one"] = lists["one"].update([found("in01-c")], 1200.0)
    moved = plan(account("one"), account("two"), now=1200.0, **lists)
    assert {watched.cluster.cluster_id: watched.discovery for watched in moved.watched} == {
        "in01-c": "one",
        "in01-a": "two",
        "in01-b": "two",
    }
    assert names(moved)["in01-a"] == "in01-a"


def test_a_cluster_that_one_discovery_has_removed_stays_as_long_as_another_has_it():
    one = listed(found("a"), found("b"), now=0.0)
    for now in (1.0, 500.0, 901.0):
        one = one.update([found("a")], now)
    two = listed(found("a"), found("b"), now=901.0).update([found("a")], 902.0)

    made = plan(account("one"), account("two"), now=902.0, one=one, two=two)

    assert statuses(made) == {"a": ("", True), "b": ("", True)}


@pytest.mark.parametrize(
    ("include", "exclude", "watched"),
    [
        ([], [], {"a", "b", "c"}),
        ([{"project": "search-*"}], [], {"a", "b"}),
        ([{"project": "search-*", "region": "aws-*"}], [], {"a"}),
        ([{"name": "c"}, {"plan": "Free"}], [], {"b", "c"}),
        ([], [{"name": "*-tmp"}, {"id": "c"}], {"a"}),
        ([{"project": "p-1"}], [{"plan": "Free"}], {"a"}),
        ([{"name": "PROD"}], [], set()),
    ],
)
def test_filters(include, exclude, watched):
    clusters = [
        found("a", "prod", project="search-eu", project_id="p-1", region="aws-1", plan="Standard"),
        found("b", "prod-tmp", project="search-us", project_id="p-1", region="gcp-1", plan="Free"),
        found("c", project="other", project_id="p-2", region="aws-1", plan="Standard"),
    ]
    discovery = account(
        include=tuple(ClusterFilter(**entry) for entry in include),
        exclude=tuple(ClusterFilter(**entry) for entry in exclude),
    )

    made = plan(discovery, zilliz=listed(*clusters))

    assert names(made).keys() == watched
    assert reasons(made).keys() == {"a", "b", "c"} - watched


def test_each_cluster_that_is_not_watched_has_a_reason():
    discovery = account(exclude=(ClusterFilter(name="*-tmp"),), max_clusters=1)
    clusters = [found("a"), found("b", "b-tmp"), found("c"), found("a", "again"), found("d", status="SUSPENDED")]
    broken = DiscoveredCluster(id="e", name="e", settings={"url": "nowhere"})

    made = plan(discovery, zilliz=listed(*clusters))
    assert [(decision.listed.name, decision.reason) for decision in made.decisions] == [
        ("a", ""),
        ("b-tmp", "excluded by exclude[0] (name: *-tmp)"),
        ("c", "beyond max_clusters (1)"),
        ("d", "beyond max_clusters (1)"),
        ("again", "listed twice: the same cluster as a"),
    ]
    made = plan(
        account(include=(ClusterFilter(name="?"),)), zilliz=listed(found("long"), found("d", status="STOPPED"), broken)
    )
    assert reasons(made) == {
        "long": "matches no entry of include",
        "d": "not polled: STOPPED",
        "e": "its settings are not valid: url: must be a URL that begins with http:// or https://, such as "
        "https://api.cloud.zilliz.com",
    }


def test_clusters_found_first_stay_when_there_are_too_many():
    first = plan(account(max_clusters=2), zilliz=listed(found("x"), found("y")))
    second = first.lists["zilliz"].update([found("a"), found("y"), found("x")], 300.0)

    assert names(plan(account(max_clusters=2), zilliz=second)).keys() == {"x", "y"}


def test_an_empty_list_after_a_full_one_is_an_error_and_at_first_it_is_none():
    assert listed().clusters == {}
    with pytest.raises(DiscoveryError, match="the list is empty, and had 1 cluster before"):
        listed(found("a")).update([], 300.0)


def test_a_cluster_is_removed_after_three_whole_lists_and_fifteen_minutes_without_it():
    known = listed(found("a"), found("b"), now=0.0)

    for now in (100.0, 110.0, 120.0, 999.9):
        known = known.update([found("b")], now)
        made = plan(account(), now=now, zilliz=known)
        assert statuses(made) == {"a": ("", True), "b": ("", True)}
        assert {watched.cluster.cluster_id: watched.missing for watched in made.watched} == {"a": True, "b": False}
    known = known.update([found("b")], 1000.0)
    assert statuses(plan(account(), now=1000.0, zilliz=known)) == {"a": (REMOVED, False), "b": ("", True)}


def test_a_long_outage_removes_nothing():
    known = listed(found("a"), found("b"), now=0.0).failed("down").failed("down")
    for now in (50_000.0, 50_300.0, 50_600.0):
        known = known.update([found("b")], now)

    assert statuses(plan(account(), now=50_600.0, zilliz=known))["a"] == ("", True)


def test_a_removed_cluster_is_known_for_failed_retention_and_can_come_back():
    known = listed(found("a", "prod"), found("b"), now=0.0)
    discovery = account(failed_retention=3600.0)
    known = plan(discovery, zilliz=known).lists["zilliz"]
    for now in (300.0, 600.0, 1200.0):
        known = known.update([found("b")], now)
    removed = plan(discovery, now=4799.0, zilliz=known)
    assert statuses(removed)["a"] == (REMOVED, False)
    assert reasons(removed) == {"a": "no longer listed"}

    back = removed.lists["zilliz"].update([found("a", "renamed"), found("b")], 4799.5)
    assert names(plan(discovery, now=4799.5, zilliz=back))["a"] == "prod"

    gone = plan(discovery, now=4800.0, zilliz=known)
    assert statuses(gone).keys() == {"b"}
    assert gone.lists["zilliz"].clusters.keys() == {"b"}


def test_a_cluster_is_polled_by_its_status_and_where_that_is_not_known():
    clusters = [found(status, status=status) for status in ("RUNNING", "SUSPENDED", "DELETING", "WHATEVER", "STOPPED")]

    assert {key: polled for key, (_, polled) in statuses(plan(account(), zilliz=listed(*clusters))).items()} == {
        "RUNNING": True,
        "SUSPENDED": False,
        "DELETING": False,
        "WHATEVER": True,
        "STOPPED": False,
    }


def test_a_list_is_kept_without_secrets_and_its_names_with_it():
    entry = DiscoveredCluster(id="m", name="lab", settings={"url": "http://lab", "api_key": SecretStr("hidden-key")})
    known = plan(account(), zilliz=listed(entry, found("in01-a", "prod"))).lists["zilliz"]

    text = encode(known)
    assert "hidden" not in text
    restored = decode(text)
    assert {key: cluster.label for key, cluster in restored.clusters.items()} == {"m": "lab", "in01-a": "prod"}
    assert restored.listed_at is None


def test_a_cluster_whose_key_is_not_kept_keeps_its_name_and_waits_for_the_next_list():
    def entry(name):
        settings = {"url": "http://lab", "api_key": SecretStr("hidden-key")}
        return DiscoveredCluster(id="m", name=name, settings=settings)

    restored = decode(encode(plan(account(), zilliz=listed(entry("lab"))).lists["zilliz"]))
    (waiting,) = plan(account(), zilliz=restored).watched
    (listed_again,) = plan(account(), zilliz=restored.update([entry("renamed")], 5.0)).watched

    assert (waiting.cluster.name, waiting.status, waiting.polled) == ("lab", "without key", False)
    assert (listed_again.cluster.name, listed_again.status, listed_again.polled) == ("lab", "", True)


def test_labels_and_databases_of_a_discovery_are_those_of_its_clusters():
    entry = DiscoveredCluster(id="lab", name="lab", settings={"url": "http://lab", "labels": {"team": "lab", "a": "b"}})
    discovery = account(labels={"team": "search", "tier": "1"}, databases="all")
    first, second = (watched.cluster for watched in plan(discovery, zilliz=listed(found("in01-a"), entry)).watched)

    assert (first.labels, first.databases) == ({"team": "search", "tier": "1"}, ALL_DATABASES)
    assert second.labels == {"team": "lab", "tier": "1", "a": "b"}


def test_an_entry_overrides_its_discovery_and_names_a_file_with_its_key():
    entry = DiscoveredCluster(
        id="lab",
        name="lab",
        settings={"url": "http://lab:19530", "api_key_file": "/keys/lab", "interval": 3.0, "databases": ["a", "b"]},
    )
    (watched,) = plan(account(poll_interval=20.0, tls={"insecure_skip_verify": True}), zilliz=listed(entry)).watched

    assert watched.cluster.interval == 3.0
    assert watched.cluster.databases == ("a", "b")
    assert watched.cluster.api_key.get_secret_value() == "content of /keys/lab"
    assert not watched.cluster.tls.insecure_skip_verify  # an http url has none


IDS = st.sampled_from("abcdef")
LISTS = st.dictionaries(IDS, st.sampled_from(["prod", "lab", "a", "prod-b"]), max_size=6)
STEPS = st.lists(st.tuples(st.sampled_from(["one", "two"]), st.none() | LISTS, st.floats(0.0, 900.0)), max_size=25)


def after(known, answer, now):
    """Return what is known after an answer, and the ids of a whole list; None where it was none."""
    listed_now = [found(key, title) for key, title in (answer or {}).items()]
    try:
        return (known.failed("no answer"), None) if answer is None else (known.update(listed_now, now), set(answer))
    except DiscoveryError as error:
        assert not answer
        return known.failed(str(error)), None


@given(STEPS)
def test_whatever_sources_answer_names_are_unique_and_stable_and_nothing_goes_too_early(steps):
    lists = {"one": ClusterList(), "two": ClusterList()}
    now, named = 0.0, {}
    absent = {}
    for name, answer, pause in steps:
        now += pause
        before = lists[name].clusters
        lists[name], ids = after(lists[name], answer, now)
        assert ids is not None or lists[name].clusters == before
        absent |= {(name, key): [] for key in ids or ()}
        for (source, key), missed in absent.items():
            if ids is not None and source == name and key not in ids:
                missed.append(now)
        made = plan(account("one"), account("two"), clusters=(static("lab", "z"),), now=now, **lists)
        lists = dict(made.lists)

        labels = names(made)
        assert len(set(labels.values())) == len(labels)
        assert all(named.setdefault(key, label) == label for key, label in labels.items())
        polled = {watched.cluster.cluster_id for watched in made.watched if watched.polled}
        early = [
            missed for missed in absent.items() if len(missed[1]) < MISSED_LISTS or now - missed[1][0] < MISSED_SECONDS
        ]
        assert polled >= {key for (_, key), _ in early}
        assert all(decode(encode(known)).clusters == known.clusters for known in lists.values())
