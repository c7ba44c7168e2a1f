"""The config as the rest of the monitor sees it: checked, resolved, frozen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from monitor.redaction import MIN_REDACTED, password_of

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from pydantic import SecretStr

Api: TypeAlias = Literal["v2", "v1", "milvus-2.3"]
LogFormat: TypeAlias = Literal["auto", "json", "console"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]

PUBLIC_PASSWORD: Final = "Milvus"  # noqa: S105 - it is no secret
"""The password that every Milvus begins with is in its documentation; masking it would mask the product's name."""


@dataclass(frozen=True, slots=True)
class Tls:
    """How to check a cluster's certificate and show one's own.

    Attributes:
        ca_file: The certificates to trust instead of the system's.
        cert_file: The client certificate; it may hold the key too.
        key_file: The key of the client certificate.
        insecure_skip_verify: Whether any certificate is taken for good.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    insecure_skip_verify: bool = False


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster to watch, with every default filled in.

    Attributes:
        name: Unique; the value of the label `milvus_cluster`.
        url: Without a slash at the end.
        api: The generation of the import API.
        cluster_id: The id on Zilliz Cloud; empty when absent.
        project_id: The project of an on-demand cluster on Zilliz Cloud; empty when absent.
        region_id: The region that goes with the project; empty when absent.
        api_key: An API key or `user:password`; empty when the server asks for none.
        databases: The databases to ask for; empty for whatever the server lists by itself.
        tls: Only of use with an https url.
        interval: Seconds from one poll to the next.
        timeout: Seconds that one request may take.
        page_size: Jobs asked for in one request.
        requests_per_second: For each API key and endpoint.
        stall_after: Seconds without progress after which an importing job is stalled.
        pending_after: The same for a pending job.
        uncommitted_after: The same for a job that waits for its commit.
        failed_retention: Seconds for which a failed or vanished job stays on `/metrics`.
        series_per_cluster: Series of its jobs, at most.
    """

    name: str
    url: str
    api: Api
    cluster_id: str
    project_id: str
    region_id: str
    api_key: SecretStr
    databases: tuple[str, ...]
    tls: Tls
    interval: float
    timeout: float
    page_size: int
    requests_per_second: float
    stall_after: float
    pending_after: float
    uncommitted_after: float
    failed_retention: float
    series_per_cluster: int

    def identity(self) -> str:
        """Return what makes it the same cluster, whatever its name: its ids, or its URL where it has none."""
        ids = (self.cluster_id, self.project_id, self.region_id)
        return "/".join(ids) if any(ids) else self.url

    def secrets(self) -> tuple[str, ...]:
        """Return the key and, of one that is `user:password`, the password; see `Config.secrets`."""
        key = self.api_key.get_secret_value()
        password = key.partition(":")[2]
        found = (key, "" if password == PUBLIC_PASSWORD else password)
        return tuple(secret for secret in found if len(secret) >= MIN_REDACTED)


@dataclass(frozen=True, slots=True)
class WebConfig:
    """Who may ask the monitor, and how it is asked.

    Attributes:
        context: TLS with the certificate as it was when the file was read; None for plain HTTP.
        client_names: Of a client's certificate one of these must be a subject alternative name; empty for any.
        requires_certificate: Whether a client must show a certificate that is trusted.
        users: Name and bcrypt hash; empty where nobody is asked for a password.
        headers: Added to every answer.
        fingerprint: Differs where the file, or a file it names, has other contents.
    """

    context: ssl.SSLContext | None = field(default=None, compare=False)
    client_names: frozenset[str] = frozenset()
    requires_certificate: bool = False
    users: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    fingerprint: str = ""

    def has_auth(self) -> bool:
        """Say whether a stranger is turned away."""
        return bool(self.users) or self.requires_certificate


@dataclass(frozen=True, slots=True)
class Config:
    """Everything in the config file. Its `repr` shows no secret.

    Attributes:
        path: The file it was read from; None when it came from elsewhere.
        listen_host: A host name or address, IPv6 without brackets.
        listen_port: 0 for any free port.
        log_format: `auto` is console on a terminal and JSON elsewhere.
        log_level: The least level that is logged.
        concurrency: Polls that run at the same time, at most.
        state_url: Where the state is kept: `sqlite:///` and an absolute path, `postgresql://…`, or `memory://`.
        state_retention: Seconds for which transitions are kept.
        clusters: In the order of the file; at least one.
        web: TLS, users and headers of the monitor's own pages.
    """

    path: Path | None
    listen_host: str
    listen_port: int
    log_format: LogFormat
    log_level: LogLevel
    concurrency: int
    state_url: SecretStr
    state_retention: float
    clusters: tuple[Cluster, ...]
    web: WebConfig = WebConfig()

    def secrets(self) -> frozenset[str]:
        """Return every text that must not be seen anywhere, for redaction.

        That is each API key and, of a key that is `user:password`, the password too, the database's password, and each
        user's password hash. Those shorter than `MIN_REDACTED` characters are left out.
        """
        found = {hashed for _, hashed in self.web.users}
        found.update(secret for cluster in self.clusters for secret in cluster.secrets())
        found.update(password_of(self.state_url.get_secret_value()))
        return frozenset(secret for secret in found if len(secret) >= MIN_REDACTED)
