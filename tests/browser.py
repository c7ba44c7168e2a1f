"""A real Chromium, driven by Playwright; Debian's own, so that nothing is downloaded."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import axe_playwright_python
from playwright.sync_api import Browser, Page, sync_playwright

from tests.venvs import missing

PATIENCE = 60_000
"""Milliseconds to wait for what has to appear; the machine may be busy."""


@contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        missing("chromium is not installed")
    with sync_playwright() as playwright:
        # Its own sandbox needs rights that a container seldom has; it sees only pages of this project.
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", *arguments], timeout=PATIENCE
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, url: str, *, complains: bool = False, **options: Any) -> Iterator[Page]:
    """A page in a context of its own; what it complains of on its console is an error, unless it is expected to."""
    options.setdefault("viewport", {"width": 1200, "height": 900})
    context = browser.new_context(base_url=url, **options)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    complaints: list[str] = []
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield page
        assert complains or complaints == []
    finally:
        context.close()


def program_of_axe() -> str:
    """The source of axe-core."""
    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
