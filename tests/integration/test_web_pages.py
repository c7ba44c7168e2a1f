"""The pages as they come from the server: what a browser without scripts shows."""

import html
import re
import threading
import time
from difflib import get_close_matches

import pytest
from msgspec.structs import replace

from monitor.client import ImportFile, JobGoneError
from monitor.client.errors import BadRequestError
from monitor.jobs import JobState
from monitor.store import JobFilter, StoreUnavailableError
from tests.served_app import ServedApp, WatchedClusters, record

PENDING, IMPORTING, COMPLETED, FAILED = JobState.PENDING, JobState.IMPORTING, JobState.COMPLETED, JobState.FAILED
UNCOMMITTED = JobState.UNCOMMITTED
EVIL = "<script>alert('x')</script>\"&\N{RIGHT-TO-LEFT OVERRIDE}gpj"


@pytest.fixture
def watched():
    return WatchedClusters("eu", "us", "asia")


@pytest.fixture
def served(watched):
    with ServedApp(watched) as running:
        yield running


def page(served, path="/", status=200, **query):
    """A page without its mark-up's white space."""
    answer = served.get(path, params=query)
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    return re.sub(r"\s+", " ", answer.text)


def section(text, name):
    """What stands in one section of a page, as text; empty where it is not there."""
    found = re.search(rf'<section id="{name}".*?</section>', text)
    return "" if found is None else re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", found[0])))


def test_what_is_wrong_comes_first_with_the_reason_in_full(served, watched):
    watched.poll("eu", *(record(str(number), "books", IMPORTING, progress=0.1) for number in range(4)))
    watched.poll(
        "eu",
        record("0", "books", FAILED, reason="invalid JSON in\nrow 17"),
        record("1", "films", UNCOMMITTED, progress=0.99),
        record("2", "songs", IMPORTING, progress=0.25),
        absent={"3"},
    )
    watched.fail("us", "connection refused")
    text = page(served)

    order = [text.index(f'<section id="{name}"') for name in ("unreachable", "attention", "running", "clusters")]
    assert order == sorted(order)
    attention = section(text, "attention")
    assert attention.startswith(" Needs attention 3 ")
    assert re.findall(r"failed|vanished|uncommitted", attention)[:1] == ["failed"]
    assert "invalid JSON in row 17" in attention
    assert "bad data" in attention
    assert attention.index("row 17") < attention.index("vanished") < attention.index("Waiting for a commit")
    assert "connection refused" in section(text, "unreachable")
    assert "songs" in section(text, "running")
    assert "25 %" in section(text, "running")
    assert "3 imports need attention; 1 cluster is unreachable" in text
    assert "not polled" in section(text, "clusters")


def test_pace_and_time_left_are_told_once_they_mean_something(served, watched):
    for progress in (0.1, 0.2, 0.3, 0.4):
        watched.poll("eu", record("1", "books", IMPORTING, progress=progress, total_rows=9000, imported_rows=900))
    running = section(page(served), "running")

    assert "30 rows/s" in running
    assert "3 min" in running
    assert "900 of 9 000 rows" in running


def test_a_search_without_hits_says_so_and_nothing_about_the_other_imports(served, watched):
    watched.poll("eu", record("1", "books", "Importing"), record("2", "books", "Failed", reason="no such file"))
    text = page(served, q="films")

    assert "No import matches the search" in text
    for name in ("attention", "running", "finished"):
        assert "No matching import." in section(text, name)


def test_an_import_that_completed_without_its_rows_needs_attention(served, watched):
    watched.poll("eu", record("1", "books", "Importing"))
    watched.poll("eu", record("1", "books", "Completed", imported_rows=3, total_rows=900))
    attention = section(page(served), "attention")

    assert "Completed with 3 of 900 rows." in attention
    assert "incomplete" in attention


