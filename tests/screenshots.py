"""Takes the screenshots of the README from the demo: `python -m tests.screenshots [FOLDER]`."""

import sys
from pathlib import Path

from playwright.sync_api import Page

from tests.browser import chromium, opened
from tests.daemon import started

SIZE = {"width": 1200, "height": 1150}
SEED = 7


def settled(page: Page) -> None:
    """Waits until the page is live and something of everything has happened."""
    page.locator("#live.on").wait_for()
    page.locator("#attention .state.vanished, #attention .badge.warn").first.wait_for()
    page.locator("#running td:nth-of-type(4) >> text=/[0-9]/").first.wait_for()


def main() -> None:
    """Takes them."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    folder.mkdir(parents=True, exist_ok=True)
    demo = ("demo", "--listen", "127.0.0.1:0", "--seed", SEED, "--for", "300s", "--log-format", "json")
    with chromium() as browser, started(*demo) as daemon:
        daemon.wait_for("import_job_stalled")
        for scheme in ("light", "dark"):
            with opened(browser, daemon.url, color_scheme=scheme, viewport=SIZE) as page:
                page.goto("/")
                settled(page)
                page.screenshot(path=folder / f"page-{scheme}.png")
        with opened(browser, daemon.url, color_scheme="light", viewport={"width": 1200, "height": 1250}) as page:
            page.goto("/")
            page.locator("#attention .card.failed a.id").first.click()
            page.locator("#history li").first.wait_for()
            page.locator("#live.on").wait_for()
            page.screenshot(path=folder / "job-light.png")


if __name__ == "__main__":
    main()
