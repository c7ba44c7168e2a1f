"""How the board looks, for every size of a terminal and whatever there is to show."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from monitor.cli.bars import changes, in_words, left, screen, sentence
from monitor.cli.board import Board, JobLine, Snapshot
from monitor.jobs import JobState

IMPORTING, FAILED, COMPLETED, PENDING = JobState.IMPORTING, JobState.FAILED, JobState.COMPLETED, JobState.PENDING


def line(job_id="1", state=IMPORTING, cluster="books", **more):
    return JobLine(cluster, more.pop("place", "novels"), job_id, state, **more)


def board(*lines, clusters=None, note=""):
    jobs = {(one.cluster, one.job_id): one for one in lines}
    return Snapshot(jobs, {"books": ""} if clusters is None else clusters, note)


def drawn(snapshot, width=100, height=24, now=1000.0):
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None, legacy_windows=False)
    console.print(screen(snapshot, width, height, now))
    return console.file.getvalue().splitlines()


ANY_TEXT = st.text(max_size=60)
ANY_LINE = st.builds(
    JobLine,
    st.sampled_from(["books", "songs"]),
    ANY_TEXT,
    ANY_TEXT,
    st.sampled_from(JobState),
    st.none() | st.floats(0, 1),
    st.none() | st.floats(0, 1e9),
    st.booleans(),
    ANY_TEXT,
    st.floats(0, 1e9),
    st.booleans(),
)


@settings(max_examples=40, deadline=None)  # drawing a board takes its time
@given(
    st.lists(ANY_LINE, max_size=40),
    st.dictionaries(ANY_TEXT, st.none() | ANY_TEXT, max_size=12),
    st.text(max_size=30),
    st.integers(20, 200),
    st.integers(1, 50),
)
def test_whatever_there_is_to_show_it_fits_the_terminal(lines, clusters, note, width, height):
    shown = drawn(board(*lines, clusters=clusters, note=note), width, height)

    assert len(shown) <= height
    assert all(cell_len(one) <= width for one in shown)  # accents take no column of their own
    assert not any("\x1b" in one for one in shown)


def test_problems_come_first_and_the_latest_of_them_first():
    shown = drawn(
        board(
            line("running", progress=0.9),
            line("waiting", PENDING),
            line("stuck", progress=0.8, stalled=True),
            line("old failure", FAILED, reason="disk quota exceeded", since=100.0),
            line("new failure", FAILED, reason="no such file", since=200.0),
            line("behind", progress=0.2),
        ),
        width=140,
    )

    assert [next(word for word in WORDS if word in row) for row in shown[1:]] == list(WORDS)
    assert "no such file" in shown[1]
    assert "stalled" in shown[3]


WORDS = ("new failure", "old failure", "stuck", "running", "behind", "waiting")


def test_many_problems_do_not_hide_all_that_runs():
    failures = [line(f"f{number}", FAILED) for number in range(50)]
    running = [line(f"r{number}", progress=0.5) for number in range(50)]

    shown = drawn(board(*failures, *running), height=12)

    assert len(shown) == 12
    assert sum(" failed " in row for row in shown[1:]) == 5
    assert sum(" importing " in row for row in shown[1:]) == 5
    assert shown[-1].strip() == "… and 90 more"


def test_only_problems_take_all_the_room_there_is():
    shown = drawn(board(*(line(f"f{number}", FAILED) for number in range(50)), line("r")), height=12)

    assert sum(" failed " in row for row in shown) == 9
    assert sum(" importing " in row for row in shown) == 1


def test_a_job_that_has_completed_just_now_is_shown_for_a_moment():
    just_now = line("just now", COMPLETED, since=995.0, seen_before=True, progress=1.0)
    before = line("before", COMPLETED, since=900.0, seen_before=True)
    never_running = line("never seen running", COMPLETED, since=999.0)

    shown = "\n".join(drawn(board(just_now, before, never_running)))

    assert "just now" in shown
    assert "before" not in shown
    assert "never seen" not in shown
    assert "3 completed" in shown


def test_clusters_that_are_down_are_told_with_the_reason_up_to_a_bound():
    clusters = {f"c{number:02d}": "timeout: no answer" for number in range(40)} | {"fine": "", "new": None}

    shown = drawn(board(line(cluster="fine"), clusters=clusters), height=20)

    assert shown[0].startswith("1 of 42 clusters up, 1 not asked yet · 1 importing")
    assert [row.strip() for row in shown[1:6]] == [
        "c00: timeout: no answer",
        "c01: timeout: no answer",
        "c02: timeout: no answer",
        "c03: timeout: no answer",
        "… and 36 more clusters are down",
    ]


def test_the_time_left_runs_down_and_is_shown_only_where_it_is_known():
    job = line(done_at=1090.0)

    assert [left(job, now) for now in (1000.0, 1060.0, 1200.0)] == ["~1m30s", "~30s", "~0s"]
    assert left(line(), 1000.0) == ""
    assert left(line(state=PENDING, done_at=1090.0), 1000.0) == ""


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0s"), (59.6, "1m"), (61, "1m1s"), (3599, "59m59s"), (3725, "1h2m"), (90061, "1d1h1m")]
)
def test_times_are_said_no_more_exactly_than_they_are_known(seconds, words):
    assert in_words(seconds) == words


def test_a_change_is_a_line_and_what_stays_is_none():
    before = board(line("1", progress=0.2), line("2", PENDING), clusters={"books": "", "songs": "", "poems": "down"})
    after = board(
        line("1", progress=0.4),
        line("2", FAILED, reason="no such file\nor directory", progress=0.0),
        line("3", stalled=True, progress=0.8),
        line("4", COMPLETED),
        clusters={"books": "", "songs": "timeout: no answer", "poems": ""},
        note="asking again",
    )

    assert changes(before, after) == [
        "poems: up again",
        "songs: down: timeout: no answer",
        "asking again",
        "books: novels 2 failed at 0%: no such file or directory",
        "books: novels 3 importing at 80%, stalled",
    ]
    assert changes(after, after) == []


def test_a_line_of_a_hostile_job_commands_nothing():
    assert "\x1b" not in sentence(line("\x1b[2J", place="a\x07\nb", reason="\x9b31m"))


def test_the_board_forgets_the_jobs_of_a_cluster_that_is_gone():
    kept = Board()
    kept.show_clusters({"books": None, "songs": ""})
    kept.show_jobs([line("1"), line("2")], "books")
    kept.show_job(line("9", cluster="songs"))
    kept.show_jobs([line("2")], "books")
    kept.remove_job("books", "7")
    assert set(kept.snapshot().jobs) == {("books", "2"), ("songs", "9")}

    kept.show_clusters({"songs": ""})
    assert set(kept.snapshot().jobs) == {("songs", "9")}
    kept.remove_job("songs", "9")
    kept.show_jobs([line("3")])
    assert set(kept.snapshot().jobs) == {("books", "3")}
