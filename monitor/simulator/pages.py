"""Lists that are rendered once and answered until something on them changes."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.simulator.cluster import Listing

if TYPE_CHECKING:
    from monitor.simulator.answers import Ask, Page
    from monitor.simulator.cluster import SimulatedCluster

    _Key = tuple[SimulatedCluster, str, str, int, int]

MEMORY = 160 << 20
"""Bytes of bodies that are kept; enough for 10,000 clusters of 100 jobs."""
LISTINGS = 4
"""How many whole lists are kept, for the other pages of the same list."""
LONG, LONG_HOLDS = 2000, 1.0
"""A list of more jobs than this is taken for true for so many seconds, or each page of it would cost a second."""


@dataclass(frozen=True, slots=True)
class _Kept:
    page: Page
    version: int
    until: float


class PageCache:
    """Pages by cluster and request, the least recently used ones dropped first."""

    def __init__(self, memory: int = MEMORY) -> None:
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._listings: OrderedDict[SimulatedCluster, tuple[int, Listing]] = OrderedDict()
        self._memory = memory
        self._used = 0

    def listing(self, cluster: SimulatedCluster, now: float) -> Listing:
        """Returns all that a cluster lists at the time `now`."""
        version, listing = self._listings.get(cluster, (-1, None))
        if listing is None or version != cluster.version or now >= listing.until:
            listing = cluster.listing(now)
            if len(listing.rows) > LONG:
                listing = Listing(listing.rows, max(listing.until, now + LONG_HOLDS))
            self._listings[cluster] = (cluster.version, listing)
            if len(self._listings) > LISTINGS:
                self._listings.popitem(last=False)
        return listing

    def get(self, cluster: SimulatedCluster, ask: Ask, now: float) -> Page | None:
        """Returns the page, if it still tells the truth at the time `now`."""
        key = (cluster, ask.collection, ask.database, ask.page, ask.size)
        kept = self._kept.get(key)
        if kept is None or kept.version != cluster.version or now >= kept.until:
            return None
        self._kept.move_to_end(key)
        return kept.page

    def put(self, cluster: SimulatedCluster, ask: Ask, page: Page, until: float) -> None:
        """Keeps a page until the time `until`, or until the cluster is changed by hand."""
        key = (cluster, ask.collection, ask.database, ask.page, ask.size)
        self._drop(key)
        self._kept[key] = _Kept(page, cluster.version, until)
        self._used += len(page.answer.body)
        while self._used > self._memory:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: _Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._used -= len(kept.page.answer.body)
