"""The fixed limits of the HTTP server. Tests change them; nobody has needed to in production."""

import msgspec


class WebLimits(msgspec.Struct, frozen=True):
    """Limits on what clients can use; times in seconds."""

    connections: int = 2048
    """Connections at a time; one more is answered 503 as it arrives."""
    connections_per_address: int = 1024
    """The same for one address, so that one client cannot use up all; a reverse proxy is one address."""
    keep_alive: int = 75
    """Time that an idle connection stays open, and that a request may take to arrive: above usual scrape intervals."""
    handshake: int = 10
    """Time for a TLS handshake."""
    head_bytes: int = 32 * 1024
    """Bytes of a request's line and headers."""
    body_bytes: int = 64 * 1024
    """Bytes of a request's body; no endpoint needs one."""
    write_timeout: float = 30.0
    """Time in which a client that has fallen behind must read what it asked for."""
    write_buffer: int = 64 * 1024
    """Bytes of a response that wait for a client before it counts as behind."""
    waiting_requests: int = 64
    """Requests that wait for a worker thread, for each of the two kinds."""
    waiting_passwords: int = 16
    """Passwords that wait for their check."""
    waiting_passwords_per_address: int = 4
    """The same for one address, so that a flood from one place delays nobody else for long."""
    streams: int = 200
    """Event streams at a time."""
    streams_per_address: int = 100
    """The same for one address."""
    stream_queue: int = 2000
    """Events that wait for a slow client, 1 kB each; then it is told to fetch everything again."""
    jobs_per_poll: int = 500
    """Job events of one poll; after a larger change clients are told to fetch everything again."""
    heartbeat: float = 15.0
    """Time without an event after which a comment is sent, so that no proxy closes the stream as idle."""
    pulse_interval: float = 1.0
    """Shortest time between two ``pulse`` events."""
    files_timeout: float = 2.0
    """Time that a page waits for a cluster's list of files."""
    files_max_age: float = 10.0
    """Time for which such a list is reused."""
    files_cached: int = 100
    """Such lists in memory."""
