"""The pages as they come from the server: what a browser without scripts shows."""

import html
import re
import threading
from difflib import get_close_matches

import pytest
from sqlalchemy.exc import OperationalError

from monitor.client import BadRequestError, ImportFile, JobGoneError
from monitor.fleet import Search
from monitor.jobs import Job, JobState
from tests.watched import Served, Watched

PENDING, IMPORTING, COMPLETED, FAILED = JobState.PENDING, JobState.IMPORTING, JobState.COMPLETED, JobState.FAILED
UNCOMMITTED = JobState.UNCOMMITTED
EVIL = "<script>alert('x')</script>\"&\N{RIGHT-TO-LEFT OVERRIDE}gpj"


@pytest.fixture
def watched():
    return Watched("eu", "us", "asia")


@pytest.fixture
def served(watched):
    with Served(watched) as running:
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
    watched.poll("eu", *(Job(str(number), "books", IMPORTING, progress=0.1) for number in range(4)))
    watched.poll(
        "eu",
        Job("0", "books", FAILED, reason="invalid JSON in\nrow 17"),
        Job("1", "films", UNCOMMITTED, progress=0.99),
        Job("2", "songs", IMPORTING, progress=0.25),
        gone={"3"},
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
    assert attention.index("row 17") < attention.index("vanished") < attention.index("waits for somebody to commit it")
    assert "connection refused" in section(text, "unreachable")
    assert "songs" in section(text, "running")
    assert "25 %" in section(text, "running")
    assert "3 imports need attention; 1 cluster does not answer" in text
    assert "not polled" in section(text, "clusters")


def test_pace_and_time_left_are_told_once_they_mean_something(served, watched):
    for progress in (0.1, 0.2, 0.3, 0.4):
        watched.poll("eu", Job("1", "books", IMPORTING, progress=progress, total_rows=9000, imported_rows=900))
    running = section(page(served), "running")

    assert "30 rows/s" in running
    assert "3 min" in running
    assert "900 of 9 000 rows" in running


def test_a_stalled_import_needs_attention(served, watched):
    watched.poll("eu", Job("1", "books", IMPORTING, progress=0.8))
    watched.poll("eu", Job("1", "books", IMPORTING, progress=0.8), after=7200)
    text = page(served)

    assert "No progress for 2 h." in section(text, "attention")
    assert "Nothing runs." in section(text, "running")
    assert "stalled" in section(page(served, state="stalled"), "attention")
    assert "1 stalled" in section(text, "clusters")


def test_an_old_failure_needs_no_attention_any_more_and_is_still_found(served, watched):
    watched.poll("eu", Job("1", "books", FAILED, reason="quota exceeded"))
    watched.poll("eu", Job("1", "books", FAILED, reason="quota exceeded"), after=86400)

    assert "quota" not in page(served)
    assert "quota exceeded" in section(page(served, state="failed"), "ended")
    assert "quota exceeded" in section(page(served, q="QUOTA"), "ended")


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
        Job("a1", "books", IMPORTING),
        Job("a2", "films", FAILED, reason="no such file"),
        Job("a3", "x", COMPLETED, database="archive"),
    )
    watched.poll("us", Job("b1", "books", IMPORTING))
    text = page(served, **query)

    assert {job for job in ("a1", "a2", "a3", "b1") if f'&amp;id={job}"' in text} == shown
    for name, value in query.items():
        if name in ("q", "cluster", "database", "collection"):
            assert f'name="{name}" value="{value}"' in text
    assert ("There is no state nonsense" in text) == (query == {"state": "nonsense"})


def test_pages_of_a_section_hold_what_the_others_do_not(served, watched):
    watched.poll("eu", *(Job(f"j{number:03}", "books", IMPORTING, progress=0.5) for number in range(60)))
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
    watched.poll("eu", Job("1", EVIL, IMPORTING))
    watched.poll("eu", Job("1", EVIL, FAILED, database=EVIL, reason=EVIL), Job(EVIL[:100], "x", IMPORTING))
    watched.told["eu", "1"] = (ImportFile(EVIL, reason=EVIL),)
    watched.fail("us", EVIL)
    text = page(
        served,
        path,
        cluster="eu" if path != "/" else "",
        id="1",
        collection=EVIL if path != "/" else "",
        database=EVIL if path != "/" else "",
    )

    assert text.count("<script") == 1
    assert "&lt;script&gt;alert(&#39;x&#39;)" in text
    for value in re.findall(r'="([^"]*alert[^"]*)"', text):
        assert "<" not in value
    assert "javascript:" not in text
    assert not re.search(r'\son\w+="', text)


