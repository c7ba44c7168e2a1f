"""A poll that is told only what is new finds what a poll finds that is told everything."""

import json
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from monitor.api import JobGoneError, Listing
from monitor.api.answers import decoded, envelope
from monitor.api.kept import Kept
from monitor.api.listing import Page, Reading, Remembered, records_in
from monitor.api.records import job_from
from monitor.jobs import Difference, Job, JobState, Picture
from monitor.poller import difference_of, observe
from tests.clusters import cluster


class Server:
    """An import API whose next list is given to it, and which has nothing that it does not list."""

    def __init__(self) -> None:
        self.session = SimpleNamespace(begin=lambda: None)
        self.records: list[Any] = []
        self._last: Remembered | None = None

    def list_jobs(self, since: object = None) -> Listing:
        body = json.dumps({"code": 0, "data": {"records": self.records}}).encode()

        def ask(_number: int, check: Any, kept: Kept[Page]) -> Page:
            return kept.made_of(body, lambda content: check(decoded(content, "host", is_list=True)))

        reading = Reading.since(since, self._last)
        reading.read(ask, lambda payload: records_in(envelope(payload), None), job_from)
        self._last, listing = reading.end()
        return listing

    def describe(self, job_id: str) -> Job:
        raise JobGoneError(job_id)


RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "jobId": st.sampled_from("abcdef"),
            "state": st.sampled_from(["Pending", "Importing", "Completed", "Completed", "Failed", "Odd"]),
        },
        optional={"progress": st.integers(0, 3), "reason": st.just("no such file"), "importedRows": st.integers(0, 3)},
    ),
    max_size=6,
    unique_by=lambda record: record["jobId"],
)
POLLS = st.lists(st.tuples(st.none() | RECORDS, st.sampled_from([1.0, 30.0, 2000.0, 8 * 86400.0])), max_size=8)


def told(difference: Difference) -> Any:
    """All that a difference says, whatever the order."""
    picture = difference.picture
    return (
        sorted(difference.transitions, key=lambda step: step.job_id),
        dict(picture.jobs.items()),
        dict(picture.outcomes),
        {one.job.job_id for one in difference.stalled},
        {one.job.job_id for one in difference.resumed},
        {one.job.job_id: one for one in difference.changed},
        set(difference.removed),
        (difference.progressed, difference.regressed, difference.missing, difference.changes_something),
    )


@settings(deadline=None)
@given(POLLS)
def test_what_is_told_beside_the_list_before_is_what_is_told_alone(polls: Any) -> None:
    watched, now = cluster("http://host:1"), 1e9
    of_alone, of_beside = Server(), Server()
    alone: Picture | None = None
    beside: Picture | None = None
    for records, later in polls:
        now += later
        if records is not None:  # None: the same list again
            of_alone.records = of_beside.records = records
        forgetful = None if alone is None else replace(alone, mark=None, said={})
        whole = difference_of(watched, alone, observe(of_alone, forgetful, now, {})[0], now)  # type: ignore[arg-type]
        part = difference_of(watched, beside, observe(of_beside, beside, now, {})[0], now)  # type: ignore[arg-type]
        alone, beside = whole.picture, part.picture

        assert told(part) == told(whole)


def test_a_shorter_limit_counts_at_the_next_poll_though_the_list_says_the_same() -> None:
    server, picture, stalled = Server(), None, []
    server.records = [{"jobId": "1", "state": "Importing", "progress": 40}]
    for number, limit in enumerate([600.0, 600.0, 600.0, 60.0]):
        now = 1e9 + 100.0 * number
        seen, _ = observe(server, picture, now, {})  # type: ignore[arg-type]
        difference = difference_of(cluster("http://host:1", stall_after=limit), picture, seen, now)
        picture = difference.picture
        stalled.append(len(difference.stalled))

    assert stalled == [0, 0, 0, 1]


def test_a_poll_that_is_told_nothing_new_keeps_the_very_same_picture() -> None:
    server, pictures = Server(), list[Picture]()
    server.records = [{"jobId": str(one), "state": "Importing", "progress": 40} for one in range(3)]
    for number in range(4):
        seen, _ = observe(server, pictures[-1] if pictures else None, 1e9 + number, {})  # type: ignore[arg-type]
        watched = cluster("http://host:1")
        pictures.append(difference_of(watched, pictures[-1] if pictures else None, seen, 1e9 + number).picture)
        server.records.reverse()

    assert pictures[1] is pictures[2] is pictures[3]


def test_a_job_of_which_the_list_says_nothing_that_we_know_is_asked_about_though_it_was_completed() -> None:
    server, picture, told = Server(), None, []
    server.records = [{"jobId": "1", "state": "Odd"}]
    for number, state in enumerate([JobState.COMPLETED, JobState.COMPLETED, JobState.FAILED]):
        server.describe = lambda job_id, state=state: Job(job_id, "books", state)  # type: ignore[method-assign,misc]
        now = 1e9 + 30.0 * number
        seen, _ = observe(server, picture, now, {})  # type: ignore[arg-type]
        difference = difference_of(cluster("http://host:1"), picture, seen, now)
        picture = difference.picture
        told.append([step.to_state for step in difference.transitions])

    assert told == [[], [], [JobState.FAILED]]
