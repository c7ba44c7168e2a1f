"""Rendered text of parts of a cluster: lines by family, and how many of them there is room for."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol, TypeVar

from monitor.metrics.families import escape

Text = tuple[Sequence[bytes], ...]
"""The lines of some families, as they are joined by a scrape."""


class RenderedText(Protocol):
    """A job or a collection as it is rendered."""

    @property
    def lines(self) -> tuple[bytes, ...]:
        """Of each family its lines, empty where it has none."""

    @property
    def series(self) -> int:
        """The number of its series."""


Rendered = TypeVar("Rendered", bound=RenderedText)


def fitting(texts: Sequence[Rendered], room: int) -> tuple[list[Rendered], int]:
    """Return the first texts for whose series there is room, and the number of series left out."""
    sums = list(accumulate([text.series for text in texts], initial=0))
    shown = sum(total <= room for total in sums) - 1
    return list(texts[:shown]), sums[-1] - sums[shown]


def by_family(texts: Sequence[RenderedText], families: int) -> Text:
    """Return the lines of some texts, family by family."""
    return tuple(zip(*[text.lines for text in texts], strict=True)) if texts else ((),) * families


def collection_labels(cluster_labels: str, database: str, collection: str) -> str:
    """Return the labels of each series of a collection, after those of its cluster."""
    return f'{cluster_labels},database="{escape(database)}",collection="{escape(collection)}"'
