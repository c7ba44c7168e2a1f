"""A list, put together from pages that shift, repeat, lie about their size, or never end."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.client.decoding import Body
from monitor.client.errors import BadResponseError
from monitor.client.import_api import PAGE_LIMIT, ImportApi
from monitor.client.pagination import RECORD_LIMIT, Page, decode_page
from monitor.jobs import JobList, JobRecord


class Server(ImportApi):
    """A server with these pages of each database, and what was asked of it and decoded."""

    def __init__(self, pages: Mapping[str, Sequence[Any]], page_size: int = 2) -> None:
        self.bodies = {
            database: [
                each if isinstance(each, bytes) else json.dumps({"code": 0, "data": each}).encode() for each in of
            ]
            for database, of in pages.items()
        }
        self._databases = tuple(pages)
        self.page_size = page_size
        self.asked: list[tuple[str, int]] = []
        self.decoded = 0

    def _fetch(self, database: str, number: int, parse: Callable[[Body], bool]) -> bool:
        self.asked.append((database, number))
        return parse(Body(self.bodies[database][number - 1], "host:1"))

    def _decode(self, body: Body, database: str) -> Page:
        self.decoded += 1
        return decode_page(body, self.page_size, database)

    def _describe(self, job_id: str) -> tuple[JobRecord, dict[str, Any]]:
        raise NotImplementedError(job_id)


def read(*pages: Any, page_size: int = 2, previous: JobList | None = None) -> JobList:
    return Server({"": pages}, page_size).list_jobs(previous or JobList())


def listed(*pages: Any, page_size: int = 2) -> tuple[JobList, int]:
    """The list of these pages, and how many of them were asked for."""
    server = Server({"": pages}, page_size)
    return server.list_jobs(JobList()), len(server.asked)


def page(*ids: Any, **paging: Any) -> dict[str, Any]:
    return {"records": [{"jobId": one, "state": "Pending"} for one in ids]} | (paging or {"pageSize": 2})


def test_a_short_page_is_the_last() -> None:
    listing, asked = listed(page("1", "2"), page("3"))
    assert (list(listing.records), asked) == (["1", "2", "3"], 2)


def test_an_exact_number_of_pages_ends_with_an_empty_one() -> None:
    listing, asked = listed(page("1", "2"), page())
    assert (list(listing.records), asked) == (["1", "2"], 2)


def test_a_page_without_an_id_that_is_new_is_the_last() -> None:
    listing, asked = listed(page("1", "2"), page("1", "2"))
    assert (list(listing.records), asked) == (["1", "2"], 2)


def test_pages_that_shift_while_they_are_read_count_each_job_once() -> None:
    listing, _ = listed(page("3", "2"), page("2", "1"), page())
    assert list(listing.records) == ["3", "2", "1"]


@pytest.mark.parametrize("size", ["2", 2])
def test_the_size_of_a_page_may_be_text(size: Any) -> None:
    assert listed(page("1", "2", pageSize=size), page("3", pageSize=size))[1] == 2


def test_a_server_that_gives_smaller_pages_than_asked_is_read_to_the_end() -> None:
    listing, asked = listed(page("1", "2", pageSize=2), page("3", "4", pageSize=2), page(pageSize=2), page_size=100)
    assert (len(listing.records), asked) == (4, 3)


@pytest.mark.parametrize("size", [0, -5, "many", [], pytest.param("9" * 5000, id="5000 digits")])
def test_a_nonsensical_size_of_a_page_is_ignored(size: Any) -> None:
    listing, asked = listed(page("1", "2", pageSize=size), page("3", pageSize=size), page(pageSize=size))
    assert len(listing.records) == 3
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
        {"records": [{"jobId": "1"}, {"jobId": "2"}], "pageSize": None, "currentPage": None},
        [{"jobId": "1"}, {"jobId": "2"}],
    ],
)
def test_without_paging_fields_everything_is_on_the_first_page(data: Any) -> None:
    listing, asked = listed(data)
    assert (list(listing.records), asked) == (["1", "2"], 1)


@pytest.mark.parametrize("data", [None, {}, [], {"records": []}, {"records": None}, {"tasks": []}])
def test_a_list_may_be_empty_in_many_ways(data: Any) -> None:
    listing, _ = listed(data)
    assert (listing.records, listing.bad_records) == ({}, ())


@pytest.mark.parametrize("data", ["none", 5, True, {"records": "none"}, {"records": {}}, {"tasks": 5}])
def test_a_success_without_a_list_is_no_list(data: Any) -> None:
    with pytest.raises(BadResponseError, match="no list of jobs"):
        listed(data)


def test_a_bad_record_costs_only_itself() -> None:
    listing, _ = listed({"records": [{"jobId": "1"}, "text", None, {}, {"jobId": "2"}]})
    assert list(listing.records) == ["1", "2"]
    assert listing.bad_records == (
        "a record is text instead of an object",
        "a record is missing instead of an object",
        "a record's job id is missing",
    )


def test_a_page_of_bad_records_does_not_hide_the_pages_after_it() -> None:
    listing, asked = listed(page("1", "2"), page(None, []), page("3"))
    assert (list(listing.records), len(listing.bad_records), asked) == (["1", "2", "3"], 2, 3)


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


# A list without a readable record, several records of one id


def test_a_list_none_of_whose_records_can_be_read_is_no_list() -> None:
    with pytest.raises(
        BadResponseError, match=r"none of the 2 records .* \(a record's job id is missing\): check `api`"
    ):
        listed([{"state": "Failed"}, {"jobId": ""}])


@pytest.mark.parametrize(
    "states", [("Importing", "Failed", "Completed"), ("Completed", "Importing", "Failed", "Pending")]
)
def test_of_several_records_of_one_id_the_most_final_counts(states: tuple[str, ...]) -> None:
    listing, _ = listed([{"jobId": "1", "state": state} for state in states])
    assert listing.records["1"].state == "Failed"
    assert listing.repeated_ids == ("1",)


def test_an_id_on_two_pages_is_a_list_that_shifted_and_is_not_reported() -> None:
    done = {"records": [{"jobId": "2", "state": "Completed"}, {"jobId": "1", "state": "Pending"}], "pageSize": 2}
    listing, _ = listed(page("3", "2"), done, page())
    assert {job_id: record.state for job_id, record in listing.records.items()} == {
        "3": "Pending",
        "2": "Completed",
        "1": "Pending",
    }
    assert listing.repeated_ids == ()


def test_a_number_that_nobody_can_read_costs_only_itself() -> None:
    body = b'{"code": 0, "data": {"records": [{"jobId": "1"}, {"jobId": "2", "totalRows": 1%s}, {"jobId": "3"}]}}'
    listing, _ = listed(body % (b"0" * 5000))
    assert list(listing.records) == ["1", "2", "3"]
    assert listing.records["2"].total_rows is None


# After a previous list


def test_an_unchanged_list_is_the_previous_one_and_is_not_decoded() -> None:
    server = Server({"a": [page("1", "2"), page("3")], "b": [page("4", "5"), page()]})
    first = server.list_jobs(JobList())
    assert (server.decoded, len(server.asked)) == (4, 4)
    assert server.list_jobs(first) is first
    assert (server.decoded, len(server.asked)) == (4, 8)


def test_a_page_that_differs_has_the_whole_list_decoded() -> None:
    first = read(page("1", "2"), page("3"))
    second = read(page("1", "2"), page("4"), previous=first)
    assert list(second.records) == ["1", "2", "4"]
    assert second.records["1"] == first.records["1"]


@pytest.mark.parametrize("pages", [[page("1", "2"), page()], [page("1", "2"), page("3", "4"), page()], [page()]])
def test_a_list_may_become_longer_and_shorter(pages: list[Any]) -> None:
    first = read(page("1", "2"), page("3"))
    assert read(*pages, previous=first) == read(*pages)


def test_the_same_body_of_another_database_is_another_page() -> None:
    first = Server({"a": [page("1")]}).list_jobs(JobList())
    assert [record.database for record in Server({"b": [page("1")]}).list_jobs(first).records.values()] == ["b"]


def test_a_bad_answer_is_bad_each_time_and_what_was_known_stays() -> None:
    first = read(page("1"))
    for _ in range(2):
        with pytest.raises(BadResponseError):
            read("none", previous=first)
    assert read(page("1"), previous=first) is first


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
    return [{"records": [*each], "pageSize": size} for each in cut]


@given(st.lists(st.tuples(RECORDS, st.integers(1, 4)), min_size=2, max_size=5))
def test_lists_read_one_after_another_are_what_each_is_alone(lists: Any) -> None:
    previous = JobList()
    for records, size in lists:
        pages = paged([{"jobId": "z"}, *records], size)
        alone = read(*pages, page_size=size)
        previous = read(*pages, page_size=size, previous=previous)
        assert previous == alone
        assert read(*pages, page_size=size, previous=previous) is previous
