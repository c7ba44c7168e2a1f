"""The settings of the config file, each with its kind, default and description.

The frozen models are the settings that the rest of the program uses. The JSON Schema, the table in
docs/configuration.md and the messages about unknown keys follow from them.
"""

from __future__ import annotations

from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, InstanceOf, ValidationInfo, model_validator

from monitor.config import setting_types as types
from monitor.config.cluster import MAX_CLUSTERS, MAX_DURATION, MIN_DURATION, Cluster, JobSettings, PollSettings
from monitor.config.discovery import MAX_DISCOVERIES, Discovery, KeySettings, kind_of
from monitor.config.expectations import MAX_EXPECTATIONS, Expectation, collection_of
from monitor.config.setting_types import Seconds
from monitor.config.validation import Section
from monitor.config.web_config import WebConfig, load_web
from monitor.redaction import password_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from monitor.config.files import LoadContext

LogFormat: TypeAlias = Literal["auto", "json", "logfmt", "console"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]

MAX_WARNINGS: Final = 20
"""Warnings that are spelled out: a template can repeat the same one for every cluster."""

MIN_TAKEOVER: Final = 5.0
"""Seconds. A shorter time would take a busy machine or network for a dead one: monitors are heard of every second."""

MAX_TAKEOVER: Final = 600.0
MAX_CONCURRENCY: Final = 512


class LogSection(Section):
    """What is logged, and how."""

    format: LogFormat = "auto"
    """`json` or `logfmt` for programs, `console` for people; `auto` is console on a terminal and json elsewhere."""
    level: LogLevel = "info"
    """The lowest level that is logged."""


class StateSection(Section):
    """Where the state is stored, and for how long."""

    url: types.StateUrl = Field(default="sqlite:///state.db", validate_default=True)
    """sqlite:/// and a path, postgresql://user:password@host/database (or postgres://), or `memory://`: not kept."""
    url_file: types.StateFile = None
    """A file that contains the URL, instead of url; white space around it is ignored."""
    retention: Seconds = Field(default="30d", ge=MIN_DURATION, le=MAX_DURATION, validate_default=True)
    """Time for which recorded transitions are kept."""

    @model_validator(mode="after")
    def _read_file(self, info: ValidationInfo) -> Self:
        if self.url_file is None or info.context is None:
            return self
        url = types.resolve_state(info.context.read(self.url_file, types.state_of), info)
        return self.model_copy(update={"url": url})


class ReplicasSection(Section):
    """How monitors share the clusters, all those whose `state` is in one PostgreSQL database."""

    takeover: Seconds = Field(default="8s", ge=MIN_TAKEOVER, le=MAX_TAKEOVER, validate_default=True)
    """Time after which the others take over the clusters of a monitor that hangs or is cut off; a dead one: 4s."""


class PollSection(PollSettings):
    """How clusters are polled; each cluster can override everything except `concurrency`."""

    concurrency: int = Field(default=32, ge=1, le=MAX_CONCURRENCY)
    """Maximum number of polls that run at the same time."""


def _web_config(value: Any, info: ValidationInfo) -> Any:
    context: Any = info.context
    return load_web(context.resolve(value), context.environ) if isinstance(value, str) and value else value


def _list_of(
    what: str, first_key: str, limit: int, complete: Callable[[list[Any], ValidationInfo], list[Any]]
) -> BeforeValidator:
    """Require a list of at most so many entries, and complete them; a key without a value is an empty list."""

    def check(value: Any, info: ValidationInfo) -> Any:
        if value is None:
            return ()
        if isinstance(value, str | dict):
            raise ValueError(f"must be a list of {what} (- {first_key}: …)")  # noqa: TRY004  # for pydantic
        if not isinstance(value, list):
            return value
        if len(value) > limit:
            raise ValueError(f"lists {len(value):,} {what}; at most {limit:,} are allowed")
        return complete(value, info)

    return BeforeValidator(check)


def _inherit(items: list[Any], info: ValidationInfo) -> list[Any]:
    """Give each cluster what the file sets in `poll` and `jobs`, unless the cluster overrides it."""
    shared = _shared(info)
    return [shared | item if isinstance(item, dict) else item for item in items]


def _inherit_discovery(items: list[Any], info: ValidationInfo) -> list[Any]:
    """Give each discovery a name, and what the file sets in `poll` and `jobs`, unless it overrides it."""
    shared = _shared(info)
    if "interval" in shared:
        shared["poll_interval"] = shared.pop("interval")
    return [shared | item if isinstance(item, dict) else item for item in _named(items, kind_of)]


def _shared(info: ValidationInfo) -> dict[str, Any]:
    """Return what `poll` and `jobs` set for all clusters."""
    return {
        name: getattr(section, name)
        for section in (info.data.get("poll"), info.data.get("jobs"))
        if section is not None
        for name in section.model_fields_set & Cluster.model_fields.keys()
    }


