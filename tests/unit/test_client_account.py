"""Whatever JSON the account API sends: an ``ApiError``, or clusters, projects and regions that can be configured."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from monitor.client.account import (
    PAGE_SIZE,
    decode_clusters,
    decode_on_demand_clusters,
    decode_projects,
    decode_regions,
)
from monitor.client.decoding import Body
from monitor.client.errors import ApiError
from monitor.config.cluster import ClusterSettings
from tests.unit.test_client_hostile import anything, check_error, text, unhurried

IDS = ("clusterId", "projectId", "regionId")
FIELDS = (*IDS, "clusterName", "projectName", "plan", "status", "regionIds")
identifier = st.one_of(text, st.text("in01-", min_size=1, max_size=200))
record = st.fixed_dictionaries(
    dict.fromkeys(IDS, identifier),
    optional={field: st.one_of(anything, st.lists(identifier, max_size=3)) for field in FIELDS if field not in IDS},
)
listed = st.lists(st.one_of(record, anything), max_size=3)
data = st.one_of(
    anything,
    listed,
    st.dictionaries(st.sampled_from(["clusters", "onDemandClusters", "projects", "regions"]), listed, max_size=4),
    st.fixed_dictionaries({"clusters": listed, "pageSize": anything, "count": anything}),
)


def check_name(name: str) -> None:
    assert len(name) <= 256
    assert not any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in name)
    name.encode()


@unhurried
@given(data)
@example([{"clusterId": "a", "projectId": "a", "regionId": "a", "regionIds": "abc", "clusterName": "\ud800"}])
@example([{"clusterId": "a\n", "projectId": "a\n", "regionId": "a\n"}])
@example({"clusters": [], "pageSize": -1, "count": -1})
def test_any_json_is_an_api_error_or_names_what_can_be_configured(answered: Any) -> None:
    body = Body(json.dumps({"code": 0, "data": answered}).encode(), "host:1")
    for decode in (decode_clusters, decode_on_demand_clusters, decode_projects, decode_regions):
        try:
            decoded: Any = decode(body)
        except ApiError as error:
            check_error(error)
            continue
        if decode is decode_clusters:
            assert decoded.size <= PAGE_SIZE
            decoded = decoded.clusters
        for found in decoded:
            ids = [found] if isinstance(found, str) else [found.id, *getattr(found, "regions", ())]
            for each in ids:
                ClusterSettings(name="a", url="https://api.cloud.zilliz.com", cluster_id=each)
            for name in () if isinstance(found, str) else (found.name, found.plan, getattr(found, "status", "")):
                check_name(name)
