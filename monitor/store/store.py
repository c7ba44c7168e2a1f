"""What was seen of every cluster: in memory for whoever asks, in the database for whoever comes after.

The database can be ill for a while - full, locked, gone. Then everything goes on from memory, and what was missed is
written when it is well again.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from monitor.jobs import Difference, Picture, Transition
from monitor.store.database import Database, Whose
from monitor.store.history import PAGE_LIMIT, History, Recent, Recorded, Wanted, number_in
from monitor.store.recording import StaleError

UNSAVED_LIMIT: Final = 10_000
"""Transitions of one cluster that wait for the database to be well again; the oldest go first."""

UNTOLD_AT_ONCE: Final = 1000
"""Transitions that are logged after the fact in one go."""

PRUNE_EVERY: Final = 600.0
"""Seconds from one pruning to the next."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.store")

Tell = Callable[[str, str, Transition], None]
"""Logs a transition of a cluster: its name, its id, the transition."""


@dataclass(slots=True)
class _Held:
    """One cluster, as this process knows it."""

    whose: Whose
    picture: Picture | None = None
    revision: int = 0
    loaded: bool = False
    unsaved: bool = False
    latest: tuple[Recorded, ...] = ()
    told_unsaved: list[Transition] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)


class Store:
    """Remembers the picture of each cluster. Safe to use from the threads of several clusters.

    Args:
        database: Where it is kept; None for memory alone.
        retention: Seconds for which transitions are kept.
        tell_after: Seconds after which a recorded transition that nobody has logged is logged by whoever sees it. More
            than 0 where another monitor may be about to log it.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        database: Database | None,
        *,
        retention: float = 30 * 86400.0,
        tell_after: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.up = True
        self.failures = 0
        self._database = database
        self._retention = retention
        self._tell_after = tell_after
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._behind: set[str] = set()
        self._recent = Recent()
        self._lock = Lock()
        self._about_to_tell: set[int] = set()
        self._told: list[int] = []
        self._looked_back = False
        self._prune_at = 0.0

    def watch(self, whose: Whose) -> None:
        """Begin to remember a cluster, with what is stored of it."""
        held = _Held(whose)
        self._held[whose.name] = held
        with held.lock:
            self._load(held)

    def picture(self, cluster: str) -> Picture | None:
        """Return the picture after the last complete poll of a cluster; None before its first, the baseline."""
        held = self._held.get(cluster)
        return None if held is None else held.picture

    def record(self, cluster: str, difference: Difference) -> list[int] | None:
        """Put the new picture in place of the previous one, and its transitions with it, all or nothing.

        Returns:
            The ids of the transitions, for `told`, once they are logged; none where they are kept only in memory. None
            where the picture is no longer the one that the poll was compared with, for another monitor has recorded a
            poll of the cluster, or the stored picture could be read at last: then that picture counts, and what this
            poll saw, which may be older, is forgotten.
        """
        held = self._held[cluster]
        with held.lock:
            if held.picture is not difference.previous:
                return None
            held.latest = ()
            if self._database is None or not difference.changes_something:
                held.picture = difference.picture
                self._remember(held, difference)
                return []
            if not self.up or held.unsaved or not held.loaded:
                self._keep_in_memory(held, difference)
                return []
            try:
                ids = self._database.record(held.whose, held.revision, held.picture or Picture(), difference)
            except StaleError:
                self._load(held)
                return None
            except SQLAlchemyError as error:
                self.note_illness(error)
                self._keep_in_memory(held, difference)
                return []
            held.picture, held.revision = difference.picture, held.revision + 1
            self._remember(held, difference, ids)
        with self._lock:
            self._about_to_tell.update(ids)
        return ids

    def latest(self, cluster: str) -> tuple[Recorded, ...]:
        """Return the transitions that the latest recorded poll of a cluster brought."""
        held = self._held.get(cluster)
        return () if held is None else held.latest

    def history(self, wanted: Wanted, limit: int = 100, cursor: str = "") -> History:
        """Return a page of the recorded transitions, newest first.

        While the database cannot be asked, and for ``memory://``, it comes from the bounded memory of this process.

        Args:
            wanted: Which transitions.
            limit: How many at most, up to ``PAGE_LIMIT``.
            cursor: The ``next_cursor`` of the page before; empty for the first page.

        Raises:
            CursorError: The cursor is not one of ours, or was given by the other one of database and memory.
        """
        limit = max(1, min(limit, PAGE_LIMIT))
        if self._database is not None and self.up:
            before = number_in(cursor, memory=False)
            try:
                return self._database.history(wanted, before, limit)
            except SQLAlchemyError as error:
                # No illness: whoever asks for too much must not keep the polls from being recorded.
                _log.warning("history_unavailable", message=_in_one_line(error))
        before = number_in(cursor, memory=True)
        kept_since = self._clock() - self._retention
        wanted = replace(wanted, since=kept_since if wanted.since is None else max(kept_since, wanted.since))
        return self._recent.page(wanted, before, limit, whole=self._database is None)

    def told(self, ids: Iterable[int]) -> None:
        """Note that recorded transitions are in the log; the database learns it at the next `maintain`."""
        with self._lock:
            self._told.extend(ids)

    def forget(self, cluster: str) -> None:
        """Forget a cluster: it is no longer watched, or its name now stands for another one."""
        held = self._held.pop(cluster, None)
        self._behind.discard(cluster)
        if held is None or self._database is None:
            return
        with held.lock:
            try:
                self._database.forget(cluster)
            except SQLAlchemyError as error:
                self.note_illness(error)

    def maintain(self, tell: Tell) -> None:
        """Do what is due: write what was missed, note what was told, tell what nobody told, prune.

        Args:
            tell: Logs a transition that was recorded before a crash, or by a monitor that is gone, and not logged.
        """
        if self._database is None:
            return
        was_up = self.up
        try:
            if not was_up:
                self._database.migrate()
            self._catch_up(self._database)
            self._mark_told(self._database)
            self._tell_untold(self._database, tell)
            if time.monotonic() >= self._prune_at:
                self._database.prune(self._clock() - self._retention)
                self._prune_at = time.monotonic() + PRUNE_EVERY
        except SQLAlchemyError as error:
            self.note_illness(error)
            return
        self.up = True
        if not was_up:
            _log.info("store_recovered")

    def close(self) -> None:
        """Write what is left to write and close the database."""
        if self._database is None:
            return
        try:
            self._catch_up(self._database)
            self._mark_told(self._database)
        except SQLAlchemyError as error:
            self.note_illness(error)
        self._database.close()

    def _load(self, held: _Held) -> None:
        """Take over what is stored of a cluster; where that cannot be read now, it is tried again by `maintain`."""
        if self._database is None:
            held.loaded = True
            return
        try:
            stored = self._database.load(held.whose)
        except SQLAlchemyError as error:
            self._behind.add(held.whose.name)
            self.note_illness(error)
            return
        held.loaded, held.unsaved = True, False
        self._behind.discard(held.whose.name)
        held.told_unsaved.clear()
        held.picture, held.revision = (None, 0) if stored is None else (stored.picture, stored.revision)

    def _keep_in_memory(self, held: _Held, difference: Difference) -> None:
        held.picture = difference.picture
        held.unsaved = True
        self._behind.add(held.whose.name)
        held.told_unsaved.extend(difference.transitions)
        del held.told_unsaved[:-UNSAVED_LIMIT]
        self._remember(held, difference)

    def _remember(self, held: _Held, difference: Difference, ids: Iterable[int] = ()) -> None:
        """Keep the transitions of a poll in memory, under the ids that the database gave them, where it did."""
        if not difference.transitions:
            return
        here = self._recent.add(held.whose.name, difference.transitions)
        stored = [Recorded(str(number), one.cluster, one.transition) for one, number in zip(here, ids, strict=False)]
        held.latest = tuple(stored or here)

    def _catch_up(self, database: Database) -> None:
        """Write the clusters that were kept only in memory; of a big fleet, usually none.

        One whose stored picture could not even be read goes back to it, now that it can: its next poll tells what
        happened since then.
        """
        for name in tuple(self._behind):
            held = self._held.get(name)
            if held is None:
                continue
            with held.lock:
                if self._held.get(name) is not held:
                    continue  # it was forgotten meanwhile
                if not held.loaded:
                    self._load(held)
                elif held.unsaved and held.picture is not None:
                    try:
                        database.replace(held.whose, held.revision, held.picture, held.told_unsaved)
                    except StaleError:
                        self._load(held)
                        continue
                    held.revision, held.unsaved = held.revision + 1, False
                    held.told_unsaved.clear()
                    self._behind.discard(name)

    def _mark_told(self, database: Database) -> None:
        with self._lock:
            told, self._told = self._told, []
        if not told:
            return
        try:
            database.mark_told(told)
        except SQLAlchemyError:
            self.told(told)
            raise
        with self._lock:
            self._about_to_tell.difference_update(told)

    def _tell_untold(self, database: Database, tell: Tell) -> None:
        """Tell what nobody told.

        Where nobody else writes, that can only be from before the start: one look is enough, and a later one could find
        what a poll has recorded this very moment and is about to log.
        """
        if self._looked_back and not self._tell_after:
            return
        before = self._clock() - self._tell_after if self._tell_after else math.inf
        with self._lock:
            but = set(self._about_to_tell)
        while database.tell_untold(before, but, tell, UNTOLD_AT_ONCE) == UNTOLD_AT_ONCE:
            continue
        self._looked_back = True

    def note_illness(self, error: SQLAlchemyError) -> None:
        """Go on from memory; said once until it is well again."""
        self.failures += 1
        if self.up:
            self.up = False
            file = self._database.file if self._database else None
            which = {} if file is None else {"file": file}  # what PostgreSQL says names the server
            _log.error("store_unavailable", message=_in_one_line(error), **which)


def _in_one_line(error: SQLAlchemyError) -> str:
    return " ".join(str(getattr(error, "orig", None) or error).split())[:500]
