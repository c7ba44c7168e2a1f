"""The pages in a real browser, of the real program, on simulated servers."""

import re
from datetime import datetime
from statistics import median
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.sync_api import expect

from monitor.simulator import Lifecycle, Trouble, World
from tests.browser import PATIENCE, chromium, opened, program_of_axe
from tests.daemon import started, write_config
from tests.fakes.simulator import SimulatorServer, set_status

pytestmark = pytest.mark.timeout(300)

EVIL = "<script>document.title='owned'</script>\"'>\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe"
REASON = f"open file failed, path=a.parquet: file does not exist\n{EVIL}"

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


class Fleet:
    """A running monitor and what it watches."""

    def __init__(self, world, daemon):
        self.world = world
        self.cluster = world.clusters["eu"]
        self.daemon = daemon
        self.url = daemon.url


@pytest.fixture
def fleet(tmp_path):
    world = World()
    for name in ("eu", "us", "asia"):
        world.add_cluster(name, generation="milvus")
    with SimulatorServer(world) as server:
        clusters = [f"{{name: {name}, url: '{server.url}/clusters/{name}'}}" for name in ("eu", "us", "asia")]
        with started("run", "-c", write_config(tmp_path, *clusters)) as daemon:
            daemon.wait_for("cluster_baseline", 3)
            yield Fleet(world, daemon)


def frozen(cluster, collection="books", progress=0, state="Importing", **facts):
    job = cluster.add_job(collection=collection, lifecycle=Lifecycle.frozen(state), **facts)
    set_status(job, state=state, progress=progress)
    return job


def bar(page, job):
    return page.locator("#running tr", has=page.locator(f"a[href$='id={job.id}']")).locator("progress")


def card(page, job):
    return page.locator("#attention li", has=page.locator(f"a[href$='id={job.id}']"))


def test_a_bar_moves_and_a_failure_appears_without_reloading(browser, fleet):
    job, other = frozen(fleet.cluster, progress=20), frozen(fleet.cluster, "films", progress=5)
    with opened(browser, fleet.url) as page:
        page.goto("/")
        expect(bar(page, job)).to_have_attribute("value", "0.2")
        expect(page.locator("#live")).to_contain_text("Live")
        page.evaluate("window.same = true")
        set_status(job, state="Importing", progress=60)
        expect(bar(page, job)).to_have_attribute("value", "0.6")

        page.get_by_label("Search").fill("half typed")
        page.set_viewport_size({"width": 1000, "height": 300})  # the page stays longer than its window
        page.evaluate("window.scrollTo(0, 40)")
        set_status(job, state="Failed", progress=0, reason="quota exceeded[limit=1]")
        expect(card(page, job)).to_contain_text("quota exceeded[limit=1]")
        expect(card(page, job)).to_contain_text("failed")
        expect(page.locator("#live")).to_contain_text("1 import needs attention")
        expect(bar(page, job)).to_have_count(0)
        expect(bar(page, other)).to_have_count(1)

        assert page.evaluate("window.same") is True
        assert page.evaluate("document.activeElement.name") == "q"
        assert page.get_by_label("Search").input_value() == "half typed"
        assert page.evaluate("window.scrollY") == 40
        assert page.title() == "(1 failed) Imports · milvus-import-monitor"
        expect(page.locator("#icon")).to_have_attribute("href", re.compile("icon-bad.svg"))


REMEMBER_WHEN = """selector => {
  window.first = {};
  const look = () => {
    for (const found of document.querySelectorAll(selector)) {
      const what = found.search ? new URLSearchParams(found.search).get("id") : found.textContent.trim();
      window.first[what] ??= Date.now() / 1000;
    }
  };
  new MutationObserver(look).observe(document.body, {childList: true, subtree: true, characterData: true});
}"""
"""Keeps when each link to a job, or text, that a selector finds was first on the page, in seconds since the epoch."""


