"""The fleet as people look at it: every cluster, its jobs by what they need, and what changes."""

from monitor.fleet.fleet import Fleet
from monitor.fleet.index import ClusterIndex
from monitor.fleet.look import Look
from monitor.fleet.search import Search
from monitor.fleet.seen import Change, Seen
from monitor.fleet.views import ClusterView, JobView, TransitionView, cluster_view, job_view, transition_view

__all__ = [
    "Change",
    "ClusterIndex",
    "ClusterView",
    "Fleet",
    "JobView",
    "Look",
    "Search",
    "Seen",
    "TransitionView",
    "cluster_view",
    "job_view",
    "transition_view",
]