def test_the_page_of_a_job_tells_its_story_and_its_files(served, watched):
    watched.poll("eu")
    watched.poll("eu", Job("1", "books", PENDING))
    watched.poll("eu", Job("1", "books", IMPORTING, progress=0.4, imported_rows=40, total_rows=100))
    watched.told["eu", "1"] = (
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
    watched.poll("eu", Job("1", "books", IMPORTING), Job("2", "books", IMPORTING))
    for _ in range(3):
        page(served, "/job", cluster="eu", id="1")
    page(served, "/job", cluster="eu", id="2")

    assert watched.asked == [("eu", "1"), ("eu", "2")]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ((), "The server names none."),
        (BadRequestError("not <now>"), "not <now>"),
        (JobGoneError("gone"), "no such job any more"),
        (KeyError("eu"), "does not ask this cluster any more"),
        (ZeroDivisionError(), "ZeroDivisionError in the monitor itself"),
    ],
)
def test_files_that_cannot_be_told_cost_nothing_else(served, watched, told, said):
    watched.poll("eu", Job("1", "books", IMPORTING))
    watched.told["eu", "1"] = told

    assert said in section(page(served, "/job", cluster="eu", id="1"), "files")


def test_a_page_waits_for_no_cluster_that_hangs(served, watched, monkeypatch):
    monkeypatch.setattr("monitor.web.files.WITHIN", 0.05)
    hanging = threading.Event()
    watched.poll("eu", Job("1", "books", IMPORTING))
    watched.told["eu", "1"] = lambda: (hanging.wait(20), (ImportFile("late.parquet"),))[1]
    first = section(page(served, "/job", cluster="eu", id="1"), "files")
    second = section(page(served, "/job", cluster="eu", id="1"), "files")
    hanging.set()

    assert "takes long to answer" in first
    assert "has not answered yet" in second
    assert watched.asked == [("eu", "1")]


def test_a_job_that_is_only_history_still_has_a_page(served, watched):
    watched.poll("eu", Job("1", "books", IMPORTING))
    watched.poll("eu", Job("1", "books", COMPLETED))
    watched.poll("eu")
    watched.poll("eu", after=8 * 86400)
    text = page(served, "/job", cluster="eu", id="1")

    assert "keeps only its history" in text
    assert "completed" in section(text, "history")
    assert watched.asked == []


def test_the_history_has_pages(served, watched, monkeypatch):
    monkeypatch.setattr("monitor.web.pages.HISTORY", 2)
    watched.poll("eu")
    for state in (PENDING, IMPORTING, UNCOMMITTED, COMPLETED):
        watched.poll("eu", Job("1", "books", state))
    first = page(served, "/job", cluster="eu", id="1")
    older = html.unescape(re.search(r'<a href="([^"]+)" rel="next">Older', first)[1])
    second = page(served, older)

    assert "committed" in section(first, "history")
    assert re.findall(r"(\w+) → (\w+)", section(second, "history")) == [("pending", "importing"), ("new", "pending")]
    assert "Newest</a>" in second


def test_a_history_that_cannot_be_read_says_so(tmp_path, monkeypatch):
    watched = Watched("eu", url=f"sqlite:///{tmp_path}/state.db")
    watched.poll("eu")
    watched.poll("eu", Job("1", "books", IMPORTING))

    def broken(*_):
        raise OperationalError("select", {}, Exception("disk I/O error"))

    monkeypatch.setattr(watched.store._database, "history", broken)
    with Served(watched) as served:
        text = section(page(served, "/job", cluster="eu", id="1"), "history")
    watched.store.close()

    assert "The database cannot be asked now" in text
    assert "importing" in text


def test_the_page_of_a_collection_has_its_jobs_and_their_history(served, watched):
    watched.poll("eu", Job("1", "books", IMPORTING), Job("2", "films", IMPORTING))
    watched.poll(
        "eu", Job("1", "books", FAILED, reason="timeout"), Job("2", "films", IMPORTING), Job("3", "books", PENDING)
    )
    text = page(served, "/collection", cluster="eu", database="", collection="books")

    assert "timeout" in section(text, "attention")
    assert "Running 1" in section(text, "running")
    assert "films" not in text
    assert re.findall(r"(\w+) → (\w+)", section(text, "history")) == [("new", "pending"), ("importing", "failed")]


@pytest.mark.parametrize(
    ("path", "said", "link"),
    [
        ("/?cluster=asien", "No cluster is named asien.", "/?cluster=asia"),
        ("/job?cluster=nope&id=1", "No cluster is named nope.", "/"),
        ("/job", "The address names no cluster.", "/"),
        ("/job?cluster=eu", "The address names no job.", "/?cluster=eu"),
        ("/job?cluster=eu&id=1", "The monitor knows no job 1 of eu.", "/?cluster=eu"),
        ("/collection?cluster=eu&collection=zz", "No import into zz of eu is known.", "/?cluster=eu"),
        ("/collection?cluster=zz&collection=zz", "No cluster is named zz.", "/"),
        ("/nothing", "There is no such page.", "/"),
    ],
)
def test_what_is_not_known_is_a_page_that_helps(served, path, said, link):
    text = page(served, path, 404)

    assert said in text
    assert f'<a href="{link}">' in text


def test_a_cursor_of_nobody_is_said_and_a_crowd_is_asked_to_wait(served, watched, monkeypatch):
    watched.poll("eu", Job("1", "books", IMPORTING))
    assert "cannot be shown" in page(served, "/job?cluster=eu&id=1&before=zz", 400)
    assert "cannot be shown" in page(served, "/collection?cluster=eu&collection=books&before=zz", 400)
    monkeypatch.setattr("monitor.web.desk.WAITING", 0)
    for path in ("/", "/job?cluster=eu&id=1", "/collection?cluster=eu&collection=books"):
        assert "Try again in a moment." in page(served, path, 503)


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


