"""Lists of clusters outside of the config file: in other files, and from an inventory in the network."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

from monitor.config.cluster import MAX_CLUSTERS, Cluster
from monitor.config.document import as_mapping, read_document
from monitor.config.errors import ConfigError
from monitor.config.loader import find_cluster_conflicts
from monitor.config.validation import Section, validate

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from monitor.config.document import Document
    from monitor.config.errors import Problem
    from monitor.config.files import LoadContext

_FILE_KEYS: Final = (("api_key_file",), ("tls", "ca_file"), ("tls", "cert_file"), ("tls", "key_file"))


class _ClusterList(Section):
    clusters: Annotated[tuple[Cluster, ...], Field(max_length=MAX_CLUSTERS)]


def parse_clusters(
    text: str, source: str, context: LoadContext | None, given: Collection[str] = ()
) -> tuple[Cluster, ...]:
    """Read a list of clusters from YAML or JSON: the list itself, or a mapping with it as `clusters`.

    Args:
        text: The list.
        source: Its name in messages.
        context: Directory and variables for a list in a file. None for one from the network: it names no files, and
            `${` has no meaning in it.
        given: Keys that all of the clusters have from elsewhere.

    Raises:
        ConfigError: With everything that is wrong, up to a bound; without secrets.
    """
    environ = None if context is None else context.environ
    needs = "a list of clusters"
    try:
        document = read_document(text, source, environ, needs, "clusters")
    except ConfigError:
        as_yaml = _json_as_yaml(text)
        if as_yaml is None:
            raise
        document = read_document(as_yaml, source, environ, needs, "clusters")

    def find_conflicts(document: Document) -> Iterator[Problem]:
        yield from find_cluster_conflicts(document, frozenset(given))
        if context is None:
            yield from _files_named(document)

    return validate(document, _ClusterList, context, find_conflicts).clusters


def _files_named(document: Document) -> Iterator[Problem]:
    """Yield the settings of a list from the network that name files of this machine."""
    clusters = document.data.get("clusters")
    for index, item in enumerate(clusters if isinstance(clusters, list) else ()):
        for path in _FILE_KEYS:
            section: Any = as_mapping(item)
            for key in path[:-1]:
                section = as_mapping(section.get(key))
            if path[-1] in section:
                yield ("clusters", index, *path), "is not allowed in a list from the network"


def _json_as_yaml(text: str) -> str | None:
    """Return JSON in the form that is YAML as well, without tabs and escaped pairs; None where it is no JSON."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=1)
    except (ValueError, RecursionError):
        return None