def test_a_stalled_import_needs_attention(served, watched):
    watched.poll("eu", record("1", "books", IMPORTING, progress=0.8))
    watched.poll("eu", record("1", "books", IMPORTING, progress=0.8), after=7200)
    text = page(served)

    assert "No progress for 2 h." in section(text, "attention")
    assert "No running imports." in section(text, "running")
    assert "stalled" in section(page(served, state="stalled"), "attention")
    assert "1 stalled" in section(text, "clusters")


def test_an_old_failure_needs_no_attention_any_more_and_is_still_found(served, watched):
    watched.poll("eu", record("1", "books", FAILED, reason="quota exceeded"))
    watched.poll("eu", record("1", "books", FAILED, reason="quota exceeded"), after=86400)

    assert "quota" not in page(served)
    assert "quota exceeded" in section(page(served, state="failed"), "finished")
    assert "quota exceeded" in section(page(served, q="QUOTA"), "finished")


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({"cluster": "eu"}, {"a1", "a2", "a3"}),
        ({"cluster": "us"}, {"b1"}),
        ({"collection": "books"}, {"a1", "b1"}),
        ({"database": "archive"}, {"a3"}),
        ({"state": "importing"}, {"a1", "b1"}),
        ({"state": "completed"}, {"a3"}),
        ({"state": "failed", "cluster": "eu"}, {"a2"}),
        ({"state": "failed", "cluster": "us"}, set()),
        ({"q": "No Such FILE"}, {"a2"}),
        ({"q": "a"}, {"a1", "a2", "a3"}),
        ({"state": "nonsense"}, {"a1", "a2", "b1"}),
    ],
)
def test_filters(served, watched, query, shown):
    watched.poll(
        "eu",
        record("a1", "books", IMPORTING),
        record("a2", "films", FAILED, reason="no such file"),
        record("a3", "x", COMPLETED, database="archive"),
    )
    watched.poll("us", record("b1", "books", IMPORTING))
    text = page(served, **query)

    assert {job for job in ("a1", "a2", "a3", "b1") if f'&amp;id={job}"' in text} == shown
    for name, value in query.items():
        if name in ("q", "cluster", "database", "collection"):
            assert f'name="{name}" value="{value}"' in text
    assert ("There is no state nonsense" in text) == (query == {"state": "nonsense"})


def test_pages_of_a_section_hold_what_the_others_do_not(served, watched):
    watched.poll("eu", *(record(f"j{number:03}", "books", IMPORTING, progress=0.5) for number in range(60)))
    seen, path = [], "/?collection=books"
    for _ in range(5):
        text = page(served, path)
        running = re.search(r'<section id="running".*?</section>', text)[0]
        seen += re.findall(r"id=(j\d+)", running)
        following = re.search(r'<a href="([^"]+)" rel="next">', running)
        if following is None:
            break
        path = "/" + html.unescape(following[1])
        assert "collection=books" in path

    assert seen == [f"j{number:03}" for number in range(60)]
    assert "51\N{EN DASH}60 of 60" in section(text, "running")
    assert "51\N{EN DASH}60 of 60" in section(page(served, "/?running_page=999"), "running")
    assert "1\N{EN DASH}25 of 60" in section(page(served, "/?running_page=x&attention_page=-1"), "running")


@pytest.mark.parametrize("path", ["/", "/job", "/collection"])
def test_what_servers_say_stays_text(served, watched, path):
    watched.poll("eu", record("1", EVIL, IMPORTING))
    watched.poll("eu", record("1", EVIL, FAILED, database=EVIL, reason=EVIL), record(EVIL[:100], "x", IMPORTING))
    watched.files["eu", "1"] = (ImportFile(EVIL, reason=EVIL),)
    watched.fail("us", EVIL)
    text = page(
        served,
        path,
        cluster="eu" if path != "/" else "",
        id="1",
        collection=EVIL if path != "/" else "",
        database=EVIL if path != "/" else "",
    )

    assert text.count("<script") == 2
    assert "&lt;script&gt;alert(&#39;x&#39;)" in text
    for value in re.findall(r'="([^"]*alert[^"]*)"', text):
        assert "<" not in value
    assert "javascript:" not in text
    assert not re.search(r'\son\w+="', text)


