"""The status of each cluster as the monitor that polls it stores it for the others; only in PostgreSQL."""

from collections.abc import Collection, Mapping
from typing import Final

import msgspec
from sqlalchemy import Connection, RowMapping, bindparam, select, text

from monitor.jobs import JobState
from monitor.store.database import Database
from monitor.store.schema import statuses
from monitor.store.statements import encode_rows

CHANNEL: Final = "milvus_import_monitor"
"""On which PostgreSQL notifies the monitors that statuses have changed; two schemas of one database share it."""

WHY_LIMIT: Final = 2000
"""Characters of the reason why a cluster is down."""

_WRITE: Final = text("""
    INSERT INTO cluster_status
        (name, identity, owner, owner_id, status, why, listed, last_poll, last_success, changed_at)
    SELECT name, identity, owner, owner_id, status, why, listed, last_poll, last_success,
        EXTRACT(EPOCH FROM clock_timestamp())
    FROM json_populate_recordset(NULL::cluster_status, CAST(:rows AS json))
    ON CONFLICT (name) DO UPDATE SET
        identity = excluded.identity, owner = excluded.owner, owner_id = excluded.owner_id, status = excluded.status,
        why = excluded.why, listed = excluded.listed, last_poll = excluded.last_poll,
        last_success = excluded.last_success, changed_at = excluded.changed_at
""")

_WRITE_TIMES: Final = text("""
    UPDATE cluster_status SET last_poll = polled.last_poll, last_success = polled.last_success
    FROM unnest(CAST(:names AS text[]), CAST(:polls AS float[]), CAST(:successes AS float[]))
        AS polled (name, last_poll, last_success)
    WHERE cluster_status.name = polled.name AND owner_id = :owner_id
""")

_NOTIFY: Final = text("SELECT pg_notify(:channel, '')")

_CHANGED: Final = select(statuses).where(
    statuses.c.changed_at > bindparam("since"), statuses.c.owner_id != bindparam("reader_id")
)
_TIMES: Final = select(statuses.c.name, statuses.c.owner_id, statuses.c.last_poll, statuses.c.last_success).where(
    statuses.c.owner_id != bindparam("reader_id")
)


class PolledStatus(msgspec.Struct, frozen=True, gc=False):
    """How the latest poll of a cluster ended.

    Attributes:
        name: The cluster's name.
        identity: Its identity, as in `ClusterRef`.
        owner: The name of the monitor that polled it.
        owner_id: The id of that monitor.
        status: ``up`` or ``down``.
        why: Why it is down.
        listed: The numbers of jobs in the latest list, by state.
        last_poll: When it was last polled, in seconds since the epoch.
        last_success: When a poll last succeeded, or None.
        changed_at: When its status or its stored jobs last changed, by the clock of PostgreSQL.
    """

    name: str
    identity: str
    owner: str
    owner_id: int
    status: str
    why: str
    listed: Mapping[JobState, int]
    last_poll: float
    last_success: float | None
    changed_at: float = 0.0


class PollTimes(msgspec.Struct, frozen=True, gc=False):
    """When a cluster was last polled, by which monitor, and when that last succeeded."""

    name: str
    owner_id: int
    last_poll: float
    last_success: float | None


class StatusTable:
    """Reads and writes the statuses. Its errors come out as they are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, changed: Collection[PolledStatus]) -> None:
        """Store statuses that have changed, and notify the other monitors."""
        rows = [
            {**msgspec.structs.asdict(status), "why": status.why[:WHY_LIMIT], "listed": _encode(status.listed)}
            for status in changed
        ]
        rows.sort(key=lambda row: row["name"])  # two monitors that lock rows in one order do not wait for each other

        def work(connection: Connection) -> None:
            connection.execute(_WRITE, {"rows": encode_rows(rows)})
            connection.execute(_NOTIFY, {"channel": CHANNEL})

        if rows:
            self._database.write(work)

    def write_times(self, times: Collection[PollTimes], owner_id: int) -> None:
        """Store when clusters were last polled, those that the monitor of an id has stored a status of."""
        ordered = sorted(times, key=lambda polled: polled.name)
        columns = {
            "names": [polled.name for polled in ordered],
            "polls": [polled.last_poll for polled in ordered],
            "successes": [polled.last_success for polled in ordered],
            "owner_id": owner_id,
        }
        if ordered:
            self._database.write(lambda connection: connection.execute(_WRITE_TIMES, columns))

    def changed(self, since: float, reader_id: int) -> list[PolledStatus]:
        """Return the statuses by other monitors than the reading one that changed after a time of PostgreSQL's."""
        wanted = {"since": since, "reader_id": reader_id}
        rows = self._database.read(lambda connection: connection.execute(_CHANGED, wanted).mappings().all())
        return [_status(row) for row in rows]

    def times(self, reader_id: int) -> list[PollTimes]:
        """Return when the clusters of other monitors than the reading one were last polled."""
        rows = self._database.read(lambda connection: connection.execute(_TIMES, {"reader_id": reader_id}).all())
        return [PollTimes(*row) for row in rows]


def _encode(listed: Mapping[JobState, int]) -> str:
    return msgspec.json.encode(listed).decode()


def _status(row: RowMapping) -> PolledStatus:
    try:
        listed = msgspec.json.decode(row["listed"], type=dict[JobState, int])
    except msgspec.MsgspecError:  # a newer monitor knows other states
        listed = {}
    return PolledStatus(
        **{name: row[name] for name in PolledStatus.__struct_fields__ if name != "listed"}, listed=listed
    )