def _named(items: list[Any], base_of: Callable[[Mapping[str, Any]], str]) -> list[Any]:
    """Return entries with those without a name named after something of theirs: nightly, nightly-2 for a second one."""
    names = {str(item.get("name")) for item in items if isinstance(item, dict)}
    named = []
    for item in items:
        entry = item
        if isinstance(item, dict) and "name" not in item:
            base = base_of(item)
            candidates = chain([base], (f"{base}-{number}" for number in count(2)))
            entry = item | {"name": next(name for name in candidates if name not in names)}
            names.add(entry["name"])
        named.append(entry)
    return named


class Config(Section):
    """Config of milvus-import-monitor. Durations are written 500ms, 30s, 1h30m or 2d; ${NAME} is a variable."""

    listen: types.Listen = Field(default="127.0.0.1:19595", validate_default=True)
    """Address of the monitor's pages and metrics: host:port, or :port for all interfaces; port 0 is any free one."""
    web: Annotated[InstanceOf[WebConfig], BeforeValidator(_web_config), types.TEXT] = Field(
        default_factory=WebConfig, alias="web_config"
    )
    """A file with TLS, basic auth and headers for these pages, in the format of Prometheus' exporter-toolkit."""
    external_url: types.ExternalUrl = ""
    """Where a reverse proxy serves these pages, such as https://ops.example/imports/: for their links."""
    log: LogSection = LogSection()
    """Format and level of the log."""
    state: StateSection = Field(default={}, validate_default=True)
    """Where the state is stored."""
    replicas: ReplicasSection = ReplicasSection()
    """How several monitors share the clusters, with the state on PostgreSQL; the same for each of them."""
    poll: PollSection = PollSection()
    """How clusters are polled, unless a cluster overrides it."""
    jobs: JobSettings = JobSettings()
    """When jobs are in trouble, unless a cluster overrides it."""
    clusters: Annotated[tuple[Cluster, ...], _list_of("clusters", "name", MAX_CLUSTERS, _inherit)] = Field(
        default=(), json_schema_extra={"maxItems": MAX_CLUSTERS}
    )
    """The clusters to watch; may be left out if there is a discovery."""
    discovery: Annotated[
        tuple[Discovery, ...], _list_of("discoveries", "zilliz", MAX_DISCOVERIES, _inherit_discovery)
    ] = Field(default=(), json_schema_extra={"maxItems": MAX_DISCOVERIES})
    """Where more clusters are found: those of a Zilliz Cloud key, in files, or at a URL."""
    expectations: Annotated[
        tuple[Expectation, ...],
        _list_of("expectations", "collection", MAX_EXPECTATIONS, lambda items, _: _named(items, collection_of)),
    ] = Field(default=(), json_schema_extra={"maxItems": MAX_EXPECTATIONS})
    """Expected imports: late and missed ones are reported."""

    _path: Path | None = None

    def model_post_init(self, context: LoadContext | None, /) -> None:
        """Remember the file."""
        self._path = context.path if context else None

    @property
    def path(self) -> Path | None:
        """The file that the config was read from; None when it was not read from a file."""
        return self._path

    def warnings(self) -> list[str]:
        """Return one sentence for each setting that is used in another way than it is written, up to a bound."""
        sections: list[tuple[str, Cluster | KeySettings | None]] = []
        sections += [(f"clusters[{index}]", cluster) for index, cluster in enumerate(self.clusters)]
        for index, discovery in enumerate(self.discovery):
            path = f"discovery[{index}]"
            sections += [(path, discovery), (f"{path}.zilliz", discovery.zilliz), (f"{path}.http", discovery.http)]
        texts = [
            f"{self.path or 'config'}: {path}.{'api_key_file' if section.api_key_file else 'api_key'}: "
            "the key is used without the word Bearer before it; write the key alone"
            for path, section in sections
            if section and isinstance(section.api_key, types.BearerKey)
        ]
        if len(texts) > MAX_WARNINGS:
            texts[MAX_WARNINGS:] = [
                f"{self.path or 'config'}: and {len(texts) - MAX_WARNINGS} more keys with the word Bearer"
            ]
        return texts

    def secrets(self) -> frozenset[str]:
        """Return every text to redact.

        That is each API key and, of a key that is `user:password`, the password too, the database's password, and each
        user's password hash.
        """
        keys = {secret for cluster in self.clusters for secret in cluster.secrets()}
        keys |= {secret for discovery in self.discovery for secret in discovery.secrets()}
        hashes = {password_hash for _, password_hash in self.web.users}
        return password_of(self.state.url.get_secret_value()) | keys | hashes