def test_the_page_of_a_job_tells_its_story_and_its_files(served, watched):
    watched.poll("eu")
    watched.poll("eu", record("1", "books", PENDING))
    watched.poll("eu", record("1", "books", IMPORTING, progress=0.4, imported_rows=40, total_rows=100))
    watched.files["eu", "1"] = (
        ImportFile("a.parquet", COMPLETED, 1.0, 1_500_000, 10, 10),
        ImportFile("b.parquet", FAILED, 0.2, None, None, None, "no such column"),
    )
    text = page(served, "/job", cluster="eu", id="1")

    assert "40 of 100" in text
    story = section(text, "history")
    assert re.findall(r"(new|pending|importing) → (\w+)", re.sub(r"\s+", " ", story)) == [
        ("pending", "importing"),
        ("new", "pending"),
    ]
    files = section(text, "files")
    assert all(part in files for part in ("a.parquet", "1.5 MB", "10 of 10", "b.parquet", "no such column"))
    assert '<a href="/collection?cluster=eu&amp;database=&amp;collection=books">' in text


def test_files_are_asked_for_once_in_a_while(served, watched):
    watched.poll("eu", record("1", "books", IMPORTING), record("2", "books", IMPORTING))
    for _ in range(3):
        page(served, "/job", cluster="eu", id="1")
    page(served, "/job", cluster="eu", id="2")

    assert watched.files_asked == [("eu", "1"), ("eu", "2")]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ((), "The server reports no files."),
        (BadRequestError("not <now>"), "not <now>"),
        (JobGoneError("gone"), "no such job any more"),
        (KeyError("eu"), "no longer watched"),
        (ZeroDivisionError(), "ZeroDivisionError in the monitor itself"),
    ],
)
def test_files_that_cannot_be_told_cost_nothing_else(served, watched, told, said):
    watched.poll("eu", record("1", "books", IMPORTING))
    watched.files["eu", "1"] = told

    assert said in section(page(served, "/job", cluster="eu", id="1"), "files")


def test_a_page_waits_for_no_cluster_that_hangs(watched):
    hanging = threading.Event()
    watched.poll("eu", record("1", "books", IMPORTING))
    watched.files["eu", "1"] = lambda: (hanging.wait(20), (ImportFile("late.parquet"),))[1]
    with ServedApp(watched, files_timeout=0.05) as served:
        first = section(page(served, "/job", cluster="eu", id="1"), "files")
        second = section(page(served, "/job", cluster="eu", id="1"), "files")
        hanging.set()

    assert "slow to respond" in first
    assert "slow to respond" in second
    assert watched.files_asked == [("eu", "1")]


def test_a_job_that_left_the_list_keeps_its_page_and_its_files_are_not_asked_for(served, watched):
    watched.poll("eu", record("1", "books", IMPORTING))
    watched.poll("eu", record("1", "books", COMPLETED))
    watched.poll("eu")
    page(served, "/job", cluster="eu", id="1")
    watched.store.maintain(lambda *_: None)  # writes what only left the list
    text = page(served, "/job", cluster="eu", id="1")

    assert "not listed" in text
    assert "completed" in section(text, "history")
    assert watched.files_asked == []


def test_a_job_that_is_only_history_still_has_a_page(served, watched, monkeypatch):
    watched.poll("eu", record("1", "books", IMPORTING))
    watched.poll("eu", record("1", "books", COMPLETED))
    monkeypatch.setattr(watched.store, "job", lambda *_: None)
    text = page(served, "/job", cluster="eu", id="1")

    assert "Only the history of this job is still stored" in text
    assert "completed" in section(text, "history")


