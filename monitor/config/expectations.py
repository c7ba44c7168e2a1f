"""Settings of expectations: which imports are expected, and when."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from monitor.config import setting_types as types
from monitor.config.setting_types import Seconds, format_duration
from monitor.config.validation import Section
from monitor.cron import Cron, check_timezone

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_EXPECTATIONS: Final = 1000
"""Expectations in one config; each can be of many clusters and collections."""

MAX_ROWS: Final = 2**53
MIN_WITHIN: Final = 1.0
MAX_WITHIN: Final = 366 * 86_400.0

STARTS_COMPARED: Final = 50
"""Starts between which the time to complete has to fit."""

_COMPARED_FROM: Final = 1_767_225_600.0
"""The beginning of 2026: in no time zone the clocks change in the weeks after it."""

_GLOB_CHARACTERS: Final = frozenset("*?[")


class Expectation(Section):
    """Expected imports: which, how often, and how long they may take."""

    name: types.Name
    """Unique; the value of the label `expectation`. By default the collection, and nightly-2 for a second one."""
    cluster: types.Name = "*"
    """A glob for the names of clusters, such as prod-*."""
    database: types.Name = "*"
    """A glob for databases."""
    collection: types.Name
    """A collection, whose import is missed even if it never had one, or a glob for collections that have had one."""
    starts: Annotated[str, Field(min_length=1)]
    """When an import should start: a cron expression, such as 0 2 * * *."""
    timezone: Annotated[str, Field(min_length=1), AfterValidator(check_timezone)] = "UTC"
    """The time zone of starts, such as Europe/Berlin."""
    start_within: Seconds = Field(default="0s", ge=0, le=MAX_WITHIN, validate_default=True)
    """Time after each start until which an import has to have begun; 0s: only complete_within counts."""
    complete_within: Seconds = Field(ge=MIN_WITHIN, le=MAX_WITHIN)
    """Time after each start until which an import has to be complete; not longer than from one start to the next."""
    min_rows: int = Field(default=0, ge=0, le=MAX_ROWS)
    """Rows that an import has to have at least, where the API gives them."""

    @field_validator("starts")
    @classmethod
    def _check_starts(cls, starts: str) -> str:
        Cron(starts, "UTC")
        return starts

    @field_validator("complete_within")
    @classmethod
    def _check_times(cls, complete_within: float, info: ValidationInfo) -> float:
        if complete_within < info.data.get("start_within", 0.0):
            raise ValueError("must not be shorter than start_within")
        if "starts" in info.data and "timezone" in info.data:
            shortest = _shortest_period(_cron(info.data["starts"], info.data["timezone"]))
            if complete_within > shortest:
                longest = format_duration(shortest)
                raise ValueError(f"must be at most {longest}, the time from one start to the next")
        return complete_within

    @property
    def cron(self) -> Cron:
        """When its imports should start."""
        return _cron(self.starts, self.timezone)

    @property
    def names_collection(self) -> bool:
        """Whether its collection is one collection, not a glob."""
        return not _GLOB_CHARACTERS & set(self.collection)

    @property
    def named_database(self) -> str:
        """Its database, if that is one database and no glob; else empty."""
        return "" if _GLOB_CHARACTERS & set(self.database) else self.database

    def includes(self, database: str, collection: str) -> bool:
        """Return whether it is about a collection; one whose database the API does not report can be in any."""
        in_database = not database or fnmatchcase(database, self.database)
        return in_database and fnmatchcase(collection, self.collection)


def collection_of(item: Mapping[str, Any]) -> str:
    """Return the collection of an entry of `expectations`, after which it is named."""
    collection = item.get("collection")
    return collection if isinstance(collection, str) and collection else "expectation"


@lru_cache(MAX_EXPECTATIONS)
def _cron(starts: str, timezone: str) -> Cron:
    """Return the cron expression of starts, shared by equal ones: to compute its next starts takes 2 ms."""
    return Cron(starts, timezone)


def _shortest_period(cron: Cron) -> float:
    """Return the seconds from one start to the next, at the least; not those of a day on which the clocks change."""
    starts = [cron.next(_COMPARED_FROM)]
    for _ in range(STARTS_COMPARED):
        starts.append(cron.next(starts[-1]))
    return min(later - start for start, later in pairwise(starts))
