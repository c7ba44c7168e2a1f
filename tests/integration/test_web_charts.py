"""The charts on the pages, from the server and in a real browser."""

import html
import re
import threading
from pathlib import Path

import pytest
from playwright.sync_api import expect

from monitor.config import parse
from monitor.jobs import JobState
from monitor.store import StoreUnavailableError
from tests.browser import PATIENCE, chromium, opened, program_of_axe
from tests.served_app import ServedApp, WatchedClusters, record
from tests.stored import break_tables

PENDING, IMPORTING, COMPLETED, FAILED = JobState.PENDING, JobState.IMPORTING, JobState.COMPLETED, JobState.FAILED
EVIL = "</title><script>document.title='owned'</script>\"'>\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe"
JOB, STALLED = "/job?cluster=eu&id=1", "/job?cluster=eu&id=9"
CLUSTER, COLLECTION = "/?cluster=eu", "/collection?cluster=eu&database=&collection=books"

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


def poll(watched, *records, after=30.0, **options):
    watched.poll("eu", *records, after=after, **options)
    watched.store.flush()


@pytest.fixture
def watched():
    """A cluster with imports of every kind: completed ones, a failed, a vanished, a stalled and two running ones."""
    watched = WatchedClusters("eu", "us")
    poll(watched)
    for number in range(10, 16):
        running, ended = ((FAILED, {"reason": EVIL}) if number == 12 else (COMPLETED, {})), str(number)
        poll(watched, record(ended, "books", IMPORTING, progress=0.3), after=3600.0)
        poll(watched, record(ended, "books", running[0], **running[1]), after=600.0 * (number - 9))
    poll(watched, record("20", "films", IMPORTING, progress=0.3))
    poll(watched, absent={"20"}, after=900.0)
    stalled = record("9", EVIL, IMPORTING, progress=0.8)
    poll(watched, record("1", "books", PENDING), stalled)
    poll(watched, record("1", "books", PENDING), stalled, after=3000.0)
    for progress in (0.1, 0.2, 0.3, 0.4):
        poll(watched, record("1", "books", IMPORTING, progress=progress), record("2", "songs", IMPORTING), stalled)
    return watched


@pytest.fixture
def served(watched):
    with ServedApp(watched) as running:
        yield running


def section(served, path, name):
    answer = served.get(path)
    assert answer.status_code == 200, answer.text
    found = re.search(rf'<section id="{name}".*?</section>', answer.text, re.DOTALL)
    return "" if found is None else found[0]


def words(text):
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", text)))


def test_the_page_of_a_job_shows_its_progress_and_the_table_behind_it(served):
    shown = section(served, JOB, "progress")

    assert shown.count('<svg class="chart"') == 1
    assert "pending for 50 min 30 s, importing for 1 min 30 s. Progress: 40 %. About 3 min left" in words(shown)
    assert re.findall(r"importing (\d+) % 30 s", words(shown)) == ["30", "20", "10"]
    assert 'class="cone"' in shown


def test_a_stall_is_in_the_chart_and_in_its_words(served):
    shown = section(served, STALLED, "progress")

    assert "No progress for 52 min while importing." in words(shown)
    assert 'class="standstill"' in shown


def test_a_job_that_was_seen_only_when_it_had_finished_has_no_chart(served, watched):
    poll(watched, record("30", "books", COMPLETED), record("1", "books", IMPORTING, progress=0.4))

    assert section(served, "/job?cluster=eu&id=30", "progress") == ""


def test_the_chart_of_a_job_remembers_what_was_before_a_restart(tmp_path):
    url = f"sqlite:///{tmp_path}/state.db"
    first = WatchedClusters("eu", url=url)
    poll(first)
    for progress in range(20):
        poll(first, record("1", "books", IMPORTING, progress=progress / 20))
    first.store.close()
    second = WatchedClusters("eu", url=url)
    second.now = first.now
    with ServedApp(second) as served:
        shown = words(section(served, JOB, "progress"))
    second.store.close()

    assert len(re.findall(r"importing \d+ % 30 s", shown)) == 19


def test_a_job_that_another_monitor_polls_has_its_whole_chart_too(server):
    owner, other = (WatchedClusters("eu", url=server.url) for _ in range(2))
    poll(owner)
    for progress in range(20):
        poll(owner, record("1", "books", IMPORTING, progress=progress / 20))
    other.now = owner.now
    other.store.reload(["eu"], 0.0)
    with ServedApp(other) as served:
        shown = words(section(served, JOB, "progress"))
        poll(owner, record("1", "books", COMPLETED))
        timeline = words(section(served, CLUSTER, "timeline"))
    for monitor in (owner, other):
        monitor.store.close()

    assert len(re.findall(r"importing \d+ % 30 s", shown)) == 19
    assert "1 completed." in timeline