def test_the_history_has_pages(served, watched, monkeypatch):
    monkeypatch.setattr("monitor.web.pages.HISTORY_SIZE", 2)
    monkeypatch.setattr("monitor.web.pages.POINTS_DRAWN", 2)
    watched.poll("eu")
    for state in (PENDING, IMPORTING, UNCOMMITTED, COMPLETED):
        watched.poll("eu", record("1", "books", state))
    first = page(served, "/job", cluster="eu", id="1")
    older = html.unescape(re.search(r'<a href="([^"]+)" rel="next">Older', first)[1])
    second = page(served, f"/job{older}")

    assert "committed" in section(first, "history")
    assert re.findall(r"(\w+) → (\w+)", section(second, "history")) == [("pending", "importing"), ("new", "pending")]
    assert "Newest</a>" in second


def test_without_the_database_pages_show_what_is_tracked_and_say_so(served, watched, monkeypatch):
    def fail(*_, **__):
        raise StoreUnavailableError

    def transitions(*arguments):
        return replace(complete(*arguments), complete=False)

    watched.poll("eu", record("1", "books", IMPORTING), record("2", "books", COMPLETED))
    watched.poll("eu", record("1", "books", IMPORTING, progress=0.5), record("2", "books", COMPLETED))
    complete = watched.store.transitions
    monkeypatch.setattr(watched.store, "transitions", transitions)
    for name in ("job", "jobs", "finished"):
        monkeypatch.setattr(watched.store, name, fail)
    job = page(served, "/job", cluster="eu", id="1")
    collection = page(served, "/collection", cluster="eu", database="", collection="books")
    search = page(served, collection="books")

    assert "The database is unavailable" in section(job, "history")
    for text in (collection, search):
        assert "50 %" in section(text, "running")
        assert "The database is unavailable: completed imports are not shown." in section(text, "finished")
    assert "The database is unavailable." in page(served, "/job", 503, cluster="eu", id="2")


@pytest.mark.parametrize(("number", "shown"), [("1", "1 to 25"), ("2", "26 to 30"), ("9", "26 to 30")])
def test_finished_imports_come_from_the_store_page_by_page(served, watched, number, shown):
    watched.poll("eu", *(record(f"j{number:02}", state=COMPLETED) for number in range(30)))
    watched.poll("eu")
    text = section(page(served, "/?state=completed", finished_page=number), "finished")

    assert "Finished 30" in text
    assert f"{shown} of 30" in text.replace("\N{EN DASH}", " to ")


def test_a_search_without_hits_says_so_and_nothing_green_stands_under_red_numbers(served, watched):
    watched.poll("eu", record("1", "books", FAILED), record("2", "films", IMPORTING))
    verdict = r'<p class="verdict([a-z ]*)" data-status> ([^<]*?) </p>'

    assert re.search(verdict, page(served)).groups() == (" bad", "1 import needs attention")
    assert re.search(verdict, page(served, q="nothing")).groups() == ("", "No import matches the search")
    assert re.search(verdict, page(served, collection="films")).groups() == ("", "No import needs attention")


def test_the_page_of_a_collection_has_its_jobs_and_their_history(served, watched):
    watched.poll("eu", record("1", "books", IMPORTING), record("2", "films", IMPORTING))
    watched.poll(
        "eu",
        record("1", "books", FAILED, reason="timeout"),
        record("2", "films", IMPORTING),
        record("3", "books", PENDING),
    )
    text = page(served, "/collection", cluster="eu", database="", collection="books")

    assert "timeout" in section(text, "attention")
    assert "Running 1" in section(text, "running")
    assert "films" not in text
    assert re.findall(r"(\w+) → (\w+)", section(text, "history")) == [("new", "pending"), ("importing", "failed")]