def test_what_a_poll_has_seen_is_on_the_page_within_two_seconds(browser, fleet):
    moving = frozen(fleet.world.clusters["us"], "films")  # so that the page has something to fetch all the time
    jobs, stepping = [frozen(fleet.cluster, progress=10) for _ in range(6)], frozen(fleet.cluster, "songs")
    fleet.daemon.wait_for("import_job_transition", job_id=stepping.id)
    steps = ["uncommitted", "committing", "failed"]
    with opened(browser, fleet.url) as page, opened(browser, fleet.url) as job_page:
        page.goto("/")
        job_page.goto(f"/job?cluster=eu&id={stepping.id}")
        for each, selector in ((page, "#attention a[href*='id=']"), (job_page, ".head .state")):
            expect(each.locator("#live")).to_contain_text("Live")
            each.evaluate(REMEMBER_WHEN, selector)
        for number, job in enumerate(jobs):
            set_status(job, state="Failed", reason="quota exceeded[limit=1]")
            if number % 2:
                set_status(stepping, state=steps[number // 2])
            for progress in range(7):  # 0.7 s, so that the changes meet the pauses of the page at different moments
                set_status(moving, progress=number * 10 + progress)
                page.wait_for_timeout(100)
            expect(card(page, job)).to_have_count(1)
        expect(job_page.locator(".head .state")).to_have_text("failed")
        seen, seen_steps = page.evaluate("window.first"), job_page.evaluate("window.first")

    def logged(job, state):
        line = fleet.daemon.wait_for("import_job_transition", job_id=job.id, to_state=state)
        return datetime.fromisoformat(line["timestamp"]).timestamp()

    delays = [seen[job.id] - logged(job, "failed") for job in jobs]
    delays += [seen_steps[step] - logged(stepping, step) for step in steps]
    assert median(delays) < 2, delays  # a busy machine may hold up one or two


def test_a_cluster_that_stops_answering_appears_and_goes(browser, fleet):
    with opened(browser, fleet.url) as page:
        page.goto("/")
        expect(page.locator("#live")).to_contain_text("Live")
        fleet.world.clusters["us"].trouble(Trouble.code(1800, "user hasn't authenticated"))
        expect(page.locator("#unreachable")).to_contain_text("us")
        fleet.world.clusters["us"].recover()
        expect(page.locator("#unreachable")).to_have_count(0)


def test_the_page_of_a_job_follows_it(browser, fleet):
    job = frozen(fleet.cluster, progress=20)
    fleet.daemon.wait_for("import_job_transition", job_id=job.id)
    with opened(browser, fleet.url) as page:
        page.goto("/")
        page.locator(f"#running a[href$='id={job.id}']").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text(job.id)
        expect(page.locator("#files")).to_contain_text("part-0")
        expect(page.locator("#live")).to_contain_text("Live")
        set_status(job, state="Failed", progress=0, reason="no such column")
        expect(page.locator("#history li").first).to_contain_text("no such column")
        expect(page.locator(".head .state")).to_have_text("failed")
        page.get_by_role("navigation", name="Breadcrumbs").get_by_role("link", name="books").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("books")
        expect(page.locator("#attention")).to_contain_text("no such column")


def test_filters_work_and_stand_in_the_address(browser, fleet):
    books, films = frozen(fleet.cluster), frozen(fleet.world.clusters["us"], "films")
    for job in (books, films):
        fleet.daemon.wait_for("import_job_transition", job_id=job.id)
    with opened(browser, fleet.url) as page:
        page.goto("/")
        expect(bar(page, books)).to_have_count(1)
        page.get_by_label("Search").fill("FILM")
        page.get_by_label("State").select_option("importing")
        page.get_by_role("button", name="Show").click()
        expect(bar(page, films)).to_have_count(1)
        expect(bar(page, books)).to_have_count(0)
        asked = parse_qs(urlsplit(page.url).query)
        assert (asked["q"], asked["state"]) == (["FILM"], ["importing"])
        page.reload()
        expect(bar(page, books)).to_have_count(0)
        assert page.get_by_label("Search").input_value() == "FILM"
        assert page.get_by_label("State").input_value() == "importing"
        page.get_by_role("link", name="Clear").click()
        expect(bar(page, books)).to_have_count(1)


def test_what_a_server_says_stays_text(browser, fleet):
    job = frozen(fleet.cluster, EVIL)
    set_status(job, state="Failed", progress=0, reason=REASON)
    fleet.daemon.wait_for("import_job_transition", job_id=job.id, to_state="failed")
    name = quote(EVIL, safe="")
    with opened(browser, fleet.url) as page:
        for path in ("/", f"/job?cluster=eu&id={job.id}", f"/collection?cluster=eu&database=&collection={name}"):
            page.goto(path)
            expect(page.locator(".reason").first).to_contain_text("<script>document.title='owned'</script>")
            assert "owned" not in page.title().replace(EVIL, "")
            assert page.locator("script").count() == 2
        page.goto("/")
        page.locator("#attention").get_by_role("link", name=EVIL).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(EVIL)


def test_it_works_without_a_script(browser, fleet):
    job = frozen(fleet.cluster, progress=35)
    fleet.daemon.wait_for("import_job_transition", job_id=job.id)
    with opened(browser, fleet.url, java_script_enabled=False) as page:
        page.goto("/")
        expect(bar(page, job)).to_have_attribute("value", "0.35")
        page.get_by_label("Collection").fill("nothing like it")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("#running")).to_contain_text("No matching import.")
        page.get_by_role("link", name="Clear").click()
        page.locator(f"#running a[href$='id={job.id}']").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text(job.id)


def paths(job):
    return (
        "/",
        "/?state=uncommitted",
        "/?cluster=us",
        "/?q=o&state=completed",
        f"/job?cluster=eu&id={job.id}",
        "/collection?cluster=eu&database=&collection=books",
    )


def troubled(fleet):
    """One job of every kind; the last one has a history."""
    frozen(fleet.cluster, "a_collection_with_a_name_" + "x" * 200, progress=70)
    frozen(fleet.cluster, "films", progress=99, state="Uncommitted")
    frozen(fleet.cluster, "songs", state="Completed")
    fleet.world.clusters["us"].trouble(Trouble.code(1800, "user hasn't authenticated"))
    job = frozen(fleet.cluster, progress=10)
    fleet.daemon.wait_for("import_job_transition", job_id=job.id)
    set_status(job, state="Failed", progress=0, reason="path=" + "y" * 500)
    fleet.daemon.wait_for("import_job_transition", job_id=job.id, to_state="failed")
    fleet.daemon.wait_for("cluster_unreachable")
    return job


def violations(page, axe):
    page.evaluate(axe)
    found = page.evaluate("axe.run()")
    assert len(found["passes"]) > 10
    return [(one["id"], one["nodes"][0]["html"], one["nodes"][0]["failureSummary"]) for one in found["violations"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(browser, fleet, scheme):
    job, axe = troubled(fleet), program_of_axe()
    with opened(browser, fleet.url, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce") as page:
        for path in paths(job):
            page.goto(path)
            expect(page.locator("#live")).to_contain_text("Live")
            assert violations(page, axe) == [], path
    # A browser complains of the status.
    with opened(browser, fleet.url, color_scheme=scheme, bypass_csp=True, complains=True) as page:
        page.goto("/job?cluster=eu&id=nothing")
        assert violations(page, axe) == []


def test_a_telephone_needs_no_sideways_scroll(browser, fleet):
    job = troubled(fleet)
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "device_scale_factor": 2}
    with opened(browser, fleet.url, **phone) as page:
        for path in paths(job):
            page.goto(path)
            widths = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
            assert widths == [390, 390], path


def test_the_keyboard_reaches_everything(browser, fleet):
    job = frozen(fleet.cluster, progress=20)
    fleet.daemon.wait_for("import_job_transition", job_id=job.id)
    with opened(browser, fleet.url) as page:
        page.goto("/")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        reached = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            where, ring = page.evaluate(
                "(() => { const one = document.activeElement;"
                " return [one.getAttribute('href') || one.name || one.type || '',"
                " getComputedStyle(one).outlineStyle] })()"
            )
            if where:
                assert ring != "none", where
            reached.add(where)
        page.get_by_label("Search").focus()
        page.keyboard.type("books")
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(r"q=books"))
        expect(bar(page, job)).to_have_count(1)

    assert {"q", "cluster", "database", "collection", "state", "submit"} <= reached
    assert f"/job?cluster=eu&id={job.id}" in reached


@pytest.mark.parametrize("clipboard", [True, False], ids=["https or localhost", "http"])
def test_a_command_is_copied_as_it_stands(browser, fleet, clipboard):
    job = frozen(fleet.cluster, progress=99, state="Uncommitted")
    fleet.daemon.wait_for("import_job_transition", job_id=job.id)
    with opened(browser, fleet.url, permissions=["clipboard-read", "clipboard-write"]) as page:
        if not clipboard:
            page.add_init_script("Object.defineProperty(window, 'isSecureContext', {value: false})")
        page.goto(f"/job?cluster=eu&id={job.id}")
        commit = page.locator(".command", has=page.get_by_role("heading", name="Commit it"))
        commit.get_by_role("button", name="Copy").press("Enter")
        expect(page.locator("#copied")).to_have_text("Copied")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == commit.locator("pre").text_content()
        assert f'{{"jobId": "{job.id}"}}' in copied
        page.get_by_role("button", name=f"Copy {job.id}").click()
        expect(page.locator("#copied")).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == job.id


def test_a_slash_leads_to_the_search_also_on_a_telephone(browser, fleet):
    job = frozen(fleet.cluster, progress=20)
    fleet.daemon.wait_for("import_job_transition", job_id=job.id)
    for size in ({"width": 1200, "height": 900}, {"width": 390, "height": 844}):
        with opened(browser, fleet.url, viewport=size) as page:
            page.goto("/")
            search = page.get_by_label("Search", exact=True)
            expect(search).to_be_visible(visible=size["width"] > 1000)
            page.keyboard.press("/")
            expect(search).to_be_focused()
            page.keyboard.type("a/b")
            assert search.input_value() == "a/b"
            page.keyboard.press("Tab")
            expect(page.get_by_label("Cluster", exact=True)).to_be_focused()
            names = page.locator("#collection-names option").evaluate_all("all => all.map(one => one.value)")
            assert names == ["books"]


def test_no_id_is_broken_by_a_narrow_column(browser, fleet):
    job = frozen(fleet.cluster, "a_collection_with_an_ordinary_name", progress=20)
    fleet.daemon.wait_for("import_job_transition", job_id=job.id)
    for width in (820, 1000, 1200):
        with opened(browser, fleet.url, viewport={"width": width, "height": 900}) as page:
            page.goto("/")
            lines = page.locator("#running .name").evaluate_all("all => all.map(one => one.getClientRects().length)")
            assert lines == [1, 1, 1], width
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_it_goes_on_after_the_monitor_was_away(browser, tmp_path):
    world = World()
    world.add_cluster("eu", generation="milvus")
    with SimulatorServer(world) as server:
        config = write_config(tmp_path, f"{{name: eu, url: '{server.url}/clusters/eu'}}")
        with started("run", "-c", config) as daemon:
            port = urlsplit(daemon.url).port
            daemon.wait_for("cluster_baseline")
            with opened(browser, daemon.url, complains=True) as page:
                page.goto("/")
                expect(page.locator("#live")).to_contain_text("Live")
                daemon.stop()
                expect(page.locator("#live")).to_contain_text("Not live")
                with started("run", "-c", config, "--listen", f"127.0.0.1:{port}"):
                    job = frozen(world.clusters["eu"], progress=50)
                    expect(bar(page, job)).to_have_attribute("value", "0.5")
