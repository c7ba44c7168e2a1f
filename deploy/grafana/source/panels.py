"""Builders of panels: numbers with thresholds, lines over time, bars, and tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import prometheus as prometheus_model

from deploy.grafana.source.frame import DATASOURCE
from deploy.grafana.source.links import Link

WIDTH = 24
STAT_HEIGHT, HEIGHT, TABLE_HEIGHT = 4, 8, 9

BY_STATE = "{{state}}"
"""The legend of lines by state; the states have the same colours in all panels."""

STATE_COLOURS: Mapping[str, str] = {
    "pending": "light-blue",
    "importing": "blue",
    "uncommitted": "yellow",
    "committing": "light-yellow",
    "completed": "green",
    "failed": "red",
    "vanished": "orange",
    "unknown": "purple",
}
UP_OR_DOWN: Mapping[str, tuple[str, str]] = {"1": ("up", "green"), "0": ("down", "red")}
OK_OR_FAILED: Mapping[str, tuple[str, str]] = {"0": ("completed", "green"), "1": ("failed", "red")}
PROGRESSING_OR_STALLED: Mapping[str, tuple[str, str]] = {"0": ("progressing", "green"), "1": ("stalled", "orange")}
YES_OR_NO: Mapping[str, tuple[str, str]] = {"1": ("yes", "green"), "0": ("no", "red")}

Steps = Sequence[tuple[float | None, str]]
NEUTRAL: Steps = ((None, "blue"),)
BAD_FROM_1: Steps = ((None, "green"), (1, "red"))
WARN_FROM_1: Steps = ((None, "green"), (1, "orange"))


def mapped(text: Mapping[str, tuple[str, str]]) -> list[model.ValueMapping]:
    """Map values to texts and colours."""
    options = {
        value: model.ValueMappingResult(text=word, color=colour, index=index)
        for index, (value, (word, colour)) in enumerate(text.items())
    }
    return [model.ValueMap(options=options)]


def limits(steps: Steps) -> build.ThresholdsConfig:
    """Build thresholds: a colour from a value on."""
    return (
        build.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=value, color=colour) for value, colour in steps])
    )


def _colour(mode: model.FieldColorModeId) -> build.FieldColor:
    return build.FieldColor().mode(mode)


def instant(expression: str, ref_id: str = "A", legend: str = "") -> prometheus.Dataquery:
    """Build an instant query."""
    return prometheus.Dataquery().datasource(DATASOURCE).ref_id(ref_id).expr(expression).legend_format(legend).instant()


def over_time(expression: str, legend: str, ref_id: str = "A") -> prometheus.Dataquery:
    """Build a range query."""
    return prometheus.Dataquery().datasource(DATASOURCE).ref_id(ref_id).expr(expression).legend_format(legend).range()


def number(
    title: str,
    description: str,
    expression: str,
    *,
    width: int,
    steps: Steps = NEUTRAL,
    unit: str = "short",
    words: Mapping[str, tuple[str, str]] | None = None,
    trend: bool = True,
) -> stat.Panel:
    """Build a panel with one number, coloured by thresholds, with its trend in the background.

    Args:
        title: The title of the panel.
        description: The meaning of the number.
        expression: The query.
        width: The width in columns, of 24.
        steps: The thresholds.
        unit: Grafana's name of the unit.
        words: Texts for values.
        trend: Whether to draw the trend; if not, the query is an instant query.
    """
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .height(STAT_HEIGHT)
        .span(width)
        .unit(unit)
        .thresholds(limits(steps))
        .color_scheme(_colour(model.FieldColorModeId.THRESHOLDS))
        .color_mode(
            common_model.BigValueColorMode.BACKGROUND if steps != NEUTRAL else common_model.BigValueColorMode.VALUE
        )
        .graph_mode(common_model.BigValueGraphMode.AREA if trend else common_model.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(over_time(expression, "") if trend else instant(expression))
    )
    if words:
        panel.mappings(mapped(words)).color_mode(common_model.BigValueColorMode.BACKGROUND)
    return panel


def lines(
    title: str,
    description: str,
    *targets: prometheus.Dataquery,
    width: int,
    unit: str = "short",
    stacked: bool = False,
    top: float | None = None,
    steps: bool = False,
) -> timeseries.Panel:
    """Build a panel with lines over time, starting at 0.

    Args:
        title: The title of the panel.
        description: The meaning of the lines.
        *targets: The queries.
        width: The width in columns, of 24.
        unit: Grafana's name of the unit.
        stacked: Whether the lines are stacked.
        top: The maximum value.
        steps: Whether to draw steps instead of slopes, for counts.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .height(HEIGHT)
        .span(width)
        .unit(unit)
        .min(0)
        .fill_opacity(30 if stacked else 8)
        .line_width(1)
        .show_points(common_model.VisibilityMode.AUTO)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_model.LegendDisplayMode.TABLE)
            .placement(common_model.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_model.TooltipDisplayMode.MULTI)
            .sort(common_model.SortOrder.DESCENDING)
        )
    )
    if top is not None:
        panel.max(top)
    if stacked:
        panel.stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL))
    if steps:
        panel.line_interpolation(common_model.LineInterpolation.STEP_AFTER)
    for target in targets:
        panel.with_target(target)
    states = STATE_COLOURS if any(target.build().legend_format == BY_STATE for target in targets) else {}
    for state, colour in states.items():
        panel.override_by_name(state, [_value("color", {"mode": "fixed", "fixedColor": colour})])
    return panel


