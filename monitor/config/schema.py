"""All settings of the config file, each with its kind, default and description.

The frozen models are the settings that the rest of the program uses. The JSON Schema, the table in
docs/configuration.md and the messages about unknown keys follow from them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, InstanceOf, SecretStr, ValidationInfo, field_validator, model_validator

from monitor.config import setting_types as types
from monitor.config.discovery import FILTERS, MAX_DISCOVERIES, Filters, KeySettings, ZillizAccount, name_discoveries
from monitor.config.expectations import MAX_EXPECTATIONS, Expectation, name_expectations
from monitor.config.labels import Labels
from monitor.config.setting_types import Seconds
from monitor.config.validation import Section
from monitor.config.web_config import WebConfig, load_web
from monitor.redaction import password_of, secrets_in_query

if TYPE_CHECKING:
    from monitor.config.files import LoadContext

Api: TypeAlias = Literal["v2", "v1", "milvus-2.3"]
LogFormat: TypeAlias = Literal["auto", "json", "logfmt", "console"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]

MAX_WARNINGS: Final = 20
"""Warnings that are spelled out: a template can repeat the same one for every cluster."""

MAX_CLUSTERS: Final = 20_000
"""Clusters in one file; one process polls fewer, see the rate of an API key."""

MIN_INTERVAL: Final = 0.1
"""Seconds. Anything shorter polls faster than a server on the same machine answers."""

MIN_DURATION: Final = 0.001
MAX_TIMEOUT: Final = 600.0
"""Seconds. A request that takes longer would block a polling thread for nothing."""

MAX_DURATION: Final = 366 * 86_400.0
MIN_TAKEOVER: Final = 5.0
"""Seconds. A shorter time would take a busy machine or network for a dead one: monitors are heard of every second."""

MAX_TAKEOVER: Final = 600.0
MAX_PAGE_SIZE: Final = 100  # the API's own limit: import-api, pageSize 1-100
MAX_CONCURRENCY: Final = 512
MAX_RATE: Final = 10_000
MAX_SERIES: Final = 1_000_000

PUBLIC_PASSWORD: Final = "Milvus"  # noqa: S105 - it is no secret
"""The default password of every Milvus is in its documentation; masking it would mask the product's name."""


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


class PollSettings(Section):
    """How a cluster is polled."""

    interval: Seconds = Field(default="30s", ge=MIN_INTERVAL, le=MAX_DURATION, validate_default=True)
    """Time from one poll to the next; shorter than the server keeps finished jobs."""
    active_interval: Seconds = Field(default="10s", ge=MIN_INTERVAL, le=MAX_DURATION, validate_default=True)
    """The same while the cluster has unfinished jobs; never longer than `interval`."""
    timeout: Seconds = Field(default="10s", ge=MIN_DURATION, le=MAX_TIMEOUT, validate_default=True)
    """Time limit of one request."""
    page_size: int = Field(default=MAX_PAGE_SIZE, ge=1, le=MAX_PAGE_SIZE)
    """Jobs requested per page."""
    requests_per_second: float = Field(default=10.0, gt=0, le=MAX_RATE, allow_inf_nan=False)
    """Requests per second for each API key and endpoint; Zilliz Cloud allows about 20."""


class PollSection(PollSettings):
    """How clusters are polled; each cluster can override everything except `concurrency`."""

    concurrency: int = Field(default=32, ge=1, le=MAX_CONCURRENCY)
    """Maximum number of polls that run at the same time."""


class JobSettings(Section):
    """When a job is in trouble, and for how long it is shown; each cluster can override every key."""

    stall_after: Seconds = Field(default="30m", ge=MIN_DURATION, le=MAX_DURATION, validate_default=True)
    """Time without progress after which an importing job counts as stalled."""
    pending_after: Seconds = Field(default="1h", ge=MIN_DURATION, le=MAX_DURATION, validate_default=True)
    """Time after which a pending job counts as stalled."""
    uncommitted_after: Seconds = Field(default="1h", ge=MIN_DURATION, le=MAX_DURATION, validate_default=True)
    """Time after which a job that waits for its commit counts as stalled."""
    failed_retention: Seconds = Field(default="24h", ge=0, le=MAX_DURATION, validate_default=True)
    """Time for which a failed or vanished job stays on /metrics."""
    series_per_cluster: int = Field(default=1000, ge=0, le=MAX_SERIES)
    """Maximum number of job series per cluster; the ones left out are counted."""


