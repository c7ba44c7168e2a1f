"""What a list says again is not read again, and what it says anew always is."""

import pytest

from monitor.api.errors import BadResponseError
from monitor.api.kept import Kept
from tests.clusters import connected
from tests.recorder import Answer, Recorder

USUAL = {"jobId": "1", "collectionName": "books", "state": "Importing", "progress": 40}
LIST = {"code": 0, "data": {"records": [USUAL]}}


def test_a_list_that_says_the_same_again_tells_nothing_to_who_has_it() -> None:
    with Recorder(LIST) as server, connected(server.url) as api:
        first = api.list_jobs()
        again = api.list_jobs(first.mark)

    assert (first.left, list(first.jobs)) == (None, ["1"])
    assert (again.left, again.jobs, again.mark) == (frozenset(), {}, first.mark)
    assert len(server.requests) == 2


def test_who_has_another_list_or_none_is_told_everything() -> None:
    with Recorder(LIST) as server, connected(server.url) as api:
        marks = [None, api.list_jobs().mark, object(), api.list_jobs().mark]
        listings = [api.list_jobs(mark) for mark in marks]

    assert [(listing.left, list(listing.jobs)) for listing in listings] == [(None, ["1"])] * 4
    assert len(server.requests) == 6


def test_a_bad_answer_that_comes_twice_is_bad_twice_and_what_was_known_stays() -> None:
    bad = {"code": 0, "data": "none"}
    with Recorder(LIST, bad, bad, LIST) as server, connected(server.url) as api:
        first = api.list_jobs()
        for _ in range(2):
            with pytest.raises(BadResponseError):
                api.list_jobs(first.mark)

        assert api.list_jobs(first.mark).jobs == {}


def test_a_list_that_breaks_off_half_way_leaves_what_was_known() -> None:
    pages = [{"code": 0, "data": {"records": [USUAL | {"jobId": one}], "pageSize": 1}} for one in ("1", "2", "3")]
    end = {"code": 0, "data": {"records": [], "pageSize": 1}}
    bad = {"code": 0, "data": "none"}
    with (
        Recorder(pages[0], pages[1], end, pages[2], bad, pages[2], pages[1], end) as server,
        connected(server.url, page_size=1) as api,
    ):
        first = api.list_jobs()
        with pytest.raises(BadResponseError):
            api.list_jobs(first.mark)
        after = api.list_jobs(first.mark)

    assert (list(after.jobs), after.left) == (["3"], {"1"})


def test_nothing_is_kept_of_an_answer_from_which_nothing_could_be_made() -> None:
    kept = Kept[int]()
    kept.made_of(b"one", lambda _: 1)
    with pytest.raises(ZeroDivisionError):
        kept.made_of(b"none", lambda _: 1 // 0)

    assert (kept.made_of(b"one", lambda _: 2), kept.made_of(b"none", lambda _: 3)) == (1, 3)


def test_masking_a_key_does_not_hide_that_an_answer_changed() -> None:
    answers = [{"code": 0, "data": {"records": [USUAL | {"collectionName": name}]}} for name in ("k-secret", "other")]
    with Recorder(*map(Answer, answers)) as server, connected(server.url, api_key="k-secret") as api:
        names = [next(iter(api.list_jobs().jobs.values())).collection for _ in answers]

    assert names == ["********", "other"]
