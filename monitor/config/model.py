"""The shape of the config file: every setting with its kind, default and description.

A setting exists when it is a field here; the JSON Schema and the messages for unknown keys follow from it.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from monitor.config import addresses, values
from monitor.config.settings import Api, LogFormat, LogLevel

MAX_CLUSTERS: Final = 20_000
"""Clusters in one file; one process polls fewer, see the rate of an API key."""

MIN_INTERVAL: Final = 0.1
"""Seconds. Anything shorter asks faster than a server on the same machine answers."""

MIN_DURATION: Final = 0.001
MAX_TIMEOUT: Final = 600.0
"""Seconds. A request that takes longer would hold a polling thread for nothing."""

MAX_DURATION: Final = 366 * 86_400.0
MAX_PAGE_SIZE: Final = 100  # the API's own limit: import-api, pageSize 1-100
MAX_CONCURRENCY: Final = 512
MAX_RATE: Final = 10_000
MAX_SERIES: Final = 1_000_000

_INTERVAL: Final = values.seconds(MIN_INTERVAL, MAX_DURATION)
_TIMEOUT: Final = values.seconds(MIN_DURATION, MAX_TIMEOUT)
_LIMIT: Final = values.seconds(MIN_DURATION, MAX_DURATION)
_RETENTION: Final = values.seconds(0, MAX_DURATION)
_SECTION: Final = BeforeValidator(values.section)


class Section(BaseModel):
    """A mapping of the file, in which unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)


class LogSection(Section):
    """How the monitor logs."""

    format: Annotated[LogFormat, values.one_of("auto", "json", "console")] = "auto"
    """`json` is one JSON object a line, `console` is for people; `auto` is console on a terminal and json elsewhere."""
    level: Annotated[LogLevel, values.one_of("debug", "info", "warning", "error")] = "info"
    """The least level that is logged."""


class StateSection(Section):
    """Where the monitor remembers what it saw."""

    url: Annotated[str, addresses.STATE_URL] = "sqlite:///state.db"
    """sqlite:/// and a path, postgresql://user:password@host/database, or `memory://`, which forgets at a restart."""
    retention: Annotated[float, _LIMIT] = Field(default="30d", validate_default=True)
    """Time for which recorded transitions are kept."""


class PollSettings(Section):
    """How a cluster is asked."""

    interval: Annotated[float, _INTERVAL] = Field(default="30s", validate_default=True)
    """Time from one poll to the next; shorter than the server keeps finished jobs."""
    timeout: Annotated[float, _TIMEOUT] = Field(default="10s", validate_default=True)
    """Time that one request may take."""
    page_size: Annotated[int, values.whole_number(1, MAX_PAGE_SIZE)] = MAX_PAGE_SIZE
    """Jobs asked for in one request."""
    requests_per_second: Annotated[float, values.rate(MAX_RATE)] = 10.0
    """Requests a second for each API key and endpoint; Zilliz Cloud allows about 20."""


class PollSection(PollSettings):
    """How clusters are asked; all but `concurrency` can be given for one cluster as well."""

    concurrency: Annotated[int, values.whole_number(1, MAX_CONCURRENCY)] = 32
    """Polls that run at the same time, at most."""


class JobSettings(Section):
    """When a job is in trouble, and for how long it is shown; every key can be given for one cluster as well."""

    stall_after: Annotated[float, _LIMIT] = Field(default="30m", validate_default=True)
    """Time without progress after which an importing job counts as stalled."""
    pending_after: Annotated[float, _LIMIT] = Field(default="1h", validate_default=True)
    """Time after which a pending job counts as stalled."""
    uncommitted_after: Annotated[float, _LIMIT] = Field(default="1h", validate_default=True)
    """Time after which a job that waits for its commit counts as stalled."""
    failed_retention: Annotated[float, _RETENTION] = Field(default="24h", validate_default=True)
    """Time for which a failed or vanished job stays on /metrics."""
    series_per_cluster: Annotated[int, values.whole_number(0, MAX_SERIES)] = 1000
    """Series shown of one cluster's jobs, at most; what is left out is counted."""