class Tls(Section):
    """TLS for the connection to one cluster."""

    ca_file: types.CertificateFile = None
    """PEM file with the certificates to trust instead of the default ones."""
    cert_file: types.CertificateFile = None
    """PEM file with the client certificate, and possibly its key."""
    key_file: types.PrivateKeyFile = None
    """PEM file with the key of the client certificate."""
    insecure_skip_verify: bool = False
    """Skip TLS certificate verification (insecure). For tests only; cannot be combined with ca_file."""

    @field_validator("insecure_skip_verify")
    @classmethod
    def _check_insecure(cls, skip: bool, info: ValidationInfo) -> bool:
        if skip and info.data.get("ca_file"):
            raise ValueError("cannot be combined with ca_file; remove one of them")
        return skip


class ClusterSettings(Section):
    """Which cluster to watch, and how to reach it."""

    name: types.Name
    """Unique; the value of the label `milvus_cluster`."""
    url: types.Url
    """Base URL of the API: https://api.cloud.zilliz.com, or a Milvus proxy (19530) or management port (9091)."""
    api: Api = "v2"
    """Generation of the API: v2 for Zilliz Cloud and Milvus 2.4 or newer, v1 for the old Zilliz control plane."""
    cluster_id: types.Id = ""
    """Zilliz Cloud: the cluster's id, such as in01-0123456789abcdef."""
    project_id: types.Id = ""
    """Zilliz Cloud: the project, for on-demand clusters; together with region_id, instead of cluster_id."""
    region_id: types.Id = ""
    """Zilliz Cloud: the region that goes with project_id."""
    api_key: types.Secret = SecretStr("")
    """An API key or user:password; best taken from the environment: ${ZILLIZ_API_KEY}."""
    api_key_file: types.SecretFile = None
    """A file that contains the key, instead of api_key; white space around it is ignored."""
    databases: types.Databases = ()
    """The databases to list, or `all` to ask the cluster for them; without it, whatever the server lists by default."""
    labels: Labels = Field(default={}, validate_default=True)
    """Own labels, such as {team: search}: on every series, log event, alert, API row and page of this cluster."""
    tls: Tls = Tls()
    """TLS for the connection to this cluster, for an https url."""


class Cluster(JobSettings, PollSettings, ClusterSettings):  # pydantic puts the fields of the last base first
    """One cluster to watch; any key of `jobs`, and of `poll` except `concurrency`, can be overridden for it."""

    @field_validator("tls")
    @classmethod
    def _check_tls(cls, tls: Tls, info: ValidationInfo) -> Tls:
        if tls != Tls() and info.data.get("url", "").startswith("http:"):
            raise ValueError("has no effect on an http:// url; use https:// or remove tls")
        return tls

    @model_validator(mode="after")
    def _read_key(self, info: ValidationInfo) -> Self:
        if self.api_key_file is None or info.context is None:
            return self
        return self.model_copy(update={"api_key": info.context.read(self.api_key_file, types.secret_of)})

    def poll_interval(self, *, active: bool) -> float:
        """Return the seconds from one poll to the next, with unfinished jobs (active) or without."""
        return min(self.active_interval, self.interval) if active else self.interval

    def identity(self) -> str:
        """Return what identifies the cluster, independent of its name: its ids, or its URL if it has none."""
        ids = (self.cluster_id, self.project_id, self.region_id)
        return "/".join(ids) if any(ids) else self.url

    @property
    def follows_databases(self) -> bool:
        """Whether the cluster is asked for its databases."""
        return self.databases == types.ALL_DATABASES

    def rate_key(self) -> str:
        """Return what a rate of requests belongs to: the API key, or the URL of a cluster without one."""
        return self.api_key.get_secret_value() or self.url

    def secrets(self) -> tuple[str, ...]:
        """Return the key and, of one that is `user:password`, the password; see `Config.secrets`."""
        key = self.api_key.get_secret_value()
        password = key.partition(":")[2]
        return (key,) if password == PUBLIC_PASSWORD else (key, password)


