"""Builds the documentation site from docs/.

``make docs`` writes it to build/site. Links from the docs to other files of the repository become links to its source.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
PAGES: Final = ROOT / "build" / "docs"

_LINK: Final = re.compile(r"\]\(([^)\s#]+)(#[^)\s]*)?\)")


def project_urls() -> dict[str, str]:
    """Return the addresses in pyproject.toml, from which all others are taken."""
    urls: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    return urls


def for_site(page: Path, source: str) -> str:
    """Return the text of a page in which links out of docs/ lead to the source at this URL."""

    def link(match: re.Match[str]) -> str:
        target, anchor = match[1], match[2] or ""
        path = Path(os.path.normpath(page.parent / target))
        if "://" in target or path.is_relative_to(DOCS):
            return match[0]
        kind = "tree" if path.is_dir() else "blob"
        return f"]({source}/{kind}/main/{path.relative_to(ROOT).as_posix()}{anchor})"

    return _LINK.sub(link, page.read_text(encoding="utf-8"))


def write_pages(folder: Path) -> None:
    """Write docs/ as the site needs it."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(DOCS, folder)
    source = project_urls()["Source"]
    for page in DOCS.rglob("*.md"):
        (folder / page.relative_to(DOCS)).write_text(for_site(page, source), encoding="utf-8")


if __name__ == "__main__":
    write_pages(PAGES)
    zensical = Path(sysconfig.get_path("scripts")) / "zensical"
    sys.exit(subprocess.run([zensical, "build", "--clean", "--strict"], cwd=ROOT, check=False).returncode)
