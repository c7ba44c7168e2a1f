"""Keeps a board by polling the clusters of a config."""

import heapq
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from monitor.api import ApiError, Network, StoppedError
from monitor.cli.board import Board, JobLine
from monitor.cli.following import Follower
from monitor.config import Cluster, Config
from monitor.jobs import JobState, Picture, TrackedJob, eta_seconds


@contextmanager
def polled(config: Config, clusters: tuple[Cluster, ...], board: Board) -> Iterator[None]:
    """Keep a board, as many polls at a time as the config allows, until the block is left."""
    network = Network(connections=config.poll.concurrency)
    turns = _Turns([Follower(cluster, network) for cluster in clusters])
    board.show_clusters({cluster.name: None for cluster in clusters})
    for _ in range(min(config.poll.concurrency, len(clusters))):
        # Daemons: at the end nobody waits for a server that does not answer.
        threading.Thread(target=_poll, args=(turns, board, network), name="watch", daemon=True).start()
    try:
        yield
    finally:
        network.stop()
        turns.end()


class _Turns:
    """Whose turn it is, and when."""

    def __init__(self, followers: list[Follower]) -> None:
        self._due = [(0.0, number) for number in range(len(followers))]
        self._followers = followers
        self._changed = threading.Condition()
        self._ended = False

    def next(self) -> int | None:
        """Wait for the next turn and take it; None at the end."""
        with self._changed:
            while not self._ended:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._due)[1]
                self._changed.wait(wait)
            return None

    def follower(self, number: int) -> Follower:
        """Return whose turn it is."""
        return self._followers[number]

    def again(self, number: int, pause: float) -> None:
        """Put somebody in the queue again."""
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + pause, number))
            self._changed.notify()

    def end(self) -> None:
        """Give no more turns."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def _poll(turns: _Turns, board: Board, network: Network) -> None:
    while (number := turns.next()) is not None:
        follower = turns.follower(number)
        name = follower.cluster.name
        try:
            picture = follower.poll()
        except StoppedError:
            return
        except ApiError as error:
            pause = follower.pause(error)
            board.show_cluster(name, f"{error.kind}: {error}")
        else:
            pause = follower.pause()
            board.show_jobs(lines_of(follower.cluster, picture, board.clock()), name)
            board.show_cluster(name, "")
        if network.stopping.is_set():
            return
        turns.again(number, pause)


def lines_of(cluster: Cluster, picture: Picture, now: float) -> list[JobLine]:
    """Return the jobs of a picture that are listed, unfinished, or failed or vanished lately."""
    since = now - cluster.failed_retention
    return [_line(cluster.name, one, now) for one in picture.jobs.values() if _is_shown(one, since)]


def _is_shown(tracked: TrackedJob, since: float) -> bool:
    if tracked.job.state in (JobState.FAILED, JobState.VANISHED):
        return (tracked.finished_at or 0.0) > since
    return not tracked.retired


def _line(cluster: str, tracked: TrackedJob, now: float) -> JobLine:
    job, eta = tracked.job, eta_seconds(tracked, now)
    line = JobLine(cluster, "/".join(part for part in (job.database, job.collection) if part), job.job_id, job.state)
    return replace(
        line,
        progress=job.progress,
        done_at=None if eta is None else now + eta,
        stalled=tracked.stalled,
        reason=job.reason if job.state is JobState.FAILED else "",
        since=tracked.state_since if tracked.finished_at is None else tracked.finished_at,
        seen_before=tracked.first_seen < tracked.state_since,
    )