@pytest.mark.parametrize(
    ("path", "said", "link"),
    [
        ("/?cluster=asien", "No cluster is named 'asien'.", "/?cluster=asia"),
        ("/job?cluster=nope&id=1", "No cluster is named 'nope'.", "/"),
        ("/job", "No cluster is named ''.", "/"),
        ("/job?cluster=eu", "There is no job '' of eu.", "/?cluster=eu"),
        ("/job?cluster=eu&id=1", "There is no job '1' of eu.", "/?cluster=eu"),
        ("/collection?cluster=eu&collection=zz", "No imports into zz of eu.", "/?cluster=eu"),
        ("/collection?cluster=zz&collection=zz", "No cluster is named 'zz'.", "/"),
        ("/nothing", "There is no such page or endpoint.", "/"),
    ],
)
def test_what_is_not_known_is_a_page_that_helps(served, path, said, link):
    text = page(served, path, 404)

    assert said in html.unescape(text)
    assert f'<a href="{link}">' in text


def test_a_foreign_cursor_is_an_error_and_too_many_requests_have_to_wait(served, watched):
    watched.poll("eu", record("1", "books", IMPORTING))
    assert "The cursor is not from a page of this list." in page(served, "/job?cluster=eu&id=1&before=zz", 400)
    assert "The cursor is not from a page of this list." in page(
        served, "/collection?cluster=eu&collection=books&before=zz", 400
    )
    with ServedApp(watched, waiting_requests=0) as busy:
        for path in ("/", "/job?cluster=eu&id=1", "/collection?cluster=eu&collection=books"):
            assert "Try again in a moment." in page(busy, path, 503)


def test_the_page_may_load_only_what_is_ours_and_is_not_kept(served):
    answer = served.get("/")

    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "style=" not in answer.text
    for name in re.findall(r'(?:src|href)="(/static/[^"]+)"', answer.text):
        assert served.get(name).status_code == 200
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', answer.text)


@pytest.mark.parametrize("name", ["", "../app.py", "..%2fapp.py", "nothing.css", "page.css/x"])
def test_only_those_files_are_served(served, name):
    assert served.get(f"/static/{name}").status_code == 404


def test_a_fragment_is_the_content_alone(served):
    whole, part = served.get("/"), served.get("/", headers={"X-Fragment": "main"})

    assert "<html" not in part.text
    assert '<section id="clusters"' in part.text
    assert len(part.text) < len(whole.text)
    assert "X-Fragment" in whole.headers["Vary"]


def test_an_overview_is_reused_until_something_changes(watched):
    watched.poll("eu", record("1", "books", IMPORTING))
    first = watched.fleet.overview(JobFilter())
    assert watched.fleet.overview(JobFilter()) is first
    watched.poll("eu", record("1", "books", IMPORTING))
    assert watched.fleet.overview(JobFilter()) is first
    watched.poll("eu", record("1", "books", FAILED))
    deadline = time.monotonic() + 10
    while (second := watched.fleet.overview(JobFilter())) is first and time.monotonic() < deadline:
        pass
    assert len(second.attention) == 1


def test_answers_about_files_are_bounded(watched):
    watched.poll("eu", record("1", "books", IMPORTING), record("2", "books", IMPORTING))
    with ServedApp(watched, files_cached=1) as served:
        for job in ("1", "2", "1"):
            page(served, "/job", cluster="eu", id=job)

    assert watched.files_asked == [("eu", "1"), ("eu", "2"), ("eu", "1")]


def test_an_answer_about_files_is_asked_for_again_after_a_while(watched):
    watched.poll("eu", record("1", "books", IMPORTING))
    with ServedApp(watched, files_max_age=0.0) as served:
        for name in ("a.parquet", "b.parquet"):
            watched.files["eu", "1"] = (ImportFile(name),)
            assert name in section(page(served, "/job", cluster="eu", id="1"), "files")


def test_a_job_that_stands_still_has_no_pace(served, watched):
    for progress in (0.1, 0.2, 0.3):
        watched.poll("eu", record("1", "books", IMPORTING, progress=progress))
    assert "20.0 %/min" in section(page(served), "running")
    watched.poll("eu", record("1", "books", IMPORTING, progress=0.3), after=600)

    assert "%/min" not in section(page(served), "running")


