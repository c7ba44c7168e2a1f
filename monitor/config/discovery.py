"""Settings of discoveries: where clusters are listed, which of them are watched, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import Field, SecretStr, ValidationInfo, model_validator

from monitor.config import setting_types as types
from monitor.config.cluster import (
    MAX_CLUSTERS,
    MAX_DURATION,
    MIN_INTERVAL,
    PUBLIC_PASSWORD,
    Cluster,
    JobSettings,
    PollSettings,
    Tls,
    key_conflicts,
)
from monitor.config.document import as_mapping
from monitor.config.labels import Labels
from monitor.config.setting_types import Seconds
from monitor.config.validation import Section
from monitor.redaction import secrets_in_query

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


class Inventory(KeySettings):
    """A URL that lists clusters."""

    url: types.InventoryUrl
    """URL of a list of clusters as in `clusters`, in JSON or YAML."""
    api_key: types.Secret = SecretStr("")
    """A key that the inventory requires, sent as a bearer token."""
    tls: Tls = Tls()
    """TLS for the connection to the inventory."""


_Filters = Annotated[tuple[ClusterFilter, ...], Field(max_length=types.MAX_ITEMS)]


class DiscoverySettings(KeySettings):
    """Where clusters are found, and which of them are watched."""

    name: types.Name
    """Unique; the value of the label `discovery`. By default zilliz, files or http, and zilliz-2 for a second one."""
    zilliz: ZillizAccount | None = None
    """Watch the clusters that an API key of Zilliz Cloud sees."""
    files: Annotated[tuple[types.FileGlob, ...] | None, Field(min_length=1, max_length=types.MAX_ITEMS)] = None
    """Watch the clusters in files: paths or globs, each file with a list of clusters as in `clusters`."""
    http: Inventory | None = None
    """Watch the clusters that a URL lists."""
    include: _Filters = ()
    """Watch only the clusters that match an entry of this list."""
    exclude: _Filters = ()
    """Do not watch the clusters that match an entry of this list, even if they match include."""
    max_clusters: int = Field(default=1000, ge=1, le=MAX_CLUSTERS)
    """Maximum number of clusters that are watched; those found first stay."""
    api_key: types.Secret = SecretStr("")
    """The key of clusters that are listed without one, in files or by http."""
    databases: types.Databases = ()
    """The databases to list in each cluster, or `all`; without it, whatever the server lists by default."""
    labels: Labels = Field(default={}, validate_default=True)
    """Own labels of its clusters, such as {team: search}; a cluster in a file or a list can have more."""
    tls: Tls = Tls()
    """TLS for the connections to its clusters, as far as their url is https, and to the API of zilliz."""
    poll_interval: Seconds = Field(default="30s", ge=MIN_INTERVAL, le=MAX_DURATION, validate_default=True)
    """Time from one poll of a cluster to the next. Overrides poll.interval."""


class Discovery(JobSettings, PollSettings, DiscoverySettings):  # pydantic puts the fields of the last base first
    """Clusters to watch that are found; any key of `jobs`, and of `poll` except `concurrency`, can be overridden."""

    interval: Seconds = Field(default="5m", ge=MIN_INTERVAL, le=MAX_DURATION, validate_default=True)
    """Time from one list of its clusters to the next; poll_interval is that of polls."""

    @property
    def kind(self) -> str:
        """What lists its clusters: `zilliz`, `files` or `http`."""
        return "zilliz" if self.zilliz else "files" if self.files else "http"

    def overrides(self) -> dict[str, Any]:
        """Return the settings of a cluster that it decides, unless the cluster's own entry does."""
        names = self.model_fields_set & Cluster.model_fields.keys()
        settings = {name: getattr(self, name) for name in names - {"name", "interval"}}
        if "poll_interval" in self.model_fields_set:
            settings["interval"] = self.poll_interval
        return settings

    def secrets(self) -> frozenset[str]:
        """Return its keys, and those in the URL of an inventory; see `Config.secrets`."""
        keys = {section.api_key.get_secret_value() for section in (self, self.zilliz, self.http) if section}
        passwords = {key.partition(":")[2] for key in keys}
        in_url = secrets_in_query(self.http.url) if self.http else frozenset[str]()
        return frozenset(keys | in_url | passwords - {PUBLIC_PASSWORD})


def kind_of(item: Mapping[str, Any]) -> str:
    """Return the kind of an entry of `discovery`, after which it is named."""
    return next((kind for kind in KINDS if kind in item), "discovery")


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
    yield from key_conflicts(item)
    for kind in ("zilliz", "http"):
        for path, text in key_conflicts(as_mapping(item.get(kind))):
            yield (kind, *path), text
    yield from _empty_filters(item)


def _empty_filters(item: Mapping[str, Any]) -> Iterator[Problem]:
    for key in ("include", "exclude"):
        entries = item.get(key)
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if entry is None or entry == {}:
                yield (key, index), "needs at least one of name, project, region, plan, id"
