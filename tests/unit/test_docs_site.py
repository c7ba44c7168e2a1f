"""The documentation site: it builds, every link in it leads somewhere, and no page takes too long to read."""

import re
import shutil
import subprocess
import sysconfig
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from tests.docs_site import DOCS, ROOT, project_urls, write_pages

WORDS_PER_MINUTE = 220
MINUTES = 10
PAGES = sorted(DOCS.rglob("*.md"))
CONFIG = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
ADDRESSES = re.compile(r"https://(?:milvus-import-monitor\.github\.io|github\.com/milvus-import-monitor)[^\s\"'`)>]*")


class Page(HTMLParser):
    """The ids and the links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif name in {"href", "src"} and value:
                self.links.append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    shutil.copyfile(ROOT / "zensical.toml", folder / "zensical.toml")
    write_pages(folder / CONFIG["docs_dir"])
    zensical = Path(sysconfig.get_path("scripts")) / "zensical"
    done = subprocess.run(
        [zensical, "build", "--strict"], cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / CONFIG["site_dir"]


def named(node: Any) -> Iterator[str]:
    """The pages that the navigation names."""
    if isinstance(node, str):
        yield node
    else:
        for inner in node.values() if isinstance(node, dict) else node:
            yield from named(inner)


def test_each_page_is_in_the_navigation_once():
    assert sorted(named(CONFIG["nav"])) == sorted(page.relative_to(DOCS).as_posix() for page in PAGES)


def test_each_page_is_on_the_site(site):
    for page in PAGES:
        path = page.relative_to(DOCS).with_suffix("")
        assert (site / (path.parent if path.name == "index" else path) / "index.html").is_file(), path


def test_every_link_of_the_site_leads_somewhere(site):
    read = {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    base = urlsplit(CONFIG["site_url"])
    broken = []
    for path, page in read.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme and parts.netloc != base.netloc:
                continue
            inner = unquote(parts.path)
            if parts.scheme or inner.startswith("/"):
                target = site / inner.removeprefix(base.path)
            else:
                target = (path.parent / inner).resolve() if inner else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists() or (parts.fragment and target in read and parts.fragment not in read[target].ids):
                broken.append((path.relative_to(site).as_posix(), link))

    assert len(read) > len(PAGES)  # with a page for addresses that do not exist
    assert broken == []


def test_the_tables_and_the_code_are_shown_as_such(site):
    metrics = (site / "metrics" / "index.html").read_text(encoding="utf-8")

    assert "<table>" in metrics
    assert re.search(r"^\|", re.sub(r"<pre.*?</pre>", "", metrics, flags=re.DOTALL), re.MULTILINE) is None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_no_page_takes_more_than_ten_minutes_to_read(page):
    """The tables of a reference are looked up, not read, and so is code."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    words = [word for line in text.splitlines() if not line.lstrip().startswith("|") for word in line.split()]

    assert len(words) <= MINUTES * WORDS_PER_MINUTE


def test_the_addresses_are_those_of_the_project():
    """One of a fork, or of a project that has moved, would be forgotten in some corner."""
    urls = project_urls()
    assert CONFIG["site_url"] == urls["Documentation"]
    assert CONFIG["repo_url"] == urls["Source"]

    places = [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "deploy").rglob("*"), *(ROOT / ".github").rglob("*")]
    strangers = {
        (path.relative_to(ROOT).as_posix(), address)
        for path in places
        if path.is_file() and path.suffix in {".md", ".yml", ".yaml", ".json", ".py", ".toml", ".txt", ".tpl"}
        for address in ADDRESSES.findall(path.read_text(encoding="utf-8"))
        if not f"{address}/".startswith((urls["Documentation"], f"{urls['Source']}/", f"{urls['Source']}.git/"))
    }
    assert strangers == set()


def test_the_runbook_links_of_the_rules_are_pages_of_the_site(site):
    groups = yaml.safe_load((ROOT / "deploy/prometheus/rules/milvus-import-monitor.yml").read_text())["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    base = project_urls()["Documentation"]

    assert alerts
    for rule in alerts:
        (address,) = re.findall(rf"{re.escape(base)}(\S+?)\{{\{{", rule["annotations"]["runbook_url"])
        assert (site / address / "index.html").is_file(), address