class Inventory(KeySettings):
    """A URL that lists clusters."""

    url: types.InventoryUrl
    """URL of a list of clusters as in `clusters`, in JSON or YAML."""
    api_key: types.Secret = SecretStr("")
    """A key that the inventory requires, sent as a bearer token."""
    tls: Tls = Tls()
    """TLS for the connection to the inventory."""


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
    include: Filters = FILTERS
    """Watch only the clusters that match an entry of this list."""
    exclude: Filters = FILTERS
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


def _web_config(value: Any, info: ValidationInfo) -> Any:
    context: Any = info.context
    return load_web(context.resolve(value), context.environ) if isinstance(value, str) and value else value


def _inherit(value: Any, info: ValidationInfo) -> Any:
    """Give each cluster what the file sets in `poll` and `jobs`, unless the cluster overrides it."""
    if value is None:
        return ()
    if isinstance(value, str | dict):
        raise ValueError("must be a list of clusters (- name: …)")  # noqa: TRY004  # for pydantic
    if not isinstance(value, list):
        return value
    if len(value) > MAX_CLUSTERS:
        raise ValueError(f"lists {len(value):,} clusters; at most {MAX_CLUSTERS:,} are allowed")
    shared = _shared(info)
    return [shared | item if isinstance(item, dict) else item for item in value]


def _inherit_discovery(value: Any, info: ValidationInfo) -> Any:
    """Give each discovery a name, and what the file sets in `poll` and `jobs`, unless it overrides it."""
    if value is None:
        return ()
    if isinstance(value, str | dict):
        raise ValueError("must be a list of discoveries (- zilliz: …)")  # noqa: TRY004  # for pydantic
    if not isinstance(value, list):
        return value
    if len(value) > MAX_DISCOVERIES:
        raise ValueError(f"lists {len(value):,} discoveries; at most {MAX_DISCOVERIES} are allowed")
    shared = _shared(info)
    if "interval" in shared:
        shared["poll_interval"] = shared.pop("interval")
    return [shared | item if isinstance(item, dict) else item for item in name_discoveries(value)]


def _shared(info: ValidationInfo) -> dict[str, Any]:
    """Return what `poll` and `jobs` set for all clusters."""
    return {
        name: getattr(section, name)
        for section in (info.data.get("poll"), info.data.get("jobs"))
        if section is not None
        for name in section.model_fields_set & Cluster.model_fields.keys()
    }


def _expectations(value: Any) -> Any:
    """Give each expectation a name."""
    if value is None:
        return ()
    if isinstance(value, str | dict):
        raise ValueError("must be a list of expectations (- collection: …)")  # noqa: TRY004  # for pydantic
    if not isinstance(value, list):
        return value
    if len(value) > MAX_EXPECTATIONS:
        raise ValueError(f"lists {len(value):,} expectations; at most {MAX_EXPECTATIONS:,} are allowed")
    return name_expectations(value)


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
    clusters: Annotated[tuple[Cluster, ...], BeforeValidator(_inherit)] = Field(
        default=(), json_schema_extra={"maxItems": MAX_CLUSTERS}
    )
    """The clusters to watch; may be left out if there is a discovery."""
    discovery: Annotated[tuple[Discovery, ...], BeforeValidator(_inherit_discovery)] = Field(
        default=(), json_schema_extra={"maxItems": MAX_DISCOVERIES}
    )
    """Where more clusters are found: those of a Zilliz Cloud key, in files, or at a URL."""
    expectations: Annotated[tuple[Expectation, ...], BeforeValidator(_expectations)] = Field(
        default=(), json_schema_extra={"maxItems": MAX_EXPECTATIONS}
    )
    """Imports that should happen, and when: late and missed ones are reported."""

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
        for index, found in enumerate(self.discovery):
            path = f"discovery[{index}]"
            sections += [(path, found), (f"{path}.zilliz", found.zilliz), (f"{path}.http", found.http)]
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
