"""What the settings of one cluster have to do with each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitor.config.model import ClusterSection
    from monitor.config.problems import Path

ZILLIZ_DOMAINS: Final = ("zilliz.com", "zilliz.com.cn", "zillizcloud.com")
"""Hosts in these belong to Zilliz Cloud, whose API answers for many clusters and must be told which one is meant."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One check over several settings of a cluster.

    Attributes:
        reads: The settings it looks at. When one of them is wrong by itself, the rule has nothing to say.
        check: Yields, for each thing that is wrong, the path of a setting in the cluster and a sentence.
    """

    reads: frozenset[str]
    check: Callable[[ClusterSection], Iterator[tuple[Path, str]]]


def violations(cluster: ClusterSection, broken: frozenset[str]) -> Iterator[tuple[Path, str]]:
    """Yield what is wrong with a cluster as a whole.

    Args:
        cluster: With its settings checked one by one.
        broken: The settings that did not pass that check, and so have a stand-in value.

    Yields:
        The path of the setting in the cluster, empty for the whole of it, and one plain sentence.
    """
    for rule in _RULES:
        if not rule.reads & broken:
            yield from rule.check(cluster)


def _identity(cluster: ClusterSection) -> Iterator[tuple[Path, str]]:
    if cluster.cluster_id and cluster.project_id:
        yield ("project_id",), "cannot be given together with cluster_id; keep one of them"
    elif cluster.project_id and not cluster.region_id:
        yield ("project_id",), "needs region_id beside it"
    elif cluster.region_id and not cluster.project_id:
        yield ("region_id",), "needs project_id beside it"


def _addressee(cluster: ClusterSection) -> Iterator[tuple[Path, str]]:
    if cluster.api == "v1" and not cluster.cluster_id:
        yield (), "needs cluster_id, because api is v1"
    elif is_zilliz(cluster.url) and not (cluster.cluster_id or cluster.project_id):
        yield (), "needs cluster_id, or project_id with region_id, because the url is one of Zilliz Cloud"


def _one_key(cluster: ClusterSection) -> Iterator[tuple[Path, str]]:
    if cluster.api_key and cluster.api_key_file:
        yield ("api_key_file",), "cannot be given together with api_key; keep one of them"


def _a_key(cluster: ClusterSection) -> Iterator[tuple[Path, str]]:
    if cluster.api_key or cluster.api_key_file:
        return
    if cluster.api == "v1":
        yield (), "needs api_key or api_key_file, because api is v1"
    elif cluster.api == "v2" and (cluster.cluster_id or cluster.project_id):
        which = "cluster_id" if cluster.cluster_id else "project_id"
        yield (), f"needs api_key or api_key_file, because {which} is given"


def _certificate(cluster: ClusterSection) -> Iterator[tuple[Path, str]]:
    if cluster.tls.key_file and not cluster.tls.cert_file:
        yield ("tls", "key_file"), "needs cert_file beside it"


def _trust(cluster: ClusterSection) -> Iterator[tuple[Path, str]]:
    if cluster.tls.insecure_skip_verify and cluster.tls.ca_file:
        yield ("tls", "insecure_skip_verify"), "cannot be true beside ca_file; keep one of them"


def _encryption(cluster: ClusterSection) -> Iterator[tuple[Path, str]]:
    tls = cluster.tls
    if (tls.ca_file or tls.cert_file or tls.key_file or tls.insecure_skip_verify) and cluster.url.startswith("http:"):
        yield ("tls",), "has no effect on an http:// url; use https:// or remove tls"


def is_zilliz(url: str) -> bool:
    """Return whether a URL is one of Zilliz Cloud."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    return any(host == domain or host.endswith(f".{domain}") for domain in ZILLIZ_DOMAINS)


_RULES: Final = (
    Rule(frozenset({"cluster_id", "project_id", "region_id"}), _identity),
    Rule(frozenset({"url", "api", "cluster_id", "project_id"}), _addressee),
    Rule(frozenset({"api_key", "api_key_file"}), _one_key),
    Rule(frozenset({"api_key", "api_key_file", "api", "cluster_id", "project_id"}), _a_key),
    Rule(frozenset({"tls"}), _certificate),
    Rule(frozenset({"tls"}), _trust),
    Rule(frozenset({"tls", "url"}), _encryption),
)