def bars(
    title: str, description: str, expression: str, legend: str, *, width: int, steps: Steps = NEUTRAL
) -> bargauge.Panel:
    """Build a panel with one bar per series, at the current time."""
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .height(HEIGHT)
        .span(width)
        .min(0)
        .thresholds(limits(steps))
        .color_scheme(_colour(model.FieldColorModeId.THRESHOLDS))
        .orientation(common_model.VizOrientation.HORIZONTAL)
        .display_mode(common_model.BarGaugeDisplayMode.GRADIENT)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(instant(expression, legend=legend))
    )


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: A label, or `Value`, or `Value #B` if the table has several queries.
        title: The heading; without a heading the column is hidden but available to links.
        unit: Grafana's name of the unit.
        words: Texts for values.
        links: Links of the cells.
        bar: Whether to draw the value, 0 to 1, as a bar.
        width: The width in pixels.
        steps: The thresholds.
    """

    name: str
    title: str = ""
    unit: str = ""
    words: Mapping[str, tuple[str, str]] | None = None
    links: Sequence[Link] = ()
    bar: bool = False
    width: int | None = None
    steps: Steps = field(default=())

    def properties(self) -> list[model.DynamicConfigValue]:
        """Return the properties of the column."""
        made: list[tuple[str, Any]] = [("displayName", self.title)] if self.title else [("custom.hidden", True)]
        if self.unit:
            made.append(("unit", self.unit))
        if self.width:
            made.append(("custom.width", self.width))
        if self.links:
            made.append(("links", list(self.links)))
        if self.words:
            made += [("mappings", mapped(self.words)), ("custom.cellOptions", {"type": "color-text"})]
        if self.steps:
            made += [("thresholds", limits(self.steps).build()), ("custom.cellOptions", {"type": "color-text"})]
        if self.bar:
            made += [("min", 0), ("max", 1), ("unit", "percentunit")]
            made.append(("custom.cellOptions", {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}))
        return [_value(key, value) for key, value in made]


def rows(
    title: str,
    description: str,
    *expressions: str,
    columns: Sequence[Column],
    width: int,
    sort: str = "",
    descending: bool = True,
    height: int = TABLE_HEIGHT,
) -> table.Panel:
    """Build a table of current values: a row per series, or per set of labels if there are several queries.

    Args:
        title: The title of the panel.
        description: The meaning of a row.
        *expressions: The queries, in the order `Value #A`, `Value #B` and so on.
        columns: The columns from left to right; other labels are hidden.
        width: The width in columns, of 24.
        sort: The title of the column to sort by.
        descending: Whether to sort in descending order.
        height: The height in grid units.
    """
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .height(height)
        .span(width)
        .no_value("none")
        .cell_height(common_model.TableCellHeight.SM)
        .thresholds(limits(NEUTRAL))
    )
    for number_, expression in enumerate(expressions):
        target = instant(expression, chr(ord("A") + number_)).format(prometheus_model.PromQueryFormat.TABLE)
        panel.with_target(target)
    if len(expressions) > 1:
        panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    shown = [column.name for column in columns]
    panel.with_transformation(
        model.DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"names": shown}})
    )
    panel.with_transformation(
        model.DataTransformerConfig(
            id_val="organize", options={"indexByName": {name: index for index, name in enumerate(shown)}}
        )
    )
    for column in columns:
        panel.override_by_name(column.name, column.properties())
    if sort:
        panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(desc=descending)])
    return panel


def _value(key: str, value: object) -> model.DynamicConfigValue:
    return model.DynamicConfigValue(id_val=key, value=value)
