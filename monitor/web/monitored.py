"""What the endpoints ask the daemon."""

from typing import Protocol

from monitor.api import ImportFile
from monitor.fleet import Fleet
from monitor.store import History, Wanted


class Monitored(Protocol):
    """The daemon, as far as the endpoints know it."""

    fleet: Fleet

    def scrape(self, accept: str, now: float) -> tuple[bytes, str]:
        """Return the body and the content type of a scrape, at once."""

    def healthy(self) -> bool:
        """Say whether the process does its work, whatever the clusters do."""

    def ready(self) -> bool:
        """Say whether every cluster has been polled once."""

    async def reload(self) -> str | None:
        """Load the config anew; return what is wrong with it, or None where it was taken."""

    def history(self, wanted: Wanted, limit: int, cursor: str) -> History:
        """Return a page of recorded transitions; waits for the database. Raises ``CursorError``."""

    def files(self, cluster: str, job_id: str) -> tuple[ImportFile, ...]:
        """Ask a cluster for the files of a job; waits for it. Raises ``ApiError``."""
