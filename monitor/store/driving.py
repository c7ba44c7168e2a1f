"""The driver of a database, without SQLAlchemy between, for what is done a thousand times a second."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from sqlalchemy import Engine
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError


@contextmanager
def driven(engine: Engine) -> Iterator[DBAPICursor]:
    """Give a cursor of a pooled connection, and commit at the end; what goes wrong is SQLAlchemy's error all the same.

    SQLite begins no transaction by itself: without one, each statement is one.
    """
    dialect = engine.dialect
    failure: type[Exception] = dialect.loaded_dbapi.Error
    try:
        with closing(engine.raw_connection()) as connection:
            cursor = connection.cursor()
            try:
                yield cursor
                connection.commit()
            except failure as error:
                if dialect.is_disconnect(error, connection.dbapi_connection, cursor):  # type: ignore[arg-type]
                    connection.invalidate(error)
                else:
                    connection.rollback()
                raise
            except BaseException:
                connection.rollback()
                raise
    except failure as error:
        raise DBAPIError.instance(None, None, error, failure, dialect=dialect) from error
