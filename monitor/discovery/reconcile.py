"""Decides which of the listed clusters are watched, and under which names. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from pydantic import SecretStr, ValidationError

from monitor.config import ALL_DATABASES, Cluster, Discovery
from monitor.discovery.cluster_list import ClusterList, ListedCluster
from monitor.discovery.filters import excluded_by
from monitor.discovery.model import REMOVED, WITHOUT_KEY, DiscoveredCluster, WatchedCluster
from monitor.discovery.status import is_polled

MAX_LABEL: Final = 128
"""Characters of a name, as in the config file."""

ReadKey = Callable[[Path], SecretStr]
"""Returns the API key in a file; raises `ValueError`."""


class Decision(msgspec.Struct, frozen=True):
    """What becomes of a listed cluster: watched under a name, or not and why."""

    discovery: str
    listed: DiscoveredCluster  # the cluster as it was listed last
    watched: WatchedCluster | None  # how it is watched; None where it is not
    reason: str = ""  # why it is not watched, or not polled; empty where it is
    is_problem: bool = False  # whether it should be watched, and cannot be


class Plan(msgspec.Struct, frozen=True):
    """Which clusters are watched."""

    watched: tuple[WatchedCluster, ...]  # those under `clusters` first, then those of each discovery
    decisions: tuple[Decision, ...]  # one for each listed cluster
    lists: Mapping[str, ClusterList]  # those of the discoveries, by their names, with the names given to clusters


def reconcile(
    clusters: Sequence[Cluster],
    discoveries: Sequence[Discovery],
    lists: Mapping[str, ClusterList],
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
        lists: That of each discovery, by its name.
        now: Seconds since the epoch.
        read_key: Reads a key that an entry of a list names.
    """
    current = {discovery.name: lists.get(discovery.name, ClusterList()) for discovery in discoveries}
    static = {cluster.identity(): cluster.name for cluster in clusters}
    owners = _owners(discoveries, current)
    labels = _labels({cluster.name for cluster in clusters}, discoveries, current, owners, static)
    watched = [WatchedCluster(cluster) for cluster in clusters]
    decisions: list[Decision] = []
    for discovery in discoveries:
        decided, kept = _decide(discovery, current[discovery.name], static, owners, labels, now, read_key)
        decisions += decided
        watched += [decision.watched for decision in decided if decision.watched is not None]
        current[discovery.name] = replace(current[discovery.name], clusters=kept)
    return Plan(tuple(watched), tuple(decisions), current)


def _identity(cluster: DiscoveredCluster) -> str:
    """Return what `Cluster.identity` is going to be."""
    ids = [str(cluster.settings.get(key) or "") for key in ("cluster_id", "project_id", "region_id")]
    return "/".join(ids) if any(ids) else str(cluster.settings.get("url"))


def _owners(discoveries: Iterable[Discovery], lists: Mapping[str, ClusterList]) -> dict[str, str]:
    """Return of each cluster that may be watched, by identity, the discovery that it belongs to."""
    present: dict[str, str] = {}
    removed: dict[str, str] = {}
    for discovery in discoveries:
        for entry in lists[discovery.name].clusters.values():
            if not excluded_by(discovery, entry.listed):
                owners = present if entry.removed_at is None else removed
                owners.setdefault(_identity(entry.listed), discovery.name)
    return removed | present


