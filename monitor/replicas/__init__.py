"""Several monitors on one PostgreSQL share the clusters: each cluster is polled by one of them.

- A monitor is alive while its session in PostgreSQL holds an advisory lock (`session`): the server ends the session
  when the process dies, or is not heard of for a little less than ``takeover``.
- Each cluster is owned by one of the live monitors, and changes hands without being owned by two (`ownership`).
- A cluster that changes hands is loaded from the store before it is polled (`handover`).
- While the database is away, and while it comes back, each monitor goes on with the clusters that it owned last
  (`membership`).
"""

from monitor.replicas.handover import ClusterHandling, Handover
from monitor.replicas.members import Member, OnChange, Replicas, SingleReplica, open_replicas, replica_name

__all__ = [
    "ClusterHandling",
    "Handover",
    "Member",
    "OnChange",
    "Replicas",
    "SingleReplica",
    "open_replicas",
    "replica_name",
]
