"""What a PromQL expression uses, held against what the monitor exports."""

from collections.abc import Iterable, Mapping
from functools import singledispatchmethod
from typing import Any

import promql_parser as promql

from monitor import config
from monitor.client import ErrorKind
from monitor.discovery import DiscoveryStatus
from monitor.jobs import Failure, JobState
from monitor.metrics import FAMILIES, ProcessMetrics

TARGET_LABELS = frozenset(config.TARGET_LABELS) - {"endpoint"}
"""What Prometheus and its operator add to each series of a target, but for what is also a label of ours."""

OWN_LABELS = frozenset({"team"})
"""What a user adds to each series of a cluster."""

_STATES = frozenset(state.value for state in JobState)
VALUES = {
    ("milvus_import_job_failed", "reason"): frozenset(failure.value for failure in Failure),
    ("milvus_import_poll_failures_total", "reason"): frozenset(kind.value for kind in ErrorKind),
    ("milvus_import_jobs", "state"): _STATES,
    ("milvus_import_job_state", "state"): _STATES,
    ("milvus_import_job_stalled", "state"): _STATES,
    ("milvus_import_jobs_finished_total", "state"): _STATES,
    ("milvus_import_job_duration_seconds_bucket", "state"): _STATES,
    ("milvus_import_api_requests_total", "endpoint"): frozenset({"list", "describe"}),
    ("milvus_import_api_throttled_seconds_total", "endpoint"): frozenset({"list", "describe"}),
}
"""The values of labels of which each is known."""


def exported() -> dict[str, frozenset[str]]:
    """Every series that a scrape of the monitor brings, by name, with its labels."""
    series = {"up": TARGET_LABELS}
    for family in FAMILIES:
        labels = TARGET_LABELS | OWN_LABELS | {"milvus_cluster", *family.labels}
        series |= _named(family.full_name, labels) if family.type == "histogram" else {family.full_name: labels}
    process = ProcessMetrics()
    process.set_discoveries({"zilliz": DiscoveryStatus(up=True, clusters=1, last_success=0.0)})
    for own in process.registry.collect():
        for sample in own.samples:
            series[sample.name] = TARGET_LABELS | frozenset(sample.labels)
    return series


def _named(histogram: str, labels: frozenset[str]) -> dict[str, frozenset[str]]:
    return {f"{histogram}_bucket": labels | {"le"}, f"{histogram}_sum": labels, f"{histogram}_count": labels}


class UnknownNameError(ValueError):
    """An expression names a metric, a label or a value of a label that there is not."""


class Vocabulary:
    """Knows series by name, and says which labels the result of an expression has.

    Args:
        series: The labels of each series, by its name.
    """

    def __init__(self, series: Mapping[str, Iterable[str]]) -> None:
        self.series = {name: frozenset(labels) for name, labels in series.items()}

    def labels(self, expression: str) -> frozenset[str]:
        """The labels of an expression's result.

        Raises:
            UnknownNameError: It names something that there is not.
        """
        return self._of(promql.parse(expression))

    @singledispatchmethod
    def _of(self, node: Any) -> frozenset[str]:
        raise TypeError(f"nobody has thought of {type(node).__name__} yet")

    @_of.register(promql.NumberLiteral)
    @_of.register(promql.StringLiteral)
    def _literal(self, _node: Any) -> frozenset[str]:
        return frozenset()

    @_of.register
    def _parentheses(self, node: promql.ParenExpr) -> frozenset[str]:
        return self._of(node.expr)

    @_of.register
    def _range(self, node: promql.MatrixSelector) -> frozenset[str]:
        return self._of(node.vector_selector)

    @_of.register
    def _selector(self, node: promql.VectorSelector) -> frozenset[str]:
        if node.name not in self.series:
            raise UnknownNameError(f"there is no metric {node.name}")
        for matcher in node.matchers.matchers:
            self._known({matcher.name}, self.series[node.name], node)
            values = VALUES.get((node.name, matcher.name))
            if values is not None and not set(matcher.value.split("|")) <= values:
                raise UnknownNameError(f"{matcher.name} of {node.name} is never {matcher.value}")
        return self.series[node.name]

    @_of.register
    def _call(self, node: promql.Call) -> frozenset[str]:
        labels = frozenset[str]().union(*(self._of(argument) for argument in node.args))
        if node.func.name == "absent":
            return frozenset()
        return labels - {"le"} if node.func.name == "histogram_quantile" else labels

    @_of.register
    def _aggregation(self, node: promql.AggregateExpr) -> frozenset[str]:
        inner = self._of(node.expr)
        if node.modifier is None:
            return frozenset()
        without = node.modifier.type == promql.AggModifierType.Without
        self._known(node.modifier.labels, inner | TARGET_LABELS | {"endpoint"} if without else inner, node)
        if str(node.op) in {"topk", "bottomk"}:
            return inner
        named = frozenset(node.modifier.labels)
        return inner - named if without else named

    @_of.register
    def _binary(self, node: promql.BinaryExpr) -> frozenset[str]:
        left, right = self._of(node.lhs), self._of(node.rhs)
        matching = None if node.modifier is None else node.modifier.matching
        if matching is not None:
            if matching.type == promql.LabelModifierType.Include:
                self._known(matching.labels, left, node)
                self._known(matching.labels, right, node)
            self._known(matching.labels, left | right, node)
        return left or right

    @staticmethod
    def _known(names: Iterable[str], labels: frozenset[str], node: Any) -> None:
        if unknown := set(names) - labels:
            raise UnknownNameError(f"no label {', '.join(sorted(unknown))} in {node.prettify()}")
