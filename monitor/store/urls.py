"""Which database a URL of the config means."""

from pathlib import Path

from sqlalchemy import NullPool

from monitor.store.database import KEPT_CONNECTIONS, Database, StoreError
from monitor.store.postgres import PostgresServer, postgres_engine
from monitor.store.sqlite import file_engine, memory_engine, reading_engine
from monitor.store.timeouts import BUSY_TIMEOUT


def create_store_database(url: str, connections: int) -> Database:
    """Return a database; nothing is connected yet.

    Args:
        url: ``sqlite:///PATH``, ``postgresql://…`` as libpq understands it, or ``memory://``.
        connections: How many threads may use it at a time.

    Raises:
        StoreError: The URL of PostgreSQL cannot be understood.
    """
    if is_postgres(url):
        server = postgres_server(url)
        pool = {"pool_size": KEPT_CONNECTIONS, "max_overflow": connections, "pool_timeout": BUSY_TIMEOUT}
        return Database(postgres_engine(server, **pool), server=server)
    file = sqlite_file(url)
    return Database(memory_engine() if file is None else file_engine(file, connections), file)


def create_reading_database(url: str) -> Database:
    """Return a database that can only be read, by one thread; nothing is connected yet, and no file made."""
    file = sqlite_file(url)
    if file is not None:
        return Database(reading_engine(file))
    read_only = {"begin": "SET TRANSACTION READ ONLY; "}
    return Database(postgres_engine(postgres_server(url), execution_options=read_only, poolclass=NullPool))


def sqlite_file(url: str) -> Path | None:
    """Return the file of a SQLite URL, None for another database."""
    path = url.removeprefix("sqlite:///")
    return Path(path) if path != url else None


def is_postgres(url: str) -> bool:
    """Return whether a URL is one of PostgreSQL."""
    return sqlite_file(url) is None and not url.startswith("memory:")


def postgres_server(url: str) -> PostgresServer:
    """Return the PostgreSQL of a URL; raises ``StoreError`` where the URL cannot be understood."""
    try:
        return PostgresServer(url)
    except ValueError as error:
        raise StoreError(str(error)) from None
