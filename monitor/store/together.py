"""What several threads write at nearly the same time, in one transaction: each of them costs little more than half."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from threading import Lock
from typing import Final

from sqlalchemy.engine.interfaces import DBAPICursor

GATHER_FOR: Final = 0.01
"""Seconds for which the first one waits for others: most polls of a slot come within it."""

Work = Callable[[DBAPICursor], list[int]]
"""Writes with a cursor that is in a transaction, and returns the ids of what it added."""


class Together:
    """Gathers what threads have to write. No more waits here than there are threads, for each waits for its end.

    Args:
        writing: Gives a cursor in a transaction, which is committed at the end.
    """

    def __init__(self, writing: Callable[[], AbstractContextManager[DBAPICursor]]) -> None:
        self._writing = writing
        self._lock = Lock()
        self._waiting: list[tuple[Work, Future[list[int]]]] = []

    def write(self, work: Work) -> list[int]:
        """Write, together with others, and return the ids, once they are committed; raises what the work raises."""
        mine = Future[list[int]]()
        with self._lock:
            self._waiting.append((work, mine))
            first = len(self._waiting) == 1
        if first:
            time.sleep(GATHER_FOR)
            with self._lock:
                gathered, self._waiting = self._waiting, []
            self._write_all(gathered)
        return mine.result()

    def _write_all(self, gathered: list[tuple[Work, Future[list[int]]]]) -> None:
        """Write in one transaction; where that fails, each in one of its own, so that none suffers from another.

        Where it could not even begin, nobody's could: the others need not wait for the same once more.
        """
        begun = False
        try:
            with self._writing() as cursor:
                begun = True
                written = [work(cursor) for work, _ in gathered]
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits for it
            if begun and len(gathered) > 1:
                for one in gathered:
                    self._write_all([one])
            else:
                for _, its in gathered:
                    its.set_exception(error)
            return
        for (_, its), ids in zip(gathered, written, strict=True):
            its.set_result(ids)
