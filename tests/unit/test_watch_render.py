"""What `watch` shows, for every size of a terminal and whatever there is to show."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from monitor.cli.output import rough_duration
from monitor.cli.watch.render import changes, screen, sentence
from monitor.cli.watch.state import View
from monitor.jobs import Job, JobState

IMPORTING, FAILED, COMPLETED, PENDING = JobState.IMPORTING, JobState.FAILED, JobState.COMPLETED, JobState.PENDING


def job(job_id="1", state=IMPORTING, since=0.0, **more):
    return Job(job_id, more.pop("collection", "novels"), state, more.pop("first_seen", 0.0), since, since, **more)


def view(*jobs, cluster="books", clusters=None, note=""):
    return View({(cluster, one.job_id): one for one in jobs}, {}, {"books": ""} if clusters is None else clusters, note)


def drawn(shown, width=100, height=24, now=1000.0, offset=0):
    return [line.plain for line in screen(shown, width, height, now, offset=offset).lines]


ANY_TEXT = st.text(max_size=60)
ANY_JOB = st.builds(
    Job,
    job_id=ANY_TEXT,
    collection=ANY_TEXT,
    state=st.sampled_from(JobState),
    first_seen=st.floats(0, 1e9),
    state_since=st.floats(0, 1e9),
    last_change=st.floats(0, 1e9),
    database=ANY_TEXT,
    progress=st.none() | st.floats(0, 1),
    reason=ANY_TEXT,
    finished_at=st.none() | st.floats(0, 1e9),
    stalled=st.booleans(),
)


@settings(max_examples=40, deadline=None)  # drawing a screen takes its time
@given(
    st.dictionaries(st.tuples(st.sampled_from(["books", "songs"]), ANY_TEXT), ANY_JOB, max_size=40),
    st.floats(0, 1e9),
    st.dictionaries(ANY_TEXT, st.none() | ANY_TEXT, max_size=12),
    st.text(max_size=30),
    st.integers(20, 200),
    st.integers(1, 50),
)
def test_whatever_there_is_to_show_fits_the_terminal(jobs, done_at, clusters, note, width, height):
    lines = drawn(View(jobs, dict.fromkeys(jobs, done_at), clusters, note), width, height)

    assert len(lines) <= height
    assert all(cell_len(line) <= width for line in lines)  # accents take no column of their own
    assert not any("\x1b" in line or line != line.rstrip() for line in lines)


WORDS = ("new failure", "old failure", "stuck", "running", "behind", "waiting")


def test_problems_come_first_and_the_latest_of_them_first():
    lines = drawn(
        view(
            job("running", progress=0.9),
            job("waiting", PENDING),
            job("stuck", progress=0.8, stalled=True),
            job("old failure", FAILED, reason="disk quota exceeded", since=100.0),
            job("new failure", FAILED, reason="no such file", since=200.0),
            job("behind", progress=0.2),
        ),
        width=140,
    )

    assert [next(word for word in WORDS if word in row) for row in lines[2:]] == list(WORDS)
    assert lines[1].split() == ["COLLECTION", "JOB", "STATE", "AGE", "PROGRESS", "LEFT"]
    assert "no such file" in lines[2]
    assert "stalled" in lines[4]


def test_many_problems_do_not_hide_all_running_jobs():
    failures = [job(f"f{number}", FAILED) for number in range(50)]
    running = [job(f"r{number}", progress=0.5) for number in range(50)]

    lines = drawn(view(*failures, *running), height=12)

    assert len(lines) == 12
    assert sum(" failed " in row for row in lines[1:]) == 5
    assert sum(" importing " in row for row in lines[1:]) == 4
    assert lines[-1].strip() == "… and 91 more"


def test_scrolled_down_every_job_is_shown_once_and_there_is_an_end():
    jobs = [job(f"f{number}", FAILED) for number in range(20)] + [job(f"r{number}") for number in range(20)]
    seen, offset = [], 0
    while True:
        shown = screen(view(*jobs), 100, 12, 1000.0, offset=offset)
        assert shown.offset == offset
        seen += [line.plain.split()[1] for line in shown.lines[2 : 2 + shown.page]]
        if shown.lines[-1].plain.endswith(" 0 below"):
            break
        offset = min(offset + shown.page, 40 - shown.page)

    assert set(seen) == {one.job_id for one in jobs}
    assert screen(view(*jobs), 100, 12, 1000.0, offset=10**9).offset == 40 - shown.page


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_ids_stay_whole_and_the_bar_gives_way_first(width):
    job_id = "job-01fa0e5c42cjxvzf9hdmu5y"
    shown = view(job(job_id, progress=0.5, collection="a_rather_long_name_of_a_collection", created_at=-2000.0))

    *_, row = drawn(shown, width)

    assert job_id in row
    assert "50%" in row
    assert ("━" in row) is (width >= 100)
    assert ("50m" in row) is (width >= 80)


def test_problems_use_the_room_that_running_jobs_leave():
    lines = drawn(view(*(job(f"f{number}", FAILED) for number in range(50)), job("r")), height=12)

    assert sum(" failed " in row for row in lines) == 8
    assert sum(" importing " in row for row in lines) == 1


def test_a_job_that_has_just_completed_is_shown_for_a_moment():
    just_now = job("just now", COMPLETED, since=995.0, progress=1.0)
    earlier = job("earlier", COMPLETED, since=900.0)
    never_running = job("never seen running", COMPLETED, since=999.0, first_seen=999.0)

    text = "\n".join(drawn(view(just_now, earlier, never_running)))

    assert "just now" in text
    assert "earlier" not in text
    assert "never seen" not in text
    assert "3 completed" in text


def test_clusters_that_are_down_are_listed_with_the_reason_up_to_a_bound():
    clusters = {f"c{number:02d}": "timeout: no answer" for number in range(40)} | {"fine": "", "new": None}

    lines = drawn(view(job(), cluster="fine", clusters=clusters), height=20)

    assert lines[0].startswith("1 of 42 clusters up, 1 not polled yet · 1 importing")
    assert [row.strip() for row in lines[1:6]] == [
        "c00: timeout: no answer",
        "c01: timeout: no answer",
        "c02: timeout: no answer",
        "c03: timeout: no answer",
        "… and 36 more clusters are down",
    ]


def test_a_wide_screen_shows_how_long_an_import_usually_takes():
    shown = View({("books", "1"): job("1", progress=0.5)}, usual={("books", "1"): 750.0})

    assert ["usually 12m30s" in row for row in drawn(shown, width=120)] == [False, False, True]
    assert not any("usually" in row for row in drawn(shown, width=80))


@pytest.mark.parametrize(("now", "left"), [(1000.0, "~1m30s"), (1060.0, "~30s"), (1200.0, "~0s")])
def test_the_time_left_runs_down_where_there_is_an_estimate(now, left):
    shown = View({("books", "1"): job("1", progress=0.5), ("books", "2"): job("2")}, {("books", "1"): 1090.0})

    assert [left in row for row in drawn(shown, now=now)] == [False, False, True, False]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0s"), (59.6, "1m"), (61, "1m1s"), (3599, "59m59s"), (3725, "1h2m"), (90061, "1d1h1m")]
)
def test_durations_are_no_more_exact_than_the_estimate(seconds, words):
    assert rough_duration(seconds) == words


def test_each_change_is_a_line_and_what_stays_is_none():
    before = view(job("1", progress=0.2), job("2", PENDING), clusters={"books": "", "songs": "", "poems": "down"})
    after = view(
        job("1", progress=0.4),
        job("2", FAILED, reason="no such file\nor directory", progress=0.0),
        job("3", stalled=True, progress=0.8),
        job("4", COMPLETED),
        clusters={"books": "", "songs": "timeout: no answer", "poems": ""},
        note="retrying",
    )

    assert changes(before, after) == [
        "poems: up again",
        "songs: down: timeout: no answer",
        "retrying",
        "books: novels 2 failed at 0%: no such file or directory",
        "books: novels 3 importing at 80%, stalled",
    ]
    assert changes(after, after) == []


def test_a_hostile_job_cannot_control_the_terminal():
    assert "\x1b" not in sentence("books", job("\x1b[2J", FAILED, collection="a\x07\nb", reason="\x9b31m"))
