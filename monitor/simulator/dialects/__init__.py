"""The API dialects by generation: a new dialect is one file and one line of `DIALECTS`."""

from collections.abc import Mapping

from monitor.simulator.dialects.base import Dialect
from monitor.simulator.dialects.milvus import Milvus
from monitor.simulator.dialects.milvus_23 import Milvus23
from monitor.simulator.dialects.zilliz import Zilliz
from monitor.simulator.dialects.zilliz_v1 import ZillizV1

DIALECTS: Mapping[str, Dialect] = {
    "zilliz": Zilliz(),
    "milvus": Milvus(),
    "v1": ZillizV1(),
    "milvus-2.3": Milvus23(),
}
