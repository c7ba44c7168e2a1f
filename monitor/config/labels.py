"""Labels that users give a cluster: their names and values, as Prometheus and the monitor's own series allow them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, Field, WithJsonSchema

MAX_LABELS: Final = 16
"""Labels of one cluster: each makes every series of the cluster longer."""

MAX_LABEL_NAME: Final = 64
MAX_LABEL_VALUE: Final = 128

TARGET_LABELS: Final = (
    *("instance", "job", "namespace", "service", "pod", "container", "endpoint", "exported_endpoint"),
    *("node", "host", "pod_template_hash"),
)
"""Labels that Prometheus, its operator and common relabellings add to each series of a target.

The rules in deploy/prometheus drop them, so that two monitors give one alert; a cluster's label must not be among them.
"""

RESERVED_LABELS: Final = frozenset(
    {
        *("milvus_cluster", "database", "collection", "job_id", "state", "reason", "from_state", "to_state", "le"),
        *("cluster_id", "url", "api", "expectation", "discovery", "version", "python", "implementation"),
        *("major", "minor", "patchlevel", "quantile", "alertname", "alertstate", "severity"),
        *TARGET_LABELS,
    }
)
"""Names with a meaning of their own, in the monitor's series, in a scrape, or in an alert."""

_PATTERN: Final = rf"[A-Za-z_][A-Za-z0-9_]{{0,{MAX_LABEL_NAME - 1}}}"
"""https://prometheus.io/docs/concepts/data_model/#metric-names-and-labels"""


class _HashableLabels(dict[str, str]):
    """Labels that nobody changes; a cluster is compared and hashed by them."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self.items()))


def _check_name(name: str) -> str:
    if not re.fullmatch(_PATTERN, name):
        what = f"1 to {MAX_LABEL_NAME} letters, digits and underscores, the first no digit"
        raise ValueError(f"the name of a label must be {what}")
    if name.startswith("__"):
        raise ValueError("the name of a label must not start with __, which Prometheus reserves")
    if name in RESERVED_LABELS or name.startswith("exported_"):
        raise ValueError("is already a label of the monitor, of Prometheus or of an alert; choose another name")
    return name


def _check_value(value: str) -> str:
    if len(value) > MAX_LABEL_VALUE or not value.isprintable() or value != value.strip():
        raise ValueError(f"must be 1 to {MAX_LABEL_VALUE} printable characters without a space at either end")
    return value


_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "maxProperties": MAX_LABELS,
    "propertyNames": {
        "pattern": f"^{_PATTERN}$",
        "not": {"anyOf": [{"pattern": "^(__|exported_)"}, {"enum": sorted(RESERVED_LABELS)}]},
    },
    "additionalProperties": {"type": "string", "minLength": 1, "maxLength": MAX_LABEL_VALUE},
}

Labels: TypeAlias = Annotated[
    dict[
        Annotated[str, AfterValidator(_check_name)],
        Annotated[str, Field(min_length=1), AfterValidator(_check_value)],
    ],
    Field(max_length=MAX_LABELS),
    AfterValidator(lambda labels: _HashableLabels(sorted(labels.items()))),
    WithJsonSchema(_SCHEMA),
]
"""Labels by name, sorted."""
