"""Text for Prometheus: rendered when a poll changes something, joined when it is scraped."""

from monitor.metrics.cluster import ClusterMetrics
from monitor.metrics.exposition import Exposition
from monitor.metrics.families import FAMILIES, Family
from monitor.metrics.process import ProcessMetrics

__all__ = ["FAMILIES", "ClusterMetrics", "Exposition", "Family", "ProcessMetrics"]
