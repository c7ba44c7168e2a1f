"""Every link of the docs to a file of this repository leads somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and GitLab name them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_the_modules_that_contributing_names_exist():
    named = re.findall(r"`((?:[a-z_0-9]+/)*[a-z_0-9]+\.py)`", (ROOT / "CONTRIBUTING.md").read_text())
    modules = {
        path.relative_to(ROOT).as_posix()
        for part in ("monitor", "tests", "deploy")
        for path in (ROOT / part).rglob("*.py")
    }

    assert [name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in modules)] == []
