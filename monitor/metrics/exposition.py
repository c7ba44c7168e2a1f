"""The response to a scrape: the ready text of every cluster, joined family by family."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder
from prometheus_client.openmetrics import exposition as openmetrics

from monitor.metrics.cluster import ClusterMetrics
from monitor.metrics.families import FAMILIES, FAMILIES_IN_PIECES

TEXT: Final = CONTENT_TYPE_PLAIN_0_0_4
OPENMETRICS: Final = openmetrics.CONTENT_TYPE_LATEST


def _headers(suffix: str) -> list[bytes]:
    """Return the comments above each family, whose name is written without a suffix."""
    names = [(family.full_name.removesuffix(suffix), family) for family in FAMILIES]
    return [f"# HELP {name} {family.help}\n# TYPE {name} {family.type}\n".encode() for name, family in names]


_HEADERS: Final = {TEXT: _headers(""), OPENMETRICS: _headers("_total")}


class Exposition:
    """Serves scrapes. It waits for nobody: it joins what is ready.

    Args:
        registry: The metrics of the process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._clusters: tuple[ClusterMetrics, ...] = ()

    def show(self, clusters: Iterable[ClusterMetrics]) -> None:
        """Show these clusters from now on, in this order."""
        self._clusters = tuple(clusters)

    def scrape(self, accept: str, now: float) -> tuple[bytes, str]:
        """Return the body and the content type for a scrape.

        Args:
            accept: The request's ``Accept`` header: OpenMetrics where it asks for it, else the text format.
            now: Seconds since the epoch: jobs of a cluster that has been out of reach for long are left out.
        """
        content_type = choose_format(accept)
        texts = [cluster.scrape(now) for cluster in self._clusters]
        parts: list[bytes] = []
        headers = _HEADERS[content_type]
        for index, header in enumerate(headers[: len(FAMILIES_IN_PIECES)]):
            parts.append(header)
            for pieces, _ in texts:
                parts.append(b"".join(pieces[index]))  # 4 times as fast as to hold each piece in a list
        for index, header in enumerate(headers[len(FAMILIES_IN_PIECES) :]):
            parts.append(header)
            parts.extend([whole[index] for _, whole in texts])
        if content_type == OPENMETRICS:
            parts.append(openmetrics.generate_latest(self._registry))  # type: ignore[no-untyped-call]
        else:
            parts.append(generate_latest(self._registry))
        return b"".join(parts), content_type


def choose_format(accept: str) -> str:
    """Return our content type of the format that prometheus-client chooses for an ``Accept`` header."""
    try:
        _, content_type = choose_encoder(accept)
    except TypeError:  # from comparing a version that is not a number
        return TEXT
    return OPENMETRICS if content_type.startswith("application/openmetrics-text") else TEXT