def test_a_plateau_is_no_part_of_the_pace_and_pace_and_time_left_agree(served, watched):
    for after, progress in ((30, 0.1), (30, 0.2), (30, 0.3), (3000, 0.4), (30, 0.5)):
        watched.poll("eu", record("1", "books", IMPORTING, progress=progress), after=after)
    job = served.json("/api/v1/job", cluster="eu", id="1")

    assert job["progress_per_minute"] == pytest.approx(0.2)
    assert job["eta_seconds"] == pytest.approx(60 * (1 - 0.5) / job["progress_per_minute"])
    assert "20.0 %/min" in section(page(served), "running")


def test_one_step_forward_makes_neither_a_pace_nor_an_estimate(served, watched):
    for progress in (0.1, 0.2):
        watched.poll("eu", record("1", "books", IMPORTING, progress=progress))
    job = served.json("/api/v1/job", cluster="eu", id="1")

    assert (job["progress_per_minute"], job["eta_seconds"]) == (None, None)


def test_a_poll_of_a_cluster_that_has_just_left_the_config_changes_nothing(watched):
    version = watched.fleet.version
    watched.fleet.poll_finished("gone", error="timed out")

    assert watched.fleet.version == version
    assert watched.fleet.cluster("gone") is None


def test_a_restart_remembers_what_was_seen_and_that_it_has_not_asked_yet(tmp_path):
    url = f"sqlite:///{tmp_path}/state.db"
    before = WatchedClusters("eu", url=url)
    before.poll("eu", record("1", "books", IMPORTING, progress=0.5))
    before.store.close()
    after = WatchedClusters("eu", url=url)
    with ServedApp(after) as served:
        text = page(served)
    after.store.close()

    assert "50 %" in section(text, "running")
    assert "Not polled yet" in text


@pytest.mark.parametrize(
    "address",
    [
        "/job?cluster=eu&id=%00",
        "/collection?cluster=eu&collection=books%00",
        "/collection?cluster=eu&database=%00&collection=books",
        "/?q=%00",
        "/?cluster=eu%00",
    ],
)
def test_no_address_makes_the_store_look_for_what_it_cannot_have(served, watched, monkeypatch, address):
    watched.poll("eu", record("1", "books", IMPORTING))
    wanted = []
    for name in ("transitions", "finished", "job"):
        ask = getattr(watched.store, name)
        monkeypatch.setattr(watched.store, name, lambda *given, ask=ask: wanted.append(repr(given)) or ask(*given))

    assert served.get(address).status_code in {200, 404}
    assert "x00" not in "".join(wanted)


@pytest.mark.parametrize(
    "address",
    [
        "/?cluster=asio",
        "/job?cluster=asio&id=1",
        "/collection?cluster=asio&collection=b",
        "/api/v1/job?cluster=asio&id=1",
        "/api/v1/jobs?cluster=asio",
        "/api/v1/clusters?cluster=asio",
        "/api/v1/stream?cluster=asio",
    ],
)
def test_the_nearest_name_is_looked_for_beside_the_scrapes(served, monkeypatch, address):
    threads = []

    def nearest(*given):
        threads.append(threading.current_thread())
        return get_close_matches(*given)

    monkeypatch.setattr("monitor.web.context.get_close_matches", nearest)
    answer = served.get(address)

    assert answer.status_code == 404
    assert "asia" in answer.text
    assert threads
    assert served.thread not in threads


@pytest.mark.parametrize("address", ["/job/", "/metrics/", "/api/v1/jobs/", "/-/healthy/"])
def test_nobody_is_led_to_where_the_host_header_says(served, address):
    answer = served.get(address, headers={"Host": "elsewhere.example"}, allow_redirects=False)

    assert answer.status_code == 404
    assert "Location" not in answer.headers
