"""The answer to a scrape: the ready text of every cluster, joined family by family."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from monitor.accept import weights
from monitor.metrics.cluster import ClusterMetrics
from monitor.metrics.families import FAMILIES, Family

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Exposition:
    """Answers scrapes. It waits for nobody: it joins what is ready.

    Args:
        registry: The daemon's own metrics.
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
            now: Seconds since the epoch: jobs of a cluster long out of reach are left out.
        """
        openmetrics = wants_openmetrics(accept)
        heads = _OPENMETRICS_HEADS if openmetrics else _TEXT_HEADS
        texts = [cluster.text.at(now) for cluster in self._clusters]
        parts: list[bytes] = []
        for index, head in enumerate(heads):
            parts.append(head)
            parts.extend([text[index] for text in texts])
        parts.append(generate_openmetrics(self._registry) if openmetrics else generate_latest(self._registry))  # type: ignore[no-untyped-call]
        return b"".join(parts), OPENMETRICS if openmetrics else TEXT


def wants_openmetrics(accept: str) -> bool:
    """Say whether an ``Accept`` header prefers OpenMetrics to the text format (RFC 9110, 12.5.1)."""
    wanted = weights(accept)
    openmetrics = wanted.get("application/openmetrics-text", 0.0)
    text = next((wanted[media] for media in ("text/plain", "text/*", "*/*") if media in wanted), 0.0)
    return openmetrics > 0 and openmetrics >= text


def _head(family: Family, name: str) -> bytes:
    return f"# HELP {name} {family.help}\n# TYPE {name} {family.type}\n".encode()


_TEXT_HEADS: Final = tuple(_head(family, family.full_name) for family in FAMILIES)
_OPENMETRICS_HEADS: Final = tuple(_head(family, family.full_name.removesuffix("_total")) for family in FAMILIES)
