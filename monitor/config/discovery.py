"""Settings of discoveries that need none of a cluster's: which account, and which of the clusters found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

from pydantic import Field, SecretStr, ValidationInfo, model_validator

from monitor.config import setting_types as types
from monitor.config.document import as_mapping
from monitor.config.validation import Section

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from monitor.config.errors import Problem

MAX_DISCOVERIES: Final = 100
"""Discoveries in one config: each has a thread of its own."""

KINDS: Final = ("zilliz", "files", "http")
"""The sources of a discovery, of which it has exactly one."""


class KeySettings(Section):
    """A key, as text or in a file."""

    api_key: types.Secret = SecretStr("")
    """The key; best taken from the environment."""
    api_key_file: types.SecretFile = None
    """A file that contains the key, instead of api_key; white space around it is ignored."""

    @model_validator(mode="after")
    def _read_key(self, info: ValidationInfo) -> Self:
        if self.api_key_file is None or info.context is None:
            return self
        return self.model_copy(update={"api_key": info.context.read(self.api_key_file, types.secret_of)})


class ZillizAccount(KeySettings):
    """An API key of Zilliz Cloud, whose clusters are found."""

    api_key: types.Secret = SecretStr("")
    """The API key: its clusters are found and polled with it; best taken from the environment: ${ZILLIZ_API_KEY}."""
    url: types.Url = "https://api.cloud.zilliz.com"
    """Base URL of the API, such as https://api.cloud.zilliz.com.cn for Zilliz Cloud in China."""
    on_demand: bool = False
    """Find on-demand clusters as well: one cluster for each project and region that has some."""


class ClusterFilter(Section):
    """Which clusters match an entry of include or exclude: all of its globs have to match."""

    name: types.Name = ""
    """A glob for the name, such as prod-*."""
    project: types.Name = ""
    """A glob for the name or the id of the project."""
    region: types.Name = ""
    """A glob for the id of the region."""
    plan: types.Name = ""
    """A glob for the plan."""
    id: types.Name = ""
    """A glob for the id: of the cluster, or its URL if it has none."""

    def patterns(self) -> dict[str, str]:
        """Return the globs by key."""
        return {key: getattr(self, key) for key in type(self).model_fields if key in self.model_fields_set}


def name_discoveries(items: list[Any]) -> list[Any]:
    """Return the entries of `discovery`, those without a name named after their kind: zilliz, zilliz-2, files."""
    names = {item.get("name") for item in items if isinstance(item, dict)}
    named = []
    for item in items:
        if isinstance(item, dict) and "name" not in item:
            kind = next((kind for kind in KINDS if kind in item), "discovery")
            candidates = (
                kind if number == 1 else f"{kind}-{number}" for number in range(1, len(items) + len(names) + 2)
            )
            name = next(name for name in candidates if name not in names)
            names.add(name)
            named.append(item | {"name": name})
        else:
            named.append(item)
    return named


def discovery_conflicts(item: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the conflicts between the settings of one discovery, as they are written."""
    kinds = [kind for kind in KINDS if kind in item]
    if not kinds:
        yield (), "needs one of zilliz, files, http: where its clusters are listed"
    for kind in kinds[1:]:
        yield (kind,), f"cannot be combined with {kinds[0]}; make it a discovery of its own"
    if "zilliz" in item:
        if not {"api_key", "api_key_file"} & as_mapping(item["zilliz"]).keys():
            yield ("zilliz",), "needs api_key or api_key_file"
        for key in {"api_key", "api_key_file"} & item.keys():
            yield (key,), "belongs in zilliz: the account's key is that of its clusters, too"
    for path in ((), ("zilliz",), ("http",)):
        section = as_mapping(item.get(path[0])) if path else item
        if {"api_key", "api_key_file"} <= section.keys():
            yield (*path, "api_key_file"), "cannot be combined with api_key; remove one of them"
        tls = as_mapping(section.get("tls"))
        if "key_file" in tls and "cert_file" not in tls:
            yield (*path, "tls", "key_file"), "needs cert_file as well"
    yield from _empty_filters(item)


def _empty_filters(item: Mapping[str, Any]) -> Iterator[Problem]:
    for key in ("include", "exclude"):
        entries = item.get(key)
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if entry is None or entry == {}:
                yield (key, index), "needs at least one of name, project, region, plan, id"


Filters = tuple[ClusterFilter, ...]
FILTERS: Final = Field(default=(), max_length=types.MAX_ITEMS)
