"""A list, put together from pages that shift, repeat, lie about their size, or never end."""

from typing import Any

import pytest

from monitor.api.errors import BadResponseError
from monitor.api.listing import PAGE_LIMIT, RECORD_LIMIT, Listing, Page, page_of, read_pages
from monitor.api.records import job_from


def listed(*pages: Any, page_size: int = 2) -> tuple[Listing, int]:
    """The listing of these pages, and how many of them were asked for."""
    listing, asked = Listing(), 0

    def fetch(page: int) -> Page:
        nonlocal asked
        asked += 1
        return page_of(pages[page - 1], job_from, page_size)

    read_pages(fetch, listing)
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
    assert listed(data)[0] == Listing()


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
    asked = []

    def endless(number: int) -> Page:
        asked.append(number)
        return page_of(page(number, pageSize=1), job_from, 1)

    with pytest.raises(BadResponseError, match=f"the list has no end: more than {PAGE_LIMIT} pages"):
        read_pages(endless, Listing())
    assert len(asked) == PAGE_LIMIT


@pytest.mark.parametrize("record", [1, {"jobId": "1"}], ids=["bad", "the same"])
def test_more_records_than_a_body_of_real_ones_can_hold_are_not_believed(record: Any) -> None:
    with pytest.raises(BadResponseError, match=f"more than {RECORD_LIMIT} records"):
        listed([record] * (RECORD_LIMIT + 1))


def test_huge_pages_are_not_believed_either() -> None:
    half = RECORD_LIMIT // 2 + 1
    pages = [page(*range(half)), page(*range(half, 2 * half))]
    with pytest.raises(BadResponseError, match=f"more than {RECORD_LIMIT} records"):
        listed(*pages)
