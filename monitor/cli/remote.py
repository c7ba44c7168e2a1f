"""Keeps a board by what a running monitor tells: its jobs once, and then what changes."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

import requests

from monitor.causes import in_words, root
from monitor.cli.board import Board, JobLine
from monitor.cli.options import fail
from monitor.cli.reaching import TIMEOUT, no_answer, refused
from monitor.jobs import JobState

_PAGE: Final = 1000
_PAGES: Final = 20
"""Pages of clusters, and of jobs, that are read at most; what is beyond them is left out, and that is said."""

_SILENCE: Final = 40.0
"""Seconds without a word of the stream, which says at least every 15 s that it is there; then it is taken for dead."""

_PAUSES: Final = (1.0, 2.0, 5.0)
"""Seconds until the monitor is asked again, after so many failures; then the last of them each time."""

_LINE_LIMIT: Final = 1_000_000
_WANTED: Final = [state.value for state in JobState if state is not JobState.COMPLETED]


class RemoteError(Exception):
    """The monitor does not answer as one; the message says how."""


@contextmanager
def remote(session: requests.Session, url: str, board: Board, cluster: str | None) -> Iterator[None]:
    """Keep a board until the block is left; where nobody answers at first, say so and exit with 1."""
    source = _Remote(session, url.rstrip("/"), board, cluster)
    try:
        source.read()
    except RemoteError as error:
        fail(str(error), code=1)
    thread = threading.Thread(target=source.follow, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        source.stopping.set()


class _Remote:
    """A running monitor."""

    def __init__(self, session: requests.Session, url: str, board: Board, cluster: str | None) -> None:
        self.stopping = threading.Event()
        self._session = session
        self._url = url
        self._board = board
        self._only = {} if cluster is None else {"cluster": cluster}

    def read(self) -> None:
        """Read everything anew, and say what of it is left out; raises ``RemoteError``."""
        clusters, more_clusters = self._pages("clusters", {})
        jobs, more_jobs = self._pages("jobs", {"state": _WANTED})
        self._board.show_clusters({one["name"]: _why(one) for one in clusters})
        self._board.show_jobs([_line(job, self._board.clock()) for job in jobs])
        cut = [f"{len(clusters):,} clusters"] * more_clusters + [f"{len(jobs):,} jobs"] * more_jobs
        only_one = "" if self._only else "; --cluster NAME shows those of one cluster"
        self._board.tell(
            f"{self._url}: there are more than {' and '.join(cut)}, the rest is left out{only_one}" if cut else ""
        )

    def follow(self) -> None:
        """Follow the stream; where it breaks, begin anew after a while."""
        failures = 0
        while not self.stopping.is_set():
            try:
                with self._asked("stream", {}, stream=True, timeout=(TIMEOUT, _SILENCE)) as response:
                    self.read()  # what changed before the stream began
                    failures = 0
                    self._take(response)
                problem = f"{self._url}: the monitor has ended the stream"
            except RemoteError as error:
                problem = str(error)
            except requests.RequestException as error:
                problem = f"{self._url}: the stream broke off: {in_words(root(error))}"
            pause = _PAUSES[min(failures, len(_PAUSES) - 1)]
            failures += 1
            self._board.tell(f"{problem}; asking again in {pause:.0f}s")
            self.stopping.wait(pause)

    def _take(self, response: requests.Response) -> None:
        """Take the events of a stream, to its end."""
        takers: Mapping[str, Callable[[Any], None]] = {
            "cluster": lambda one: self._board.show_cluster(one["name"], _why(one)),
            "job": lambda job: self._board.show_job(_line(job, self._board.clock())),
            "gone": lambda job: self._board.remove_job(job["cluster"], job["job_id"]),
            "refetch": lambda _: self.read(),
        }
        name = ""
        for raw in response.iter_lines(chunk_size=None):
            if self.stopping.is_set() or len(raw) > _LINE_LIMIT:
                return
            field, _, value = raw.decode("utf-8", "replace").partition(": ")
            if field == "event":
                name = value
            elif field == "data" and name in takers:
                takers[name](_decoded(value, self._url))

    def _pages(self, what: str, parameters: Mapping[str, Any]) -> tuple[list[Any], bool]:
        """Return what there is on as many pages as are read, and whether there are more of them."""
        found: list[Any] = []
        cursor = None
        for _ in range(_PAGES):
            # A parameter that is None is not sent.
            with self._asked(what, {**parameters, "cursor": cursor, "limit": _PAGE}) as response:
                page = _decoded(response.text, self._url)
            found += page.get(what, []) if isinstance(page, dict) else []
            cursor = page.get("next_cursor") if isinstance(page, dict) else None
            if cursor is None:
                break
        return found, cursor is not None

    def _asked(
        self,
        what: str,
        parameters: Mapping[str, Any],
        *,
        stream: bool = False,
        timeout: tuple[float, float] = (TIMEOUT, 2 * TIMEOUT),
    ) -> requests.Response:
        try:
            response = self._session.get(
                f"{self._url}/api/v1/{what}",
                params={**self._only, **parameters},
                stream=stream,
                timeout=timeout,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise RemoteError(no_answer(self._url, error)) from None
        if response.status_code != requests.codes.ok:
            with response:
                raise RemoteError(refused(self._session, self._url, response.status_code, _problem(response)))
        return response


def _problem(response: requests.Response) -> str:
    """Return what a monitor says is wrong, or the beginning of what somebody else does."""
    try:
        found = response.json()
        return f"{found['error']}; {found['hint']}" if found.get("hint") else str(found["error"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return response.text.strip() or response.reason


def _decoded(text: str, url: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise RemoteError(f"{url}: the answer is not that of a monitor") from None


def _why(cluster: Mapping[str, Any]) -> str | None:
    if cluster["status"] == "not_polled":
        return None
    return cluster["why"] or "down" if cluster["status"] == "down" else ""


def _line(job: Mapping[str, Any], now: float) -> JobLine:
    left = job["eta_seconds"]
    return JobLine(
        cluster=job["cluster"],
        place="/".join(part for part in (job["database"], job["collection"]) if part),
        job_id=job["job_id"],
        state=JobState(job["state"]) if job["state"] in set(JobState) else JobState.UNKNOWN,
        progress=job["progress"],
        done_at=None if left is None else now + left,
        stalled=job["stalled"],
        reason=job["reason"] if job["state"] == JobState.FAILED else "",
        since=_seconds(job["finished_at"] or job["state_since"]),
        seen_before=job["first_seen"] != job["state_since"],
    )


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