def _labels(
    names: set[str],
    discoveries: Iterable[Discovery],
    lists: Mapping[str, ClusterList],
    owners: Mapping[str, str],
    static: Mapping[str, str],
) -> dict[str, str]:
    """Return the name of each cluster that may be watched, by identity."""
    labels: dict[str, str] = {}
    taken = set(names)
    unnamed: dict[str, DiscoveredCluster] = {}
    for discovery in discoveries:
        for entry in lists[discovery.name].clusters.values():
            identity = _identity(entry.listed)
            if entry.label and entry.label not in taken and identity not in labels:
                labels[identity] = entry.label
                taken.add(entry.label)
            elif owners.get(identity) == discovery.name:
                unnamed[identity] = entry.listed
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
    cluster_list: ClusterList,
    static: Mapping[str, str],
    owners: Mapping[str, str],
    labels: Mapping[str, str],
    now: float,
    read_key: ReadKey,
) -> tuple[list[Decision], dict[str, ListedCluster]]:
    """Return what becomes of each cluster of a discovery, and which of its entries are kept."""
    decisions: list[Decision] = []
    kept: dict[str, ListedCluster] = {}
    overrides = discovery.overrides()
    room = discovery.max_clusters
    for cluster_id, entry in cluster_list.clusters.items():
        listed, identity = entry.listed, _identity(entry.listed)
        label = labels.get(identity, "")
        reason = excluded_by(discovery, listed)
        watched, is_problem = None, False
        if not reason and identity in static:
            reason = f"listed under clusters as {static[identity]}"
        if not reason and owners[identity] != discovery.name:
            reason = f"found by the discovery {owners[identity]} as well, to which it belongs"
        if not reason and entry.removed_at is None and room == 0:
            reason, is_problem = f"beyond max_clusters ({discovery.max_clusters:,})", True
        if not reason:
            try:
                cluster = build(discovery, overrides, listed, label, read_key)
            except ValueError as error:
                reason, is_problem = f"its settings are not valid: {error}", True
            else:
                watched, reason = _watch(discovery, entry, cluster)
        if entry.removed_at is not None:
            retention = 0.0 if watched is None else watched.cluster.failed_retention
            if now >= entry.removed_at + retention:
                continue
        else:
            room -= watched is not None
        kept[cluster_id] = entry if entry.label == label else replace(entry, label=label or entry.label)
        decisions.append(Decision(discovery.name, listed, watched, reason, is_problem))
    return decisions + _listed_twice(discovery, cluster_list), kept


def _listed_twice(discovery: Discovery, cluster_list: ClusterList) -> list[Decision]:
    """Return what becomes of entries whose id another entry of their list has."""
    return [
        Decision(
            discovery.name,
            repeated,
            None,
            f"listed twice: the same cluster as {cluster_list.clusters[repeated.id].listed.name}",
        )
        for repeated in cluster_list.repeated
    ]


def _watch(discovery: Discovery, entry: ListedCluster, cluster: Cluster) -> tuple[WatchedCluster, str]:
    name, status = entry.listed.name, entry.listed.status
    if entry.removed_at is not None:
        return WatchedCluster(cluster, discovery.name, name, REMOVED, polled=False), "no longer listed"
    if entry.without_key:
        reason = "its key is not kept from one start to the next; it waits for the next list"
        return WatchedCluster(cluster, discovery.name, name, WITHOUT_KEY, polled=False), reason
    polled, missing = is_polled(status), entry.missing_since is not None
    watched = WatchedCluster(cluster, discovery.name, name, status, polled=polled, missing=missing)
    return watched, "" if polled else f"not polled: {status}"


def build(
    discovery: Discovery, overrides: Mapping[str, Any], listed: DiscoveredCluster, label: str, read_key: ReadKey
) -> Cluster:
    """Return a listed cluster with the settings of its entry, and else those of its discovery.

    Raises:
        ValueError: A setting of its entry is not valid, or the file with its key cannot be read.
    """
    settings = {**overrides, **listed.settings, "name": label}
    settings["labels"] = {**discovery.labels, **listed.settings.get("labels", {})}
    if tuple(settings.get("databases", ())) == ALL_DATABASES:
        settings["databases"] = "all"  # as it is written
    if str(settings.get("url", "")).startswith("http:"):
        settings.pop("tls", None)
    if {"api_key", "api_key_file"} & listed.settings.keys():
        for key in {"api_key", "api_key_file"} - listed.settings.keys():
            settings.pop(key, None)
    elif discovery.zilliz is not None:
        settings["api_key"], settings["api_key_file"] = discovery.zilliz.api_key, discovery.zilliz.api_key_file
    if listed.settings.get("api_key_file"):
        settings["api_key"] = read_key(Path(listed.settings["api_key_file"]))
    try:
        return Cluster.model_validate(settings)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, first["loc"]))
        message = str(first.get("ctx", {}).get("error") or first["msg"])
    raise ValueError(f"{key}: {message}" if key else message)
