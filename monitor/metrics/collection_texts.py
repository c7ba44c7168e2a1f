"""The series of a cluster's collections: each is rendered when it changes, and all that there is room for joined."""

from collections.abc import Iterable
from typing import Final

import msgspec

from monitor.jobs import CollectionKey
from monitor.metrics.counters import CollectionFacts
from monitor.metrics.families import COLLECTION_FAMILIES
from monitor.metrics.texts import by_family, collection_labels, fitting

_MOST_SERIES: Final = 18  # eight listed states, three finished ones, the rows, six of the outcome


class CollectionText(msgspec.Struct, frozen=True, gc=False):
    """A rendered collection: what it was rendered from, and of each family its lines."""

    facts: CollectionFacts
    lines: tuple[bytes, ...]

    @property
    def series(self) -> int:
        """The number of its series."""
        return sum(lines.count(b"\n") for lines in self.lines)


class CollectionTexts:
    """Keeps the collections of a cluster rendered.

    Attributes:
        lines: The lines of all collections that there is room for; those of listed jobs are the first family.
        dropped: The number of series that there is no room for.
    """

    def __init__(self) -> None:
        self._texts: dict[CollectionKey, CollectionText] = {}
        self.lines = by_family((), len(COLLECTION_FAMILIES))
        self.dropped = 0

    def clear(self) -> None:
        """Forget what is rendered: the labels of the cluster have changed."""
        self._texts.clear()

    def render(self, collections: Iterable[tuple[CollectionKey, CollectionFacts]], labels: str, room: int) -> None:
        """Render collections that changed; where there is no room for all, those whose latest import failed first.

        Args:
            collections: All collections, with what is to be shown of them.
            labels: The labels of the cluster.
            room: The number of series that are allowed.
        """
        previous, self._texts = self._texts, {}
        for key, facts in collections:
            text = previous.get(key)
            if text is None or text.facts != facts:
                its_labels = collection_labels(labels, *key)
                lines = [family.render(its_labels, family.value(facts)) for family in COLLECTION_FAMILIES]
                text = CollectionText(facts, tuple(lines))
            self._texts[key] = text
        shown = list(self._texts.values())
        self.dropped = 0
        if len(shown) * _MOST_SERIES > room:
            shown.sort(key=lambda text: not text.facts[2].last_failed)
            shown, self.dropped = fitting(shown, room)
        self.lines = by_family(shown, len(COLLECTION_FAMILIES))
