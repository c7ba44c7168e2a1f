"""Text for Prometheus: rendered when a poll changes something, joined when it is scraped."""

from monitor.metrics.cluster import ClusterMetrics
from monitor.metrics.expectations import ExpectationSample
from monitor.metrics.exposition import Exposition
from monitor.metrics.families import FAMILIES, Family
from monitor.metrics.process import ProcessMetrics

__all__ = ["FAMILIES", "ClusterMetrics", "ExpectationSample", "Exposition", "Family", "ProcessMetrics"]
