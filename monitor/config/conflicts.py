"""Conflicts between settings, found in the file as it is written, so that an invalid setting hides none of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from monitor.config.document import Document
    from monitor.config.errors import Problem

_ZILLIZ: Final = re.compile(
    r"https?://([^/]+\.)?(zilliz\.com|zilliz\.com\.cn|zillizcloud\.com)\.?(:[0-9]+)?(/.*)?", re.IGNORECASE
)
"""URLs of Zilliz Cloud, whose API serves many clusters and needs the id of one."""


def find_conflicts(document: Document) -> Iterator[Problem]:
    """Yield the conflicts between the settings of a config file."""
    if {"url", "url_file"} <= as_mapping(document.data.get("state")).keys():
        yield ("state", "url_file"), "cannot be combined with url; remove one of them"
    lines: dict[str, int] = {}
    clusters = document.data.get("clusters")
    for index, item in enumerate(clusters if isinstance(clusters, list) else ()):
        cluster = as_mapping(item)
        for inner, text in _cluster_conflicts(cluster):
            yield ("clusters", index, *inner), text
        name, path = cluster.get("name"), ("clusters", index, "name")
        if isinstance(name, str) and name in lines:
            yield path, f"must be unique, and is already given on line {lines[name]}"
        elif isinstance(name, str):
            lines[name] = document.line(path)


def as_mapping(value: Any) -> Mapping[str, Any]:
    """Return a section as it is written, or an empty mapping if it is not a mapping."""
    return value if isinstance(value, dict) else {}


def _cluster_conflicts(cluster: Mapping[str, Any]) -> Iterator[Problem]:
    api, url = str(cluster.get("api", "v2")), str(cluster.get("url"))
    identity = next((key for key in ("cluster_id", "project_id") if key in cluster), "")
    if {"cluster_id", "project_id"} <= cluster.keys():
        yield ("project_id",), "cannot be combined with cluster_id; remove one of them"
    elif "project_id" in cluster and "region_id" not in cluster:
        yield ("project_id",), "needs region_id as well"
    elif "region_id" in cluster and "project_id" not in cluster:
        yield ("region_id",), "needs project_id as well"
    if api == "v1" and "cluster_id" not in cluster:
        yield (), "needs cluster_id, because api is v1"
    elif _ZILLIZ.fullmatch(url) and not identity:
        yield (), "needs cluster_id, or project_id with region_id, because the url is one of Zilliz Cloud"
    reason = {"v1": "api is v1", "v2": identity and f"{identity} is given"}.get(api)
    if reason and not {"api_key", "api_key_file"} & cluster.keys():
        yield (), f"needs api_key or api_key_file, because {reason}"
    if {"api_key", "api_key_file"} <= cluster.keys():
        yield ("api_key_file",), "cannot be combined with api_key; remove one of them"
    tls = as_mapping(cluster.get("tls"))
    if "key_file" in tls and "cert_file" not in tls:
        yield ("tls", "key_file"), "needs cert_file as well"
