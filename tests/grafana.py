"""The committed dashboards, and their queries asked as Grafana asks them, with every choice of the variables."""

import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.prometheus import Prometheus

FOLDER = Path(__file__).parents[1] / "deploy" / "grafana" / "dashboards"
SCRAPE_INTERVAL = 1
RATE_INTERVAL = f"{4 * SCRAPE_INTERVAL}s"
"""What `$__rate_interval` is at least, in Grafana: four scrapes."""

Dashboard = dict[str, Any]
Target = dict[str, Any]
Choice = Mapping[str, str]

_LABEL_VALUES = re.compile(r"label_values\((.+), (\w+)\)")
_WITHOUT_DATA = " or vector(0)"
_WAIT = 60.0
_PAUSE = 0.5


def dashboards() -> dict[str, Dashboard]:
    """Every committed dashboard, by the name of its file."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def panels(dashboard: Dashboard) -> list[dict[str, Any]]:
    """Its panels, without the rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def targets(dashboard: Dashboard) -> Iterator[tuple[str, Target]]:
    """Each query, with a name: the title of its panel and its letter; annotations are asked over time as well."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target
    for annotation in dashboard["annotations"]["list"]:
        yield f"annotation {annotation['name']}", annotation | {"instant": False}


def filled(text: str, choice: Choice) -> str:
    """Put values into a query."""
    for name, value in (choice | {"__rate_interval": RATE_INTERVAL}).items():
        text = text.replace(f"${name}", value)
    return text


def choices(prometheus: Prometheus, dashboard: Dashboard) -> Iterator[Choice]:
    """Every choice that the variables offer: each value that their queries give, and all where that can be chosen."""
    wanted = [variable for variable in dashboard["templating"]["list"] if variable["type"] == "query"]

    def chosen(choice: Choice) -> Iterator[Choice]:
        if len(choice) == len(wanted):
            yield choice
            return
        variable = wanted[len(choice)]
        for value in (
            *([variable["allValue"]] if variable["includeAll"] else []),
            *values(prometheus, variable, choice),
        ):
            yield from chosen({**choice, variable["name"]: value})

    return chosen({})


def values(prometheus: Prometheus, variable: dict[str, Any], choice: Choice) -> list[str]:
    """What the query of a variable gives, once those before it are chosen."""
    query = _LABEL_VALUES.fullmatch(filled(variable["query"]["query"], choice))
    assert query, variable
    return prometheus.label_values(query[2], query[1])


def wait_for_data(prometheus: Prometheus, dashboard: Dashboard, target: Target, since: float, *, zero: bool) -> None:
    """Return once a query has data with some choice of the variables; fails after a minute.

    A number that a query makes up where there is no data is no data, nor is NaN, nor, unless `zero`, is 0.
    """
    deadline = time.monotonic() + _WAIT
    while not any(
        _has_data(prometheus, filled(target["expr"], choice), target, since, zero=zero)
        for choice in choices(prometheus, dashboard)
    ):
        assert time.monotonic() < deadline, f"no data: {target['expr']}"
        time.sleep(_PAUSE)


def _has_data(prometheus: Prometheus, expression: str, target: Target, since: float, *, zero: bool) -> bool:
    expression = expression.removesuffix(_WITHOUT_DATA)
    if target["instant"]:
        found = [series["value"][1] for series in prometheus.query(expression)]
    else:
        ranges = prometheus.query_range(expression, since, time.time(), SCRAPE_INTERVAL)
        found = [value for series in ranges for _, value in series["values"]]
    numbers = [float(value) for value in found]
    return any(not math.isnan(number) and (zero or number != 0) for number in numbers)
