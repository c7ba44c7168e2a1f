"""The parts common to all dashboards: variables, links, and annotations of failures."""

from collections.abc import Iterable, Sequence

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana.source import queries
from deploy.grafana.source.import_dialog import INPUT
from deploy.grafana.source.queries import Scope

TAG = "milvus-import"
TAGS = [TAG, "milvus", "zilliz", "prometheus"]
RUNBOOKS = "https://milvus-import-monitor.github.io/milvus-import-monitor/runbooks"
DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
_IMPORTED = model.VariableOption(text=f"${{{INPUT}}}", value=f"${{{INPUT}}}")
EVERYTHING = model.VariableOption(text="All", value="$__all")

ANNOTATION = {
    "titleFormat": "Import into {{collection}} on {{milvus_cluster}} failed: {{reason}}",
    "textFormat": "job {{job_id}}",
    "tagKeys": "milvus_cluster,database,collection",
    "step": "60s",
}
"""Fields of annotations that are specific to the Prometheus data source."""

Rows = Sequence[tuple[str, Iterable[Builder[model.Panel]]]]


def framed(
    uid: str, title: str, description: str, scope: Scope, *variables: Builder[model.VariableModel], rows: Rows
) -> model.Dashboard:
    """Put rows of panels into a dashboard.

    Args:
        uid: The name in URLs; a provisioned dashboard replaces the dashboard with the same uid.
        title: The displayed title.
        description: The purpose of the dashboard.
        scope: The scope of the annotations.
        *variables: Variables in addition to the data source and the URL of the monitor.
        rows: The title and the panels of each row, from left to right.
    """
    frame = (
        build.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(TAGS)
        .time("now-6h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .editable()
        .with_variable(
            build.DatasourceVariable("datasource").label("Data source").type("prometheus").current(_IMPORTED)
        )
    )
    for variable in variables:
        frame.with_variable(variable)
    frame.with_variable(
        build.TextBoxVariable("monitor")
        .label("Monitor")
        .description("Base URL of the monitor, used in links to its pages.")
        .default_value("http://localhost:19595")
    )
    frame.with_variable(
        build.TextBoxVariable("runbooks")
        .label("Runbooks")
        .description("Base URL of the runbooks of the alerts.")
        .default_value(RUNBOOKS)
    )
    frame.link(
        build.DashboardLink("Imports")
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .include_vars(include_vars=True)
        .keep_time(keep_time=True)
    )
    frame.link(
        build.DashboardLink("Status page")
        .type(model.DashboardLinkType.LINK)
        .url("${monitor}/")
        .icon("external link")
        .tooltip("Status page of the monitor: all jobs, with the server's messages")
        .target_blank(target_blank=True)
    )
    frame.annotation(_failures(scope))
    for name, panels in rows:
        frame.with_row(build.Row(name))
        for panel in panels:
            frame.with_panel(panel)
    made = frame.build()
    for number, placed in enumerate(made.panels or (), start=1):
        placed.id_val = number
    return made


def variable(name: str, label: str, metric: str, *, many: bool = False, where: str = "") -> build.QueryVariable:
    """Build a variable with the values of a label.

    Args:
        name: The name of the variable.
        label: A label of the metric.
        metric: The metric, without matchers.
        many: Whether several values or all can be selected; all includes series with an empty label.
        where: Matchers.
    """
    made = (
        build.QueryVariable(name)
        .label(name.capitalize())
        .datasource(DATASOURCE)
        .query({"query": f"label_values({metric}{{{where}}}, {label})", "refId": "variable"})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )
    if many:
        made.multi(multi=True).include_all(include_all=True).all_value(".*").current(EVERYTHING)
    return made


def cluster_variable(*, many: bool) -> build.QueryVariable:
    """Build the variable of the configured clusters, including clusters that were never reachable."""
    return variable("cluster", "milvus_cluster", "milvus_import_cluster_info", many=many)


def database_variable() -> build.QueryVariable:
    """Build the variable of the databases of the selected cluster, if its API reports them."""
    where = 'milvus_cluster="$cluster"'
    return variable("database", "database", "milvus_import_jobs_finished_total", many=True, where=where)


def collection_variable(*, many: bool) -> build.QueryVariable:
    """Build the variable of the collections of the selected databases."""
    where = 'milvus_cluster="$cluster", database=~"$database"'
    return variable("collection", "collection", "milvus_import_jobs_finished_total", many=many, where=where)


class _Annotation(model.AnnotationQuery):
    """A Prometheus annotation; the SDK lacks the fields specific to this data source."""

    def to_json(self) -> dict[str, object]:
        return super().to_json() | ANNOTATION


def _failures(scope: Scope) -> Builder[model.AnnotationQuery]:
    made = build.AnnotationQuery()
    made._internal = _Annotation()  # noqa: SLF001 - the builder offers no other way to set these fields
    return (
        made.name("Failed imports")
        .datasource(DATASOURCE)
        .enable(enable=True)
        .icon_color("red")
        .expr(queries.just_failed(scope))
    )
