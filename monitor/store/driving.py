"""The driver of a database, without SQLAlchemy between, for what is done a thousand times a second."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, PoolProxiedConnection
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError


class Driver:
    """Gives cursors of pooled connections; what goes wrong in the database is SQLAlchemy's error all the same.

    Whoever writes into a SQLite file is the only one, and has one connection for it: the pool need not be asked.

    Args:
        engine: The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._failure: type[Exception] = engine.dialect.loaded_dbapi.Error
        self._is_file = engine.dialect.name == "sqlite"
        self._kept: PoolProxiedConnection | None = None

    @contextmanager
    def reading(self) -> Iterator[DBAPICursor]:
        """Give a cursor to read with."""
        connection: PoolProxiedConnection | None = None
        try:
            connection = self._engine.raw_connection()
            yield connection.cursor()
            connection.close()
        except BaseException as error:
            self._fail(connection, error)
            raise

    @contextmanager
    def writing(self) -> Iterator[DBAPICursor]:
        """Give a cursor in a transaction, which is committed at the end; in a SQLite file for one thread at a time."""
        connection, self._kept = self._kept, None
        try:
            connection = connection or self._engine.raw_connection()
            cursor = connection.cursor()
            if self._is_file:  # the other driver begins by itself
                cursor.execute("BEGIN IMMEDIATE")
            yield cursor
            connection.commit()
        except BaseException as error:
            self._fail(connection, error)
            raise
        if self._is_file:
            self._kept = connection
        else:
            connection.close()

    def close(self) -> None:
        """Close the connections."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()
        self._engine.dispose()

    def _fail(self, connection: PoolProxiedConnection | None, error: BaseException) -> None:
        """Give a connection back on which something went wrong; raises SQLAlchemy's error for one of the driver's."""
        failure, dialect = isinstance(error, self._failure), self._engine.dialect
        if connection is not None:
            if failure and dialect.is_disconnect(error, connection.dbapi_connection, None):  # type: ignore[arg-type]
                connection.invalidate(error)
            connection.close()  # the pool rolls back
        if failure:
            raise DBAPIError.instance(None, None, error, self._failure, dialect=dialect) from error
