"""What every dashboard has around its panels: variables, links to the others, failures as annotations."""

from collections.abc import Iterable, Sequence

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana.source import queries
from deploy.grafana.source.queries import Scope

TAG = "milvus-import"
DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
EVERYTHING = model.VariableOption(text="All", value="$__all")

ANNOTATION = {
    "titleFormat": "Import into {{collection}} of {{milvus_cluster}} failed: {{reason}}",
    "textFormat": "job {{job_id}}",
    "tagKeys": "milvus_cluster,database,collection",
    "step": "60s",
}
"""What Prometheus' annotations have beside the fields that all data sources share."""

Rows = Sequence[tuple[str, Iterable[Builder[model.Panel]]]]


def framed(
    uid: str, title: str, description: str, scope: Scope, *variables: Builder[model.VariableModel], rows: Rows
) -> model.Dashboard:
    """Put rows of panels into a dashboard.

    Args:
        uid: Its name in URLs; a dashboard provisioned anew replaces the one of the same name.
        title: Its name for people.
        description: What it is for.
        scope: Whose failures are its annotations.
        *variables: After the data source and the address of the monitor.
        rows: The title of each row, and its panels; they are laid out from left to right.
    """
    frame = (
        build.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .time("now-6h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .editable()
        .with_variable(build.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for variable in variables:
        frame.with_variable(variable)
    frame.with_variable(
        build.TextBoxVariable("monitor")
        .label("Monitor")
        .description("Where the pages of the monitor are; the links to them begin with this.")
        .default_value("http://localhost:19595")
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
        .tooltip("The monitor's own page: every job with the server's words")
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
    """A variable with the values of a label.

    Args:
        name: Of the variable.
        label: Of the metric's series.
        metric: The series, without matchers.
        many: Several can be chosen, or all; all includes the series on which the label is empty.
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
    """The clusters that the monitors are configured to watch, also those that never answered."""
    return variable("cluster", "milvus_cluster", "milvus_import_cluster_info", many=many)


def database_variable() -> build.QueryVariable:
    """The databases of the chosen cluster, where its API tells them."""
    where = 'milvus_cluster="$cluster"'
    return variable("database", "database", "milvus_import_jobs_finished_total", many=True, where=where)


def collection_variable(*, many: bool) -> build.QueryVariable:
    """The collections of the chosen databases."""
    where = 'milvus_cluster="$cluster", database=~"$database"'
    return variable("collection", "collection", "milvus_import_jobs_finished_total", many=many, where=where)


class _Annotation(model.AnnotationQuery):
    """An annotation from Prometheus; what its data source adds to the common fields is not known to the SDK."""

    def to_json(self) -> dict[str, object]:
        return super().to_json() | ANNOTATION


def _failures(scope: Scope) -> Builder[model.AnnotationQuery]:
    made = build.AnnotationQuery()
    made._internal = _Annotation()  # noqa: SLF001 - the builder has no other way to take a richer annotation
    return (
        made.name("Failed imports")
        .datasource(DATASOURCE)
        .enable(enable=True)
        .icon_color("red")
        .expr(queries.just_failed(scope))
    )
