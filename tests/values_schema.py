"""The schema of the chart's values, with the schema of the config file.

``python -m tests.values_schema`` generates that part.
"""

import copy
import json
from pathlib import Path
from typing import Any

from monitor.config import json_schema

PATH = Path(__file__).parents[1] / "deploy/helm/milvus-import-monitor/values.schema.json"


def current(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the chart's schema with the project's config in it, but for what the chart decides and what is secret."""
    config = copy.deepcopy(json_schema())
    sections = config.pop("$defs")
    del config["$schema"]
    del config["title"]
    del config["properties"]["listen"]
    del config["properties"]["web_config"]
    del sections["StateSection"]["properties"]["url"]
    del sections["StateSection"]["properties"]["url_file"]
    for section in sections.values():
        if "api_key" in section["properties"]:
            section["properties"]["api_key"] = {
                "description": section["properties"]["api_key"]["description"]
                + " No plain text: the config is stored in a ConfigMap, see keys.",
                "type": "string",
                "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*\}",
            }
    _without_lookahead(sections)
    return schema | {"properties": schema["properties"] | {"config": config}, "$defs": sections}


def _without_lookahead(node: Any) -> None:
    """Say in another way that a duration is not empty: Go, and so Helm, knows no look-ahead."""
    if isinstance(node, dict):
        if node.get("pattern", "").startswith("^(?=[0-9])"):
            node |= {"pattern": node["pattern"].replace("(?=[0-9])", ""), "minLength": 1}
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            _without_lookahead(inner)


if __name__ == "__main__":
    PATH.write_text(json.dumps(current(json.loads(PATH.read_text())), indent=2) + "\n")
