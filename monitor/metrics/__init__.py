"""Text for Prometheus, kept ready for each cluster and joined when it is scraped."""

from monitor.metrics.cluster import ClusterMetrics
from monitor.metrics.exposition import Exposition
from monitor.metrics.families import FAMILIES, Family
from monitor.metrics.own import OwnMetrics

__all__ = ["FAMILIES", "ClusterMetrics", "Exposition", "Family", "OwnMetrics"]
