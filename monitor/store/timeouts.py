"""How long the store's database may take, so that each wait for it has an end."""

from typing import Final

BUSY_TIMEOUT: Final = 2
"""Seconds to wait for a lock that somebody else holds, or for a connection."""

TRANSACTION_TIMEOUT: Final = 5.0
"""Seconds after which we give up a transaction that PostgreSQL does not answer, also when it is frozen."""

POLL_TRANSACTION_TIMEOUT: Final = 2.5
"""The same for a transaction of a poll: what the poll has seen is shown and logged only afterwards. It is more than
`BUSY_TIMEOUT`, so that the message of a lock is that of PostgreSQL."""

QUICK_ROWS: Final = 1000
"""Rows that a transaction of a poll can read or write in that time with ease; with more it has the longer one."""

ROWS_PER_SECOND: Final = 2000
"""Rows that a slow machine writes; a transaction of more than `QUICK_ROWS` has that much more time."""

LOAD_TIMEOUT: Final = 30.0
"""Seconds that SQLite may take to read what is stored of many clusters, or to check a file: much of it is our work."""


def transaction_timeout(rows: int) -> float:
    """Return the seconds that a transaction of so many rows may take."""
    return TRANSACTION_TIMEOUT + (rows / ROWS_PER_SECOND if rows > QUICK_ROWS else 0.0)


def poll_timeout(rows: int) -> float:
    """Return the same for a transaction of a poll."""
    return POLL_TRANSACTION_TIMEOUT if rows <= QUICK_ROWS else transaction_timeout(rows)