def test_the_page_of_a_cluster_has_a_row_for_each_collection_and_a_bar_for_each_import(served):
    shown = section(served, CLUSTER, "timeline")
    legends = re.findall(r'<figcaption class="legend">(.*?)</figcaption>', shown, re.DOTALL)

    assert [words(legend).split() for legend in legends] == [
        ["importing", "2", "completed", "5", "failed", "1", "vanished", "1", "stalled", "1"]
    ] * 2
    assert len(re.findall(r'<text class="row"', shown)) == 2 * 4
    assert "median 40 min" in words(shown)
    assert "2 songs importing 2025-06-16 01:43:40 1 min 30 s so far" in words(shown)


def test_the_page_of_a_collection_has_only_its_imports(served):
    shown = section(served, COLLECTION, "timeline")

    assert '<text class="row"' not in shown
    assert "importing 1 completed 5 failed 1" in words(shown)
    assert "Durations of the last 7 imports" not in words(shown)
    assert "Durations of the last 6 imports" in words(shown)
    assert "usually 40 min" in words(shown)


def test_a_search_draws_what_it_finds(served):
    assert "completed 5" not in words(section(served, f"{CLUSTER}&state=failed", "timeline"))
    assert "failed 1" in words(section(served, f"{CLUSTER}&state=failed", "timeline"))
    assert "No imports." in words(section(served, f"{CLUSTER}&q=nothing", "timeline"))


def test_expected_imports_are_drawn_behind_the_others_with_a_table(served, watched):
    expected = "{cluster: e*, collection: %s, starts: '0 20 * * *', complete_within: 2h}"
    text = f"expectations: [{expected % 'books'}, {expected % 'never_seen'}]\nclusters: [{{name: eu, url: 'http://a'}}]"
    watched.expectations = parse(text, source="c", directory=Path(), environ={}).expectations
    of_cluster, of_collection = (section(served, path, "timeline") for path in (CLUSTER, COLLECTION))

    assert of_cluster.count('class="window"') > of_collection.count('class="window"') > 1
    assert "never_seen" in words(of_cluster)
    assert "never_seen" not in words(of_collection)
    assert "books expected: Jun 15 20:00 to Jun 15 22:00 UTC" in words(of_collection)
    assert re.search(r"books 2025-06-15 20:00:00 2025-06-15 22:00:00", words(of_collection))
    assert 'class="window"' not in section(served, "/?cluster=us", "timeline")


def test_only_running_jobs_of_the_page_have_their_points_loaded(served, watched, monkeypatch):
    poll(watched, *(record(f"{number:03d}", "books", IMPORTING, progress=0.5) for number in range(60)))
    asked = []
    load = watched.store.samples
    monkeypatch.setattr(watched.store, "samples", lambda keys: asked.append(len(keys)) or load(keys))

    assert section(served, "/", "running").count('class="chart curve"') == 24  # one job has no progress
    assert section(served, "/?running_page=3", "running").count('class="chart curve"') == 12
    assert section(served, "/?running_page=999999", "running").count('class="chart curve"') == 12
    assert asked == [25, 12, 12]
    assert section(served, "/", "timeline") == ""


def test_a_page_reads_each_thing_once(served, watched, monkeypatch):
    calls = []
    for owner, name in ((watched.fleet, "overview"), (watched.store, "transitions"), (watched.store, "samples")):
        method = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *given, name=name, method=method: calls.append(name) or method(*given))
    read = {path: served.get(path).status_code and calls.copy() for path in (JOB, COLLECTION) if not calls.clear()}

    assert read == {JOB: ["transitions", "samples"], COLLECTION: ["overview", "samples", "transitions"]}


def test_a_page_is_as_old_as_the_job_on_it(served, watched):
    version = watched.fleet.version
    watched.files["eu", "1"] = lambda: poll(watched, record("1", "books", IMPORTING, progress=0.9)) or ()
    shown = served.get(JOB).text

    assert "40 %" in words(shown)
    assert f'data-version="{version}"' in shown
    assert watched.fleet.version > version


def test_while_the_database_is_away_the_charts_show_what_is_in_memory(tmp_path):
    url = f"sqlite:///{tmp_path}/state.db"
    watched = WatchedClusters("eu", url=url)
    poll(watched)
    for progress in (0.1, 0.2, 0.3):
        poll(watched, record("1", "books", IMPORTING, progress=progress))
    repair = break_tables(url)
    poll(watched, record("1", "books", IMPORTING, progress=0.4))
    watched.store.flush()
    with pytest.raises(StoreUnavailableError):
        watched.store.samples([("eu", "1")])
    with ServedApp(watched) as served:
        assert "Progress: 40 %" in words(section(served, JOB, "progress"))
        assert "The database is unavailable" in words(section(served, CLUSTER, "timeline"))
        assert "importing 1" in words(section(served, CLUSTER, "timeline"))
        assert 'class="chart curve"' in section(served, "/", "running")
    repair()
    watched.store.close()


