"""Settings of clusters: how each is reached and polled, and when its jobs are in trouble."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from monitor.config import setting_types as types
from monitor.config.document import as_mapping
from monitor.config.labels import Labels
from monitor.config.setting_types import Seconds
from monitor.config.validation import Section

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from monitor.config.errors import Problem

Api: TypeAlias = Literal["v2", "v1", "milvus-2.3"]

MAX_CLUSTERS: Final = 20_000
"""Clusters in one file; one process polls fewer, see the rate of an API key."""

MIN_INTERVAL: Final = 0.1
"""Seconds. Anything shorter polls faster than a server on the same machine responds."""

MIN_DURATION: Final = 0.001
MAX_DURATION: Final = 366 * 86_400.0
MAX_TIMEOUT: Final = 600.0
"""Seconds. A request that takes longer would block a polling thread for nothing."""

MAX_PAGE_SIZE: Final = 100  # the API's own limit: import-api, pageSize 1-100
MAX_RATE: Final = 10_000
MAX_SERIES: Final = 1_000_000
PUBLIC_PASSWORD: Final = "Milvus"  # noqa: S105 - it is no secret
"""The default password of every Milvus is in its documentation; masking it would mask the product's name."""


_ZILLIZ: Final = re.compile(
    r"https?://([^/]+\.)?(zilliz\.com|zilliz\.com\.cn|zillizcloud\.com)\.?(:[0-9]+)?(/.*)?", re.IGNORECASE
)
"""URLs of Zilliz Cloud, whose API serves many clusters and needs the id of one."""


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


def cluster_conflicts(cluster: Mapping[str, Any], given: frozenset[str]) -> Iterator[Problem]:
    """Yield the conflicts between the settings of one cluster; `given` are keys that it has from elsewhere."""
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
    if reason and not {"api_key", "api_key_file"} & (cluster.keys() | given):
        yield (), f"needs api_key or api_key_file, because {reason}"
    if cluster.get("databases") == "all" and api in {"v1", "milvus-2.3"}:
        yield ("databases",), f"cannot be all, because api is {api}; only the API v2 lists the databases of a cluster"
    yield from key_conflicts(cluster)


def key_conflicts(section: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the conflicts between the keys and the certificates of a section."""
    if {"api_key", "api_key_file"} <= section.keys():
        yield ("api_key_file",), "cannot be combined with api_key; remove one of them"
    tls = as_mapping(section.get("tls"))
    if "key_file" in tls and "cert_file" not in tls:
        yield ("tls", "key_file"), "needs cert_file as well"
