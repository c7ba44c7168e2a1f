"""Links between dashboards, to the pages of the monitor, and to the runbooks of the alerts.

The base URLs are the variables `monitor` and `runbooks`, which the viewer can change.
"""

from typing import Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model

FLEET_UID: Final = "milvus-import-fleet"
CLUSTER_UID: Final = "milvus-import-cluster"
COLLECTION_UID: Final = "milvus-import-collection"

Link = dict[str, object]


def _field(name: str) -> str:
    return f"${{__data.fields.{name}:percentencode}}"


def _link(title: str, url: str, *, new_tab: bool) -> Link:
    return {"title": title, "url": url, "targetBlank": new_tab}


def _dashboard(uid: str, **variables: str) -> str:
    selected = "".join(f"&var-{name}={value}" for name, value in variables.items())
    same = "${datasource:queryparam}&${monitor:queryparam}&${runbooks:queryparam}"
    return f"/d/{uid}?{same}{selected}&${{__url_time_range}}"


def of_cluster() -> list[Link]:
    """Return the links of a cluster name."""
    name = _field("milvus_cluster")
    return [
        _link("Cluster dashboard", _dashboard(CLUSTER_UID, cluster=name), new_tab=False),
        _link("Cluster status page", f"${{monitor}}/?cluster={name}", new_tab=True),
    ]


def of_collection() -> list[Link]:
    """Return the links of a collection name."""
    names = {name: _field(name) for name in ("database", "collection")}
    cluster = _field("milvus_cluster")
    page = "&".join(f"{name}={value}" for name, value in ({"cluster": cluster} | names).items())
    return [
        _link("Collection dashboard", _dashboard(COLLECTION_UID, cluster=cluster, **names), new_tab=False),
        _link("Collection status page", f"${{monitor}}/collection?{page}", new_tab=True),
    ]


def of_job() -> list[Link]:
    """Return the links of a job id."""
    page = f"${{monitor}}/job?cluster={_field('milvus_cluster')}&id={_field('job_id')}"
    return [_link("Job status page", page, new_tab=True)]


def of_alert() -> list[Link]:
    """Return the link of the name of an alert."""
    return [_link("Runbook", f"${{runbooks}}/{_field('alertname')}", new_tab=True)]


def runbook(alert: str) -> build.DashboardLink:
    """Build the link of a panel to the runbook of an alert."""
    return (
        build.DashboardLink("Runbook")
        .type(model.DashboardLinkType.LINK)
        .url(f"${{runbooks}}/{alert}")
        .tooltip(f"What {alert} means, and what to do")
        .target_blank(target_blank=True)
    )
