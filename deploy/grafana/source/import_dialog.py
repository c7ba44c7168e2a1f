"""What the import dialog of Grafana and grafana.com read from a dashboard, and nobody else does.

One file serves both ways. The dialog asks for the data source of `__inputs` and puts it wherever a dashboard has
`${DS_PROMETHEUS}`: here only into the variable `datasource`. Where a file is provisioned as it is, that value is no
data source, and Grafana selects the first one of the type instead.
"""

from typing import Any, Final

INPUT: Final = "DS_PROMETHEUS"
GRAFANA: Final = "11.6.0"
"""The version of the SDK, and so of the panels that it writes."""

_PANELS: Final = {
    "bargauge": "Bar gauge",
    "stat": "Stat",
    "state-timeline": "State timeline",
    "table": "Table",
    "timeseries": "Time series",
}
_PROMETHEUS: Final = "Prometheus"


def portable(dashboard: dict[str, Any]) -> dict[str, Any]:
    """Add what an import needs: the inputs to ask for, and the plugins that the panels require.

    Raises:
        KeyError: A type of panel has no name here.
    """
    kinds = sorted({panel["type"] for panel in dashboard["panels"]} - {"row"})
    requires = [
        {"type": "grafana", "id": "grafana", "name": "Grafana", "version": GRAFANA},
        {"type": "datasource", "id": "prometheus", "name": _PROMETHEUS, "version": "1.0.0"},
        *({"type": "panel", "id": kind, "name": _PANELS[kind], "version": ""} for kind in kinds),
    ]
    source = {
        "name": INPUT,
        "label": _PROMETHEUS,
        "description": "The Prometheus that scrapes the monitors.",
        "type": "datasource",
        "pluginId": "prometheus",
        "pluginName": _PROMETHEUS,
    }
    return {"__inputs": [source], "__elements": {}, "__requires": requires} | dashboard
