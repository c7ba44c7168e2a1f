"""The JSON Schema of the config file, with which editors complete and check it while it is written."""

from __future__ import annotations

from typing import Any, Final

from monitor.config.model import OVERRIDES, ConfigFile, JobSettings

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the config file.

    It checks each setting by itself; what settings have to do with each other is checked when the file is loaded.
    """
    schema = ConfigFile.model_json_schema()
    for section in (schema, *schema["$defs"].values()):
        for setting in section["properties"].values():
            if setting.get("default") in (None, []):
                setting.pop("default", None)
    cluster = schema["$defs"]["ClusterSection"]["properties"]
    for name in OVERRIDES:
        # Taken out and put back, so that name and url come first when an editor writes a new cluster.
        setting = cluster.pop(name)
        del setting["default"]
        section_name = "jobs" if name in JobSettings.model_fields else "poll"
        setting["description"] += f" Without it, {section_name}.{name} counts."
        cluster[name] = setting
    return {"$schema": DIALECT, **schema, "title": "milvus-import-monitor config file"}
