"""Connections to PostgreSQL, each wait of which has an end, and whose password can change."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from threading import Event, Timer
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event

from monitor.store.timeouts import BUSY_TIMEOUT

STATEMENT_TIMEOUT: Final = 4.0
"""Seconds that PostgreSQL may take for a statement."""

_LIMITS: Final = f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT:g}s'; SET LOCAL lock_timeout = '{BUSY_TIMEOUT}s'"
"""Set for each transaction: PgBouncer refuses them at the start of a connection, where the URL may have its own."""

_DEFAULTS: Final = {
    "application_name": "milvus-import-monitor",
    "connect_timeout": BUSY_TIMEOUT,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""Parameters of libpq by which a lost server is noticed (seconds; the last one milliseconds); the URL's count first."""


class PostgresServer:
    """Where PostgreSQL is, by a URL of libpq: it knows several hosts, sockets, and ``target_session_attrs``.

    Raises:
        ValueError: The URL cannot be understood; the message does not contain it.
    """

    def __init__(self, url: str) -> None:
        self._parameters = _parse(url)

    def connect(self, **parameters: Any) -> Any:
        """Return a new connection, with other parameters of psycopg and libpq than usual."""
        import psycopg  # noqa: PLC0415 - 40 ms and 8 MB that a store in SQLite does not need

        parameters = {"prepare_threshold": None, **self._parameters, **parameters}  # PgBouncer knows no prepared ones
        return psycopg.connect("", **parameters)

    def change_credentials(self, url: str) -> bool:
        """Connect with the user and password of a URL from now on; return False if it is that of another database."""
        try:
            parameters = _parse(url)
        except ValueError:
            return False
        if _without_credentials(parameters) != _without_credentials(self._parameters):
            return False
        self._parameters = parameters
        return True


def postgres_engine(server: PostgresServer, **options: Any) -> Engine:
    """Return an engine with these options; nothing is connected yet."""
    engine = create_engine(
        "postgresql+psycopg://", creator=partial(_answering, server), isolation_level="READ COMMITTED", **options
    )
    event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def deadline(connection: Any, seconds: float) -> Iterator[None]:
    """Cut off a connection of psycopg that is used for too long: a frozen server sends nothing, not even a reset.

    Raises:
        TimeoutError: It was cut off.
    """
    is_over = Event()
    with socket.socket(fileno=os.dup(connection.fileno())) as its:

        def cut_off() -> None:
            is_over.set()
            with suppress(OSError):
                its.shutdown(socket.SHUT_RDWR)

        timer = Timer(seconds, cut_off)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception as error:
            if is_over.is_set():
                raise TimeoutError(f"PostgreSQL, or a pooler before it, has not answered for {seconds:g} s") from error
            raise
        finally:
            timer.cancel()


def _answering(server: PostgresServer) -> Any:
    """Return a new connection that answers: a pooler accepts one also while it has none to PostgreSQL left."""
    connection = server.connect()
    try:
        with deadline(connection, BUSY_TIMEOUT):
            connection.execute("SELECT 1")
        connection.rollback()
    except BaseException:
        connection.close()
        raise
    return connection


def _begin(connection: Connection) -> None:
    first = connection.get_execution_options().get("begin", "")
    connection.exec_driver_sql(f"{first}{_LIMITS}")


def _parse(url: str) -> dict[str, Any]:
    import psycopg  # noqa: PLC0415
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    try:
        return {**_DEFAULTS, **conninfo_to_dict(url), "client_encoding": "utf8"}
    except psycopg.Error:  # its message can hold the password
        raise ValueError(
            "the URL of PostgreSQL cannot be understood: write special characters as %XX, and only parameters of libpq"
        ) from None


def _without_credentials(parameters: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in parameters.items() if key not in ("user", "password")}
