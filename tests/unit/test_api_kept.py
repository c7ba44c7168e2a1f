"""What a list says again is not read again, and what it says anew always is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.api.errors import BadResponseError
from monitor.api.kept import Kept, KeptPages
from monitor.api.listing import Page, page_of
from monitor.api.records import BadRecordError, job_from
from monitor.jobs import Job
from tests.clusters import connected
from tests.recorder import Answer, Recorder

USUAL = {"jobId": "1", "collectionName": "books", "state": "Importing", "progress": 40}


def page(*records: Any, before: Page | None = None) -> Page:
    return page_of({"records": list(records)}, job_from, 100, before)


def test_a_record_that_is_the_same_again_is_the_very_same_job() -> None:
    first = page(USUAL, USUAL | {"jobId": "2"})
    second = page(USUAL, USUAL | {"jobId": "2", "progress": 41}, before=first)

    assert second.jobs["1"] is first.jobs["1"]
    assert second.jobs["2"].progress == 0.41


values = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(["Importing", "importing", "Failed", "1", "", "100%", "books", "a\x00b", "40"]),
    st.integers(-1, 101),
    st.floats(),
    st.lists(st.none(), max_size=1),
)
FIELDS = (
    *("collectionName", "state", "progress", "reason", "dbName", "importedRows", "totalRows"),
    *("createTime", "completeTime", "errorMessage", "id"),
)
records = st.fixed_dictionaries(
    {"jobId": st.sampled_from(["1", "2"])},
    optional=dict.fromkeys(FIELDS, values),
)


@given(records, records, st.sampled_from(["", "sales"]))
def test_what_was_known_before_changes_nothing_in_what_is_read(was: Any, now: Any, database: str) -> None:
    def read(record: Any, known: dict[str, Job]) -> Job | str:
        try:
            return job_from(record, known, database=database)
        except BadRecordError as error:
            return str(error)

    job = read(was, {})
    known = {job.job_id: job} if isinstance(job, Job) else {}

    assert read(now, known) == read(now, {})


def test_an_answer_that_is_the_same_again_is_not_decoded_again() -> None:
    body = {"code": 0, "data": {"records": [USUAL]}}
    with Recorder(body) as server, connected(server.url) as api:
        first, second = api.list_jobs(), api.list_jobs()

    assert second.jobs is first.jobs
    assert len(server.requests) == 2


def test_a_bad_answer_that_comes_twice_is_bad_twice_and_what_was_known_stays() -> None:
    good, bad = {"code": 0, "data": {"records": [USUAL]}}, {"code": 0, "data": "none"}
    with Recorder(good, bad, bad, good) as server, connected(server.url) as api:
        first = api.list_jobs()
        for _ in range(2):
            with pytest.raises(BadResponseError):
                api.list_jobs()

        assert api.list_jobs().jobs is first.jobs


def test_pages_that_a_list_no_longer_has_are_forgotten() -> None:
    pages = KeptPages()
    for number in (1, 2, 3):
        pages.of("", number).made_of(b"body", lambda _: Page({}, (), more=False))
    pages.forget_after("", 1)

    assert pages.of("", 1).result is not None
    assert pages.of("", 2).result is None


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
