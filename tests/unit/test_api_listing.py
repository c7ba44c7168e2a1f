"""A list, put together from pages that shift, repeat, lie about their size, or never end."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.api.answers import decoded, envelope
from monitor.api.errors import BadResponseError
from monitor.api.kept import Kept
from monitor.api.listing import PAGE_LIMIT, RECORD_LIMIT, Listing, Page, Reading, Remembered, records_in
from monitor.api.records import job_from


def read(*pages: Any, page_size: int = 2, before: Remembered | None = None) -> tuple[Remembered, Listing, int]:
    """What is remembered of the list with these pages, the list, and how many pages were asked for."""
    reading, asked = Reading(before), 0

    def ask(number: int, check: Any, kept: Kept[Page]) -> Page:
        nonlocal asked
        asked += 1
        body = json.dumps({"code": 0, "data": pages[number - 1]}).encode()
        return kept.made_of(body, lambda content: check(decoded(content, "host", is_list=True)))

    reading.read(ask, lambda payload: records_in(envelope(payload), page_size), job_from)
    return *reading.end(), asked


def listed(*pages: Any, page_size: int = 2) -> tuple[Listing, int]:
    """The listing of these pages, and how many of them were asked for."""
    _, listing, asked = read(*pages, page_size=page_size)
    return listing, asked


def page(*ids: Any, **paging: Any) -> dict[str, Any]:
    return {"records": [{"jobId": one, "state": "Pending"} for one in ids]} | (paging or {"pageSize": 2})


def test_a_short_page_is_the_last() -> None:
    listing, asked = listed(page("1", "2"), page("3"))
    assert (list(listing.jobs), asked) == (["1", "2", "3"], 2)


def test_an_exact_number_of_pages_ends_with_an_empty_one() -> None:
    listing, asked = listed(page("1", "2"), page())
    assert (list(listing.jobs), asked) == (["1", "2"], 2)


def test_a_page_without_an_id_that_is_new_is_the_last() -> None:
    listing, asked = listed(page("1", "2"), page("1", "2"))
    assert (list(listing.jobs), asked) == (["1", "2"], 2)


def test_pages_that_shift_while_they_are_read_count_each_job_once() -> None:
    listing, _ = listed(page("3", "2"), page("2", "1"), page())
    assert list(listing.jobs) == ["3", "2", "1"]


@pytest.mark.parametrize("size", ["2", 2])
def test_the_size_of_a_page_may_be_text(size: Any) -> None:
    assert listed(page("1", "2", pageSize=size), page("3", pageSize=size))[1] == 2


def test_a_server_that_gives_smaller_pages_than_asked_is_read_to_the_end() -> None:
    listing, asked = listed(page("1", "2", pageSize=2), page("3", "4", pageSize=2), page(pageSize=2), page_size=100)
    assert (len(listing.jobs), asked) == (4, 3)


@pytest.mark.parametrize("size", [0, -5, "many", None, [], pytest.param("9" * 5000, id="5000 digits")])
def test_a_nonsensical_size_of_a_page_is_ignored(size: Any) -> None:
    listing, asked = listed(page("1", "2", pageSize=size), page("3", pageSize=size), page(pageSize=size))
    assert len(listing.jobs) == 3
    assert asked in {2, 3}


@pytest.mark.parametrize("count", [0, 1, 2, 1_000_000, "2"])
def test_the_count_is_no_total_and_is_not_believed(count: Any) -> None:
    pages = [page("1", "2", pageSize=2, count=count), page("3", pageSize=2, count=count)]
    assert listed(*pages)[1] == 2


@pytest.mark.parametrize(
    "data",
    [
        {"records": [{"jobId": "1"}, {"jobId": "2"}]},
        {"tasks": [{"jobId": "1"}, {"jobId": "2"}]},
        {"records": None, "tasks": [{"jobId": "1"}, {"jobId": "2"}]},
        [{"jobId": "1"}, {"jobId": "2"}],
    ],
)
def test_without_paging_fields_everything_is_on_the_first_page(data: Any) -> None:
    listing, asked = listed(data)
    assert (list(listing.jobs), asked) == (["1", "2"], 1)


@pytest.mark.parametrize("data", [None, {}, [], {"records": []}, {"records": None}, {"tasks": []}])
def test_a_list_may_be_empty_in_many_ways(data: Any) -> None:
    listing, _ = listed(data)
    assert (listing.jobs, list(listing.rejected)) == ({}, [])


@pytest.mark.parametrize("data", ["none", 5, True, {"records": "none"}, {"records": {}}, {"tasks": 5}])
def test_a_success_without_a_list_is_no_list(data: Any) -> None:
    with pytest.raises(BadResponseError, match="no list of jobs"):
        listed(data)


def test_a_bad_record_costs_only_itself() -> None:
    listing, _ = listed({"records": [{"jobId": "1"}, "text", None, {}, {"jobId": "2"}]})
    assert list(listing.jobs) == ["1", "2"]
    assert listing.rejected == [
        "a record is text instead of an object",
        "a record is missing instead of an object",
        "a record's job id is missing",
    ]


def test_a_page_of_bad_records_does_not_hide_the_pages_after_it() -> None:
    listing, asked = listed(page("1", "2"), page(None, []), page("3"))
    assert (list(listing.jobs), len(listing.rejected), asked) == (["1", "2", "3"], 2, 3)


def test_pages_without_end_are_not_believed() -> None:
    pages = [page(number, pageSize=1) for number in range(PAGE_LIMIT + 1)]

    with pytest.raises(BadResponseError, match=f"the list has no end: more than {PAGE_LIMIT} pages"):
        listed(*pages, page_size=1)


@pytest.mark.parametrize("record", [1, {"jobId": "1"}], ids=["bad", "the same"])
def test_more_records_than_a_body_of_real_ones_can_hold_are_not_believed(record: Any) -> None:
    with pytest.raises(BadResponseError, match=f"more than {RECORD_LIMIT} records"):
        listed([record] * (RECORD_LIMIT + 1))


def test_huge_pages_are_not_believed_either() -> None:
    half = RECORD_LIMIT // 2 + 1
    pages = [page(*range(half)), page(*range(half, 2 * half))]
    with pytest.raises(BadResponseError, match=f"more than {RECORD_LIMIT} records"):
        listed(*pages)


# Beside the list before


def test_only_what_is_new_is_told_and_what_has_left_is_named() -> None:
    before, *_ = read({"records": page("1", "2", "3")["records"]})
    progressed = {"jobId": "2", "state": "Importing", "progress": 40}
    now = {"records": [{"jobId": "1", "state": "Pending"}, progressed, {"jobId": "4", "state": "Pending"}]}
    _, listing, _ = read(now, before=before)

    assert list(listing.jobs) == ["2", "4"]
    assert listing.jobs["2"].progress == 0.4
    assert listing.left == {"3"}


@pytest.mark.parametrize(
    "pages", [(page("1", "2"), page("3")), (page("2", "1"), page("3")), (page("3", "2"), page("1"))]
)
def test_a_list_that_says_the_same_in_whichever_order_says_nothing_and_keeps_its_mark(pages: Any) -> None:
    before, first, _ = read(page("1", "2"), page("3"))
    after, listing, _ = read(*pages, before=before)

    assert (listing.jobs, listing.left, listing.mark) == ({}, frozenset(), first.mark)
    assert after.mark is before.mark


def test_bad_records_are_told_each_time() -> None:
    before, *_ = read({"records": [{"jobId": "1"}, 5]})
    _, listing, _ = read({"records": [{"jobId": "1"}, 5]}, before=before)

    assert list(listing.rejected) == ["a record is a number instead of an object"]


def test_a_new_job_that_shifts_the_pages_is_all_that_is_told() -> None:
    before, *_ = read(page("4", "3"), page("2", "1"), page())
    _, listing, _ = read(page("5", "4"), page("3", "2"), page("1"), before=before)

    assert (list(listing.jobs), listing.left) == (["5"], frozenset())


def test_of_two_records_with_one_id_the_first_counts_also_beside_the_list_before() -> None:
    before, *_ = read({"records": page("1", "2")["records"]})
    again = {"records": [{"jobId": "1", "state": "Pending"}, {"jobId": "1", "state": "Failed"}]}
    other_way = {"records": [{"jobId": "1", "state": "Failed"}, {"jobId": "1", "state": "Pending"}]}

    assert read(again, before=before)[1].jobs == {}
    assert [job.state.value for job in read(other_way, before=before)[1].jobs.values()] == ["failed"]


def test_a_record_that_comes_twice_in_place_of_another_says_nothing_new() -> None:
    before, *_ = read({"records": page("1", "2")["records"]})
    _, listing, _ = read({"records": page("2", "2")["records"]}, before=before)
    assert (listing.jobs, listing.left) == ({}, frozenset({"1"}))


RECORDS = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"jobId": st.sampled_from("abcde"), "state": st.sampled_from(["Pending", "Importing", "Failed"])},
            optional={"progress": st.integers(0, 2), "reason": st.sampled_from(["", "\ud800", "no such file"])},
        ),
        st.sampled_from([None, 5, {}]),
    ),
    max_size=7,
)


def paged(records: list[Any], size: int) -> list[Any]:
    cut = [records[start : start + size] for start in range(0, len(records) + 1, size)]
    return [{"records": one, "pageSize": size} for one in cut]


@given(st.lists(st.tuples(RECORDS, st.integers(1, 4)), min_size=2, max_size=5))
def test_lists_read_beside_each_other_add_up_to_what_each_says_alone(lists: Any) -> None:
    before, jobs = None, {}
    for records, size in lists:
        _, alone, _ = read(*paged(records, size), page_size=size)
        before, beside, _ = read(*paged(records, size), page_size=size, before=before)
        jobs = {job_id: job for job_id, job in jobs.items() if job_id not in (beside.left or ())} | beside.jobs

        assert jobs == alone.jobs
        assert list(beside.rejected) == list(alone.rejected)


BY_DATABASE = st.lists(
    st.fixed_dictionaries(
        {"sales": st.permutations("abcd").map(lambda ids: ids[:3]), "stock": st.permutations("abef")}
    ),
    min_size=2,
    max_size=5,
)


@given(BY_DATABASE)
def test_a_job_that_another_database_lists_now_has_not_left(lists: list[dict[str, list[str]]]) -> None:
    before, ids = None, set[str]()
    for of_databases in lists:
        reading = Reading(before)
        for database in ("sales", "stock"):  # they are always asked in the order of the config
            body = json.dumps({"code": 0, "data": page(*of_databases[database])}).encode()
            reading.read(
                lambda _number, check, kept, body=body: kept.made_of(  # type: ignore[misc]
                    body, lambda content: check(decoded(content, "host", is_list=True))
                ),
                lambda payload: records_in(envelope(payload), None),
                job_from,
                database,
            )
        before, listing = reading.end()
        now = {job_id for listed_ids in of_databases.values() for job_id in listed_ids}

        assert (listing.left or set()) == ids - now
        assert now - ids <= set(listing.jobs) <= now
        ids = now


def test_a_job_that_the_first_of_now_two_pages_still_has_has_not_left() -> None:
    before, *_ = read({"records": page("1", "2")["records"]})
    _, listing, _ = read(page("1", "2"), page("3", "4"), page(), before=before)

    assert (list(listing.jobs), listing.left) == (["3", "4"], frozenset())


def test_a_number_that_nobody_can_read_costs_only_its_record() -> None:
    body = b'{"code": 0, "data": [{"jobId": "1"}, {"jobId": "2", "totalRows": 1%s}, {"jobId": "3"}]}' % (b"0" * 5000)
    reading = Reading(None)
    reading.read(
        lambda _number, check, kept: kept.made_of(body, lambda content: check(decoded(content, "host", is_list=True))),
        lambda payload: records_in(envelope(payload), None),
        job_from,
    )
    _, listing = reading.end()

    assert list(listing.jobs) == ["1", "3"]
    assert len(listing.rejected) == 1
