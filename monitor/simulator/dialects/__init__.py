"""The API dialects by generation: a new dialect is one file, one line of `DIALECTS` and its name in `Generation`."""

from collections.abc import Mapping
from typing import Literal

from monitor.simulator.dialects.base import Dialect
from monitor.simulator.dialects.milvus import Milvus
from monitor.simulator.dialects.milvus_23 import Milvus23
from monitor.simulator.dialects.zilliz import Zilliz
from monitor.simulator.dialects.zilliz_v1 import ZillizV1

Generation = Literal["zilliz", "milvus", "v1", "milvus-2.3"]

DIALECTS: Mapping[Generation, Dialect] = {
    "zilliz": Zilliz(),
    "milvus": Milvus(),
    "v1": ZillizV1(),
    "milvus-2.3": Milvus23(),
}
