"""Jobs that are put away are the same when they are taken out, and nobody is lost or there twice."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from monitor.jobs import Job, Jobs, JobState, TrackedJob
from monitor.jobs.shelf import BLOCK, LATEST, Shelf

TIMES = st.none() | st.floats(0, 1e10)
TRACKED = st.builds(
    TrackedJob,
    job=st.builds(
        Job,
        job_id=st.text("ab1é\ud800", min_size=1, max_size=3),
        collection=st.sampled_from(["books", "", "\ud800"]),
        state=st.sampled_from([JobState.COMPLETED, JobState.COMPLETED, JobState.FAILED, JobState.PENDING]),
        database=st.sampled_from(["", "sales"]),
        progress=st.none() | st.floats(0, 1),
        reason=st.text(max_size=3),
        raw_state=st.text(max_size=3),
        imported_rows=st.none() | st.integers(0, 2**63),
        total_rows=st.none() | st.integers(0, 2**63),
        created_at=TIMES,
        completed_at=TIMES,
    ),
    first_seen=st.floats(0, 1e10),
    state_since=st.floats(0, 1e10),
    last_change=st.floats(0, 1e10),
    peak_progress=st.floats(0, 1),
    peak_rows=st.integers(0, 2**63),
    finished_at=TIMES,
    stalled=st.booleans(),
    missing_since=TIMES,
    asked_at=TIMES,
    answered_at=TIMES,
    samples=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=2).map(tuple),
)
CHANGES = st.tuples(st.lists(TRACKED, max_size=8, unique_by=lambda one: one.job.job_id), st.sets(st.integers(0, 9)))


@given(st.lists(CHANGES, max_size=6))
def test_jobs_that_change_are_what_a_plain_dict_of_them_is(changes: list[tuple[list[TrackedJob], set[int]]]) -> None:
    jobs, plain = Jobs(), dict[str, TrackedJob]()
    for put, places in changes:
        before, was = jobs, dict(plain)
        gone = [tracked for number, tracked in enumerate(plain.values()) if number in places]
        replaced = [plain[one.job.job_id] for one in put if one.job.job_id in plain]
        jobs = jobs.with_changes(put, [*gone, *replaced])
        for tracked in gone:
            del plain[tracked.job.job_id]
        plain.update((one.job.job_id, one) for one in put)

        assert dict(jobs.items()) == plain
        assert (set(jobs), len(jobs)) == (set(plain), len(plain))
        assert all(jobs[job_id] == tracked for job_id, tracked in plain.items())
        assert set(jobs.places()) == {(one.job.database, one.job.collection) for one in plain.values()}
        changed, removed = jobs.since(before)
        assert {one.job.job_id: one for one in changed} == {
            job_id: one for job_id, one in plain.items() if was.get(job_id) != one
        }
        assert set(removed) == was.keys() - plain.keys()
        middle = min(plain, default="")
        assert [one.job.job_id for one in jobs.after(middle)] == sorted(plain)[1:]


def completed(number: int) -> TrackedJob:
    return TrackedJob(Job(f"{number:05}", "books", JobState.COMPLETED, progress=1.0), 1.0, 1.0, 1.0)


def test_a_shelf_of_many_blocks_finds_each_job_and_goes_on_after_any() -> None:
    jobs = {one.job.job_id: one for one in map(completed, range(0, 20 * BLOCK, 2))}
    shelf = Shelf(jobs.values()).with_changes({one.job.job_id: one for one in map(completed, range(1, 99, 2))}, {})

    assert all(shelf[job_id] == one for job_id, one in jobs.items())
    assert shelf.get("nobody") is shelf.get("00099") is None
    assert [one.job.job_id for one in shelf.after("00095")][:3] == ["00096", "00097", "00098"]
    assert shelf.places == {("", "books"): len(jobs) + 49}


def test_a_shelf_that_was_changed_is_still_what_it_was() -> None:
    before = Shelf(map(completed, range(100)))
    taken = {one.job.job_id: one for one in map(completed, range(50))}
    after = before.with_changes({"00007": replace(completed(7), peak_rows=5)}, taken)

    assert (len(before), len(after)) == (100, 51)
    assert (before["00007"].peak_rows, after["00007"].peak_rows) == (0, 5)
    assert list(after)[:2] == ["00007", "00050"]


def test_jobs_that_come_and_go_one_by_one_are_found_at_once_and_stand_in_order() -> None:
    shelf = Shelf(map(completed, range(0, 4 * BLOCK, 2)))
    for number in range(0, 4 * LATEST, 2):
        late, early = completed(4 * BLOCK - 1 - number), completed(number)
        shelf = shelf.with_changes({late.job.job_id: late}, {})
        shelf = shelf.with_changes({}, {early.job.job_id: early})
        assert (shelf.get(late.job.job_id), shelf.get(early.job.job_id)) == (late, None)
        assert len(shelf) == shelf.places["", "books"] == 2 * BLOCK
        assert list(shelf) == sorted(shelf)

    assert list(shelf)[:3] == [f"{4 * LATEST + step:05}" for step in (0, 2, 4)]
    assert list(shelf)[-3:] == [f"{4 * BLOCK - step:05}" for step in (3, 2, 1)]
    assert dict(shelf.items()) == {job_id: shelf[job_id] for job_id in shelf}
