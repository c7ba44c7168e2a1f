"""How the panels look: numbers that are good or bad, lines over time, and tables."""

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
"""The legend of lines that are states; these have the colours below everywhere."""

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
MOVES_OR_NOT: Mapping[str, tuple[str, str]] = {"0": ("moves", "green"), "1": ("stalled", "orange")}
YES_OR_NO: Mapping[str, tuple[str, str]] = {"1": ("yes", "green"), "0": ("no", "red")}

Steps = Sequence[tuple[float | None, str]]
NEUTRAL: Steps = ((None, "blue"),)
BAD_FROM_1: Steps = ((None, "green"), (1, "red"))
WARN_FROM_1: Steps = ((None, "green"), (1, "orange"))


def mapped(text: Mapping[str, tuple[str, str]]) -> list[model.ValueMapping]:
    """Words and colours for values."""
    options = {
        value: model.ValueMappingResult(text=word, color=colour, index=index)
        for index, (value, (word, colour)) in enumerate(text.items())
    }
    return [model.ValueMap(options=options)]


def limits(steps: Steps) -> build.ThresholdsConfig:
    """Colours from values on."""
    return (
        build.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=value, color=colour) for value, colour in steps])
    )


def _colour(mode: model.FieldColorModeId) -> build.FieldColor:
    return build.FieldColor().mode(mode)


def instant(expression: str, ref_id: str = "A", legend: str = "") -> prometheus.Dataquery:
    """Ask for the present."""
    return prometheus.Dataquery().datasource(DATASOURCE).ref_id(ref_id).expr(expression).legend_format(legend).instant()


def over_time(expression: str, legend: str, ref_id: str = "A") -> prometheus.Dataquery:
    """Ask for the time that is shown."""
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
    """One number, coloured by how good it is, with its course in the background.

    Args:
        title: Of the panel.
        description: What the number means, and what it does not.
        expression: The query.
        width: Of 24.
        steps: Colours from values on.
        unit: Grafana's name of the unit.
        words: Words for values.
        trend: Whether the course is drawn; without it only the present is asked for.
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
    """Lines over time, none below 0.

    Args:
        title: Of the panel.
        description: What is shown.
        *targets: The queries.
        width: Of 24.
        unit: Grafana's name of the unit.
        stacked: Whether the lines add up.
        top: The largest value there can be.
        steps: Whether a value holds until the next one, as counts do.
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
    """One bar for each kind of something, the present only."""
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
        name: The label of the series that it shows, or `Value`, or `Value #B` where the table has several queries.
        title: Its heading; without one the column is hidden, and links can still use it.
        unit: Grafana's name of the unit.
        words: Words for values.
        links: Where a click leads.
        bar: Whether the value, 0 to 1, is drawn as a bar.
        width: In pixels.
        steps: Colours from values on.
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
        """What makes the column look like this."""
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
    """A table of the present: a row for each series; where there are several queries, for each set of equal labels.

    Args:
        title: Of the panel.
        description: What a row is, and why it is here.
        *expressions: The queries, in the order of `Value #A`, `Value #B` and so on.
        columns: From left to right; labels that are not named here are hidden.
        width: Of 24.
        sort: The title of the column by which the rows are sorted.
        descending: Whether the largest comes first.
        height: In the units of the grid.
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
