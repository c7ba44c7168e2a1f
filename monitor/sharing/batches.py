"""Cuts what is exchanged into transactions of a bounded size."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

CLUSTERS_AT_ONCE: Final = 500
"""Clusters that are stored or loaded in one transaction."""

T = TypeVar("T")


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """Cut items, one for each cluster, into lists of at most ``CLUSTERS_AT_ONCE``."""
    rest = iter(items)
    while some := [*islice(rest, CLUSTERS_AT_ONCE)]:
        yield some