@pytest.mark.parametrize("waiting", [64, 0])
def test_a_page_does_not_wait_for_a_database_that_is_slow_or_busy(watched, monkeypatch, waiting):
    answer = threading.Event()
    monkeypatch.setattr(watched.store, "samples", lambda _: answer.wait(30) and {})
    with ServedApp(watched, charts_timeout=0.1) as served:
        monkeypatch.setattr(served.app.state.pools[1], "_limit", waiting)
        shown = section(served, "/", "running")
        answer.set()

    assert shown.count('class="chart curve"') == 1


def violations(page, axe):
    page.evaluate(axe)
    found = page.evaluate("axe.run()")
    return [(one["id"], one["nodes"][0]["html"], one["nodes"][0]["failureSummary"]) for one in found["violations"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_the_charts(browser, served, scheme):
    axe = program_of_axe()
    with opened(browser, served.url, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce") as page:
        for path in (STALLED, CLUSTER) if scheme == "light" else (JOB, COLLECTION):
            page.goto(path)
            page.locator("details.behind summary").click()
            assert violations(page, axe) == [], path


def test_charts_fit_a_telephone_and_keep_their_letters_and_the_policy(browser, served):
    phone = {"viewport": {"width": 360, "height": 800}, "has_touch": True}
    with opened(browser, served.url, **phone) as page:  # what the policy forbids is an error on the console
        for path in ("/", JOB, STALLED, CLUSTER, COLLECTION):
            page.goto(path)
            expect(page.locator("svg.chart").first).to_be_visible()
            for table in page.locator("details.behind").all():
                table.locator("summary").click()
            assert page.evaluate("document.documentElement.scrollWidth") == 360, path
            sizes = page.evaluate("[...document.querySelectorAll('.chart text')].map(one => one.getBBox().height)")
            assert all(size > 11 for size in sizes), path
            assert "owned" not in page.title()


def test_a_table_that_is_open_stays_open_when_the_chart_moves_on(browser, served, watched):
    with opened(browser, served.url) as page:
        page.goto(JOB)
        expect(page.locator("#live")).to_contain_text("Live")
        line = page.locator("#progress .line").get_attribute("d")
        page.get_by_text("Progress as a table").click()
        poll(watched, record("1", "books", IMPORTING, progress=0.7))
        expect(page.locator("#progress tbody tr").first).to_contain_text("70 %")

        assert page.locator("#progress details").get_attribute("open") is not None
        assert page.locator("#progress .line").get_attribute("d") != line


def test_a_screen_reader_has_the_name_the_words_and_the_table(browser, served):
    with opened(browser, served.url, java_script_enabled=False) as page:
        page.goto(CLUSTER)
        chart = page.get_by_role("img", name=re.compile("^Imports from ")).first
        expect(chart).to_have_accessible_description(re.compile("5 completed"))
        page.get_by_text("Imports as a table").click()
        table = page.get_by_role("table", name="Imports of the last days, latest first")
        expect(table.get_by_role("row").filter(has_text="vanished")).to_contain_text("films")
        table.get_by_role("link", name="12", exact=True).click()
        expect(page.get_by_role("img", name="Progress over time")).to_be_visible()


PAINT = "one => { const of = getComputedStyle(one); return [of.fill, of.stroke, of.visibility] }"


def test_states_differ_without_colours_and_on_paper(browser, served):
    with opened(browser, served.url, color_scheme="dark") as page:
        page.goto(CLUSTER)
        fills = page.evaluate("[...document.querySelectorAll('#timeline .shape')].map(one => one.getAttribute('fill'))")
        assert {*fills} >= {
            f"url(#of-{state})" for state in ("completed", "failed", "vanished", "stalled", "importing")
        }
        assert page.evaluate(
            "['of-failed', 'of-completed'].every(id => document.querySelectorAll('#' + id).length === 1)"
        )
        page.emulate_media(media="print", color_scheme="dark")
        assert page.locator("#timeline text.row").first.evaluate(PAINT)[0] == "rgb(0, 0, 0)"
        page.emulate_media(media="screen", forced_colors="active")
        forced = page.locator("#timeline text.row").first.evaluate(PAINT)[0]
        assert forced == page.evaluate("getComputedStyle(document.body).color")
