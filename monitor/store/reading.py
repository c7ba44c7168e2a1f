"""Reads what a monitor has recorded, while it runs or not, and changes nothing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import NoResultFound, SQLAlchemyError

from monitor.store.database import Database
from monitor.store.engines import reading_engine, sqlite_file
from monitor.store.opening import StoreError
from monitor.store.tables import NewerSchemaError

_MESSAGE_LIMIT: Final = 300

_COPY: Final = "; its folder cannot be written: copy it and its -wal, where there is one, to a folder that can"


@contextmanager
def reading(url: str) -> Iterator[Database]:
    """Give the database of a store, to read from.

    Args:
        url: ``sqlite:///PATH`` or ``postgresql://…``.

    Raises:
        StoreError: Nothing can be read there; the message says why.
    """
    if url.startswith("memory:"):
        raise StoreError("the state is kept in memory (memory://), so that nothing is recorded; see state.url")
    file = sqlite_file(url)
    if file is not None and not file.is_file():
        raise StoreError(f"{file} does not exist: no monitor has recorded anything there")
    database = Database(reading_engine(url))
    where = "the database" if file is None else str(file)
    try:
        database.check_schema()
        yield database
    except NoResultFound:
        raise StoreError(f"{where} holds no state of a monitor") from None
    except NewerSchemaError as error:
        raise StoreError(f"{where}: {error}") from None
    except SQLAlchemyError as error:
        cause = " ".join(str(getattr(error, "orig", None) or error).split())[:_MESSAGE_LIMIT]
        hint = "" if file is None or os.access(file.parent, os.W_OK) else _COPY
        raise StoreError(f"{where} cannot be read: {cause}{hint}") from None
    finally:
        database.close()