def test_a_look_is_shared_until_something_changes(watched):
    watched.poll("eu", Job("1", "books", IMPORTING))
    first = watched.fleet.look(Search())
    assert watched.fleet.look(Search()) is first
    watched.poll("eu", Job("1", "books", IMPORTING))
    assert watched.fleet.look(Search()) is first
    watched.poll("eu", Job("1", "books", FAILED))
    watched.fleet._looks.clear()
    assert len(watched.fleet.look(Search()).attention) == 1


def test_answers_about_files_are_bounded_and_a_crowd_costs_only_them(served, watched, monkeypatch):
    monkeypatch.setattr("monitor.web.files.KEPT", 1)
    watched.poll("eu", Job("1", "books", IMPORTING), Job("2", "books", IMPORTING))
    for job in ("1", "2", "1"):
        page(served, "/job", cluster="eu", id=job)

    assert watched.asked == [("eu", "1"), ("eu", "2"), ("eu", "1")]


def test_an_answer_about_files_counts_for_a_while(served, watched, monkeypatch):
    monkeypatch.setattr("monitor.web.files.FRESH", 0.0)
    watched.poll("eu", Job("1", "books", IMPORTING))
    watched.told["eu", "1"] = (ImportFile("a.parquet"),)
    page(served, "/job", cluster="eu", id="1")
    monkeypatch.setattr("monitor.web.files.FRESH", 60.0)
    page(served, "/job", cluster="eu", id="1")
    watched.told["eu", "1"] = (ImportFile("b.parquet"),)

    assert "a.parquet" in section(page(served, "/job", cluster="eu", id="1"), "files")
    assert len(watched.asked) == 2


def test_jobs_are_sorted_when_somebody_looks(served, watched):
    watched.poll("eu", Job("1", "books", IMPORTING), Job("2", "films", FAILED))
    assert watched.fleet._indexes == {}

    assert "films" in section(page(served), "attention")


def test_a_job_that_stands_still_has_no_pace(served, watched):
    for progress in (0.1, 0.2, 0.3):
        watched.poll("eu", Job("1", "books", IMPORTING, progress=progress))
    assert "20.0 %/min" in section(page(served), "running")
    watched.poll("eu", Job("1", "books", IMPORTING, progress=0.3), after=600)

    assert "%/min" not in section(page(served), "running")


def test_a_plateau_is_no_part_of_the_pace_and_pace_and_time_left_agree(served, watched):
    for after, progress in ((30, 0.1), (30, 0.2), (30, 0.3), (3000, 0.4), (30, 0.5)):
        watched.poll("eu", Job("1", "books", IMPORTING, progress=progress), after=after)
    job = served.json("/api/v1/job", cluster="eu", id="1")

    assert job["progress_per_minute"] == pytest.approx(0.2)
    assert job["eta_seconds"] == pytest.approx(60 * (1 - 0.5) / job["progress_per_minute"])
    assert "20.0 %/min" in section(page(served), "running")


def test_one_step_forward_makes_neither_a_pace_nor_an_estimate(served, watched):
    for progress in (0.1, 0.2):
        watched.poll("eu", Job("1", "books", IMPORTING, progress=progress))
    job = served.json("/api/v1/job", cluster="eu", id="1")

    assert (job["progress_per_minute"], job["eta_seconds"]) == (None, None)


def test_a_poll_of_a_cluster_that_has_just_left_the_config_tells_nothing(watched):
    version = watched.fleet.version
    watched.fleet.polled("gone", ok=True, why="")

    assert watched.fleet.version == version
    assert watched.fleet.job("gone", "1") is None


def test_a_restart_remembers_what_was_seen_and_that_it_has_not_asked_yet(tmp_path):
    url = f"sqlite:///{tmp_path}/state.db"
    before = Watched("eu", url=url)
    before.poll("eu", Job("1", "books", IMPORTING, progress=0.5))
    before.store.close()
    after = Watched("eu", url=url)
    with Served(after) as served:
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
    watched.poll("eu", Job("1", "books", IMPORTING))
    wanted = []
    ask = watched.store.history
    monkeypatch.setattr(watched.store, "history", lambda *given: wanted.append(repr(given)) or ask(*given))

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
        threads.append(threading.current_thread().name)
        return get_close_matches(*given)

    monkeypatch.setattr("monitor.web.pages.get_close_matches", nearest)
    monkeypatch.setattr("monitor.web.api.get_close_matches", nearest)
    answer = served.get(address)

    assert answer.status_code == 404
    assert "asia" in answer.text
    assert [name.split("_")[0] for name in threads] == ["look"]


@pytest.mark.parametrize("address", ["/job/", "/metrics/", "/api/v1/jobs/", "/-/healthy/"])
def test_nobody_is_led_to_where_the_host_header_says(served, address):
    answer = served.get(address, headers={"Host": "elsewhere.example"}, allow_redirects=False)

    assert answer.status_code == 404
    assert "Location" not in answer.headers
