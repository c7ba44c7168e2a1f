"""Where a click leads: from dashboard to dashboard, and to the monitor's own pages.

A page of the monitor is below the variable `monitor`, which whoever looks can set.
"""

from typing import Final

FLEET_UID: Final = "milvus-import-fleet"
CLUSTER_UID: Final = "milvus-import-cluster"
COLLECTION_UID: Final = "milvus-import-collection"

Link = dict[str, object]


def _field(name: str) -> str:
    return f"${{__data.fields.{name}:percentencode}}"


def _link(title: str, url: str, *, elsewhere: bool) -> Link:
    return {"title": title, "url": url, "targetBlank": elsewhere}


def _dashboard(uid: str, **variables: str) -> str:
    given = "".join(f"&var-{name}={value}" for name, value in variables.items())
    return f"/d/{uid}?${{datasource:queryparam}}&${{monitor:queryparam}}{given}&${{__url_time_range}}"


def of_cluster() -> list[Link]:
    """From the name of a cluster."""
    name = _field("milvus_cluster")
    return [
        _link("Dashboard of the cluster", _dashboard(CLUSTER_UID, cluster=name), elsewhere=False),
        _link("Status page of the cluster", f"${{monitor}}/?cluster={name}", elsewhere=True),
    ]


def of_collection() -> list[Link]:
    """From the name of a collection."""
    names = {name: _field(name) for name in ("database", "collection")}
    cluster = _field("milvus_cluster")
    page = "&".join(f"{name}={value}" for name, value in ({"cluster": cluster} | names).items())
    return [
        _link("Dashboard of the collection", _dashboard(COLLECTION_UID, cluster=cluster, **names), elsewhere=False),
        _link("Status page of the collection", f"${{monitor}}/collection?{page}", elsewhere=True),
    ]


def of_job() -> list[Link]:
    """From the id of a job."""
    page = f"${{monitor}}/job?cluster={_field('milvus_cluster')}&id={_field('job_id')}"
    return [_link("Status page of the job", page, elsewhere=True)]