class TlsSection(Section):
    """TLS towards one cluster."""

    ca_file: Annotated[str | None, values.FILE] = None
    """PEM file with the certificates to trust instead of the system's."""
    cert_file: Annotated[str | None, values.FILE] = None
    """PEM file with the client certificate, and possibly its key."""
    key_file: Annotated[str | None, values.FILE] = None
    """PEM file with the key of the client certificate."""
    insecure_skip_verify: Annotated[bool, values.TRUE_OR_FALSE] = False
    """Take any certificate for good; for tests only, and not together with ca_file."""


class ClusterSection(PollSettings, JobSettings):
    """One cluster to watch; any key of `jobs`, and of `poll` but `concurrency`, can be given for it alone."""

    name: Annotated[str, values.NAME]
    """Unique; the value of the label `milvus_cluster`."""
    url: Annotated[str, addresses.URL]
    """Base URL of the API: https://api.cloud.zilliz.com, or a Milvus proxy (19530) or management port (9091)."""
    api: Annotated[Api, values.one_of("v2", "v1", "milvus-2.3")] = "v2"
    """Generation of the API: v2 for Zilliz Cloud and Milvus 2.4 or newer, v1 for the old Zilliz control plane."""
    cluster_id: Annotated[str | None, values.ID] = None
    """Zilliz Cloud: the cluster's id, such as in01-0123456789abcdef."""
    project_id: Annotated[str | None, values.ID] = None
    """Zilliz Cloud: the project, for on-demand clusters; together with region_id, instead of cluster_id."""
    region_id: Annotated[str | None, values.ID] = None
    """Zilliz Cloud: the region that goes with project_id."""
    api_key: Annotated[SecretStr | None, values.SECRET] = None
    """An API key or user:password; best taken from the environment: ${ZILLIZ_API_KEY}."""
    api_key_file: Annotated[str | None, values.FILE] = None
    """A file that holds the key, instead of api_key; white space around it is ignored."""
    databases: Annotated[tuple[str, ...], values.DATABASES] = ()
    """The databases to ask for; without it, whatever the server lists by itself."""
    tls: Annotated[TlsSection, _SECTION] = Field(default_factory=TlsSection)
    """TLS towards this cluster, for an https url."""


class ProcessSettings(Section):
    """What is not about one cluster."""

    listen: Annotated[addresses.Address, addresses.LISTEN] = Field(default="127.0.0.1:19595", validate_default=True)
    """Address of the monitor's pages and metrics: host:port, or :port for all interfaces; port 0 is any free one."""
    web_config: Annotated[str | None, values.FILE] = None
    """A file with TLS, basic auth and headers for these pages, in the format of Prometheus' exporter-toolkit."""
    log: Annotated[LogSection, _SECTION] = Field(default_factory=LogSection)
    """Format and level of the log."""
    state: Annotated[StateSection, _SECTION] = Field(default_factory=StateSection)
    """Where the state is kept."""
    poll: Annotated[PollSection, _SECTION] = Field(default_factory=PollSection)
    """How clusters are asked, unless a cluster says otherwise."""
    jobs: Annotated[JobSettings, _SECTION] = Field(default_factory=JobSettings)
    """When jobs are in trouble, unless a cluster says otherwise."""


class ConfigFile(ProcessSettings):
    """Config of milvus-import-monitor. Durations are written 500ms, 30s, 1h30m or 2d; ${NAME} is a variable."""

    clusters: Annotated[list[ClusterSection], Field(min_length=1, max_length=MAX_CLUSTERS)]
    """The clusters to watch."""


OVERRIDES: Final = (*PollSettings.model_fields, *JobSettings.model_fields)
"""The settings that a cluster can have for itself."""
