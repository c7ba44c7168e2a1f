"""Decides which of the clusters found are watched, and under which names. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from pydantic import SecretStr, ValidationError

from monitor.config import ALL_DATABASES, Cluster, ClusterFilter, Discovery
from monitor.discovery.known import KnownCluster, KnownList
from monitor.discovery.model import DiscoveredCluster
from monitor.discovery.status import is_polled

REMOVED: Final = "removed"
"""The status of a cluster that was removed, while its failures are still shown."""

WITHOUT_KEY: Final = "without key"
"""The status of a cluster whose key is not known after a start, until it is listed again; its failures are shown."""

MAX_LABEL: Final = 128
"""Characters of a name, as in the config file."""

ReadKey = Callable[[Path], SecretStr]
"""Returns the API key in a file; raises `ValueError`."""


class WatchedCluster(msgspec.Struct, frozen=True):
    """A cluster to watch, and where it comes from.

    Attributes:
        discovery: The name of its discovery; empty where it is listed under `clusters`.
        source_name: Its name at the source, which may have changed since it was found; empty under `clusters`.
        status: Its status in the source's words, or `removed` or `without key`; empty where the source says none.
        polled: Whether it is polled: not while it is suspended, stopped, being deleted, removed, or without its key.
        missing: Whether the latest list of its discovery lacks it, and it is not removed yet.
    """

    cluster: Cluster
    discovery: str = ""
    source_name: str = ""
    status: str = ""
    polled: bool = True
    missing: bool = False

    @property
    def shows_failures(self) -> bool:
        """Whether its failures are shown while it is not polled: it has gone only from the list, or for a moment."""
        return self.status in {REMOVED, WITHOUT_KEY}


class DiscoveryStatus(msgspec.Struct, frozen=True):
    """How a discovery is doing.

    Attributes:
        up: Whether its latest list was complete; None before the first attempt.
        clusters: Clusters of it that are watched, those that are not polled included.
        last_success: When its latest complete list came, in seconds since the epoch; None where there is none.
    """

    up: bool | None
    clusters: int
    last_success: float | None


class Decision(msgspec.Struct, frozen=True):
    """What becomes of a cluster that was found: watched under a name, or not and why.

    Attributes:
        discovery: The name of its discovery.
        found: The cluster as it was listed last.
        watched: How it is watched; None where it is not.
        reason: Why it is not watched, or not polled; empty where it is.
        is_problem: Whether it should be watched, and cannot be.
    """

    discovery: str
    found: DiscoveredCluster
    watched: WatchedCluster | None
    reason: str = ""
    is_problem: bool = False


class Plan(msgspec.Struct, frozen=True):
    """Which clusters are watched.

    Attributes:
        watched: Those under `clusters` first, then those of each discovery.
        decisions: One for each cluster found.
        lists: What is known, by the names of the discoveries, with the names given to clusters.
    """

    watched: tuple[WatchedCluster, ...]
    decisions: tuple[Decision, ...]
    lists: Mapping[str, KnownList]


def reconcile(
    clusters: Sequence[Cluster],
    discoveries: Sequence[Discovery],
    lists: Mapping[str, KnownList],
    now: float,
    read_key: ReadKey,
) -> Plan:
    """Decide which clusters are watched.

    What stands under `clusters` wins; a cluster of two discoveries belongs to the first that has not removed it, so
    that a list which lacks it for a moment changes none of its settings and labels. A cluster keeps the name it was
    first watched under; a new one gets its own, with its id where another has that name.

    Args:
        clusters: Those under `clusters`.
        discoveries: Those of the config.
        lists: What is known of each discovery, by its name.
        now: Seconds since the epoch.
        read_key: Reads a key that an entry of a list names.
    """
    known = {discovery.name: lists.get(discovery.name, KnownList()) for discovery in discoveries}
    static = {cluster.identity(): cluster.name for cluster in clusters}
    owners = _owners(discoveries, known)
    labels = _labels({cluster.name for cluster in clusters}, discoveries, known, owners, static)
    watched = [WatchedCluster(cluster) for cluster in clusters]
    decisions: list[Decision] = []
    for discovery in discoveries:
        decided, kept = _decide(discovery, known[discovery.name], static, owners, labels, now, read_key)
        decisions += decided
        watched += [decision.watched for decision in decided if decision.watched is not None]
        known[discovery.name] = replace(known[discovery.name], clusters=kept)
    return Plan(tuple(watched), tuple(decisions), known)


def excluded_by(discovery: Discovery, cluster: DiscoveredCluster) -> str:
    """Return why the filters of a discovery leave a cluster out; empty where they do not."""
    for number, entry in enumerate(discovery.exclude):
        if matches(entry, cluster):
            return f"excluded by exclude[{number}] ({_written(entry)})"
    if discovery.include and not included_by(discovery, cluster):
        return "matches no entry of include"
    return ""


def included_by(discovery: Discovery, cluster: DiscoveredCluster) -> str:
    """Return which entry of `include` a cluster matches; empty where there is none, or no `include`."""
    for number, entry in enumerate(discovery.include):
        if matches(entry, cluster):
            return f"included by include[{number}] ({_written(entry)})"
    return ""


def matches(entry: ClusterFilter, cluster: DiscoveredCluster) -> bool:
    """Return whether a cluster matches all globs of an entry."""
    facts = {"project": (cluster.project, cluster.project_id)}
    return all(
        any(fnmatchcase(fact, pattern) for fact in facts.get(key, (getattr(cluster, key),)))
        for key, pattern in entry.patterns().items()
    )


def _written(entry: ClusterFilter) -> str:
    return ", ".join(f"{key}: {pattern}" for key, pattern in entry.patterns().items())


def _identity(cluster: DiscoveredCluster) -> str:
    """Return what `Cluster.identity` is going to be."""
    ids = [str(cluster.settings.get(key) or "") for key in ("cluster_id", "project_id", "region_id")]
    return "/".join(ids) if any(ids) else str(cluster.settings.get("url"))


def _owners(discoveries: Iterable[Discovery], lists: Mapping[str, KnownList]) -> dict[str, str]:
    """Return of each cluster that may be watched, by identity, the discovery that it belongs to."""
    present: dict[str, str] = {}
    removed: dict[str, str] = {}
    for discovery in discoveries:
        for known in lists[discovery.name].clusters.values():
            if not excluded_by(discovery, known.listed):
                found = present if known.removed_at is None else removed
                found.setdefault(_identity(known.listed), discovery.name)
    return removed | present


def _labels(
    names: set[str],
    discoveries: Iterable[Discovery],
    lists: Mapping[str, KnownList],
    owners: Mapping[str, str],
    static: Mapping[str, str],
) -> dict[str, str]:
    """Return the name of each cluster that may be watched, by identity."""
    labels: dict[str, str] = {}
    taken = set(names)
    unnamed: dict[str, DiscoveredCluster] = {}
    for discovery in discoveries:
        for known in lists[discovery.name].clusters.values():
            identity = _identity(known.listed)
            if known.label and known.label not in taken and identity not in labels:
                labels[identity] = known.label
                taken.add(known.label)
            elif owners.get(identity) == discovery.name:
                unnamed[identity] = known.listed
    for identity, cluster in sorted(unnamed.items()):  # not in the order of the list, which may change
        if identity not in labels and identity not in static:
            labels[identity] = _free_name(cluster, taken)
            taken.add(labels[identity])
    return labels


def _free_name(cluster: DiscoveredCluster, taken: set[str]) -> str:
    """Return a cluster's name, or else its name and id, that no other cluster has."""
    name = "".join(filter(str.isprintable, cluster.name)).strip()
    suffix = "".join(filter(str.isprintable, cluster.id)).strip()[-MAX_LABEL // 2 :]
    candidate = (name or suffix)[:MAX_LABEL].strip()
    number = 1
    while not candidate or candidate in taken:
        ending = f"-{suffix}" if number == 1 else f"-{suffix}-{number}"
        candidate = f"{name[: MAX_LABEL - len(ending)].strip()}{ending}".strip()
        number += 1
    return candidate


def _decide(
    discovery: Discovery,
    known_list: KnownList,
    static: Mapping[str, str],
    owners: Mapping[str, str],
    labels: Mapping[str, str],
    now: float,
    read_key: ReadKey,
) -> tuple[list[Decision], dict[str, KnownCluster]]:
    """Return what becomes of each cluster of a discovery, and what stays known of them."""
    decisions: list[Decision] = []
    kept: dict[str, KnownCluster] = {}
    overrides = discovery.overrides()
    room = discovery.max_clusters
    for cluster_id, known in known_list.clusters.items():
        found, identity = known.listed, _identity(known.listed)
        label = labels.get(identity, "")
        reason = excluded_by(discovery, found)
        watched, is_problem = None, False
        if not reason and identity in static:
            reason = f"listed under clusters as {static[identity]}"
        if not reason and owners[identity] != discovery.name:
            reason = f"found by the discovery {owners[identity]} as well, to which it belongs"
        if not reason and known.removed_at is None and room == 0:
            reason, is_problem = f"beyond max_clusters ({discovery.max_clusters:,})", True
        if not reason:
            try:
                cluster = build(discovery, overrides, found, label, read_key)
            except ValueError as error:
                reason, is_problem = f"its settings are not valid: {error}", True
            else:
                watched, reason = _watch(discovery, known, cluster)
        if known.removed_at is not None:
            retention = 0.0 if watched is None else watched.cluster.failed_retention
            if now >= known.removed_at + retention:
                continue
        else:
            room -= watched is not None
        kept[cluster_id] = known if known.label == label else replace(known, label=label or known.label)
        decisions.append(Decision(discovery.name, found, watched, reason, is_problem))
    return decisions + _listed_twice(discovery, known_list), kept


def _listed_twice(discovery: Discovery, known_list: KnownList) -> list[Decision]:
    """Return what becomes of entries whose id another entry of their list has."""
    return [
        Decision(
            discovery.name,
            found,
            None,
            f"listed twice: the same cluster as {known_list.clusters[found.id].listed.name}",
        )
        for found in known_list.repeated
    ]


def _watch(discovery: Discovery, known: KnownCluster, cluster: Cluster) -> tuple[WatchedCluster, str]:
    name, status = known.listed.name, known.listed.status
    if known.removed_at is not None:
        return WatchedCluster(cluster, discovery.name, name, REMOVED, polled=False), "no longer listed"
    if known.without_key:
        reason = "its key is not kept from one start to the next; it waits for the next list"
        return WatchedCluster(cluster, discovery.name, name, WITHOUT_KEY, polled=False), reason
    polled, missing = is_polled(status), known.missing_since is not None
    watched = WatchedCluster(cluster, discovery.name, name, status, polled=polled, missing=missing)
    return watched, "" if polled else f"not polled: {status}"


def build(
    discovery: Discovery, overrides: Mapping[str, Any], found: DiscoveredCluster, label: str, read_key: ReadKey
) -> Cluster:
    """Return a cluster that was found with the settings of its entry, and else those of its discovery.

    Raises:
        ValueError: A setting of its entry is not valid, or the file with its key cannot be read.
    """
    settings = {**overrides, **found.settings, "name": label}
    settings["labels"] = {**discovery.labels, **found.settings.get("labels", {})}
    if tuple(settings.get("databases", ())) == ALL_DATABASES:
        settings["databases"] = "all"  # as it is written
    if str(settings.get("url", "")).startswith("http:"):
        settings.pop("tls", None)
    if {"api_key", "api_key_file"} & found.settings.keys():
        for key in {"api_key", "api_key_file"} - found.settings.keys():
            settings.pop(key, None)
    elif discovery.zilliz is not None:
        settings["api_key"], settings["api_key_file"] = discovery.zilliz.api_key, discovery.zilliz.api_key_file
    if found.settings.get("api_key_file"):
        settings["api_key"] = read_key(Path(found.settings["api_key_file"]))
    try:
        return Cluster.model_validate(settings)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, first["loc"]))
        message = str(first.get("ctx", {}).get("error") or first["msg"])
    raise ValueError(f"{key}: {message}" if key else message)
