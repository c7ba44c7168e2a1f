"""The JSON Schema of the config file, with which editors complete and check it while it is written."""

from __future__ import annotations

from typing import Any, Final

from monitor.config.document import REFERENCE
from monitor.config.schema import Config, JobSettings, PollSettings

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the config file.

    It checks each setting by itself; what settings have to do with each other is checked when the file is loaded.
    """
    schema = Config.model_json_schema()
    for section in (schema, *schema["$defs"].values()):
        for setting in section["properties"].values():
            if "$ref" in setting or setting.get("default") in (None, [], "", {}):
                setting.pop("default", None)
            _allow_reference(setting)
    schema["required"] = ["clusters"]
    cluster = schema["$defs"]["Cluster"]["properties"]
    for name in (*PollSettings.model_fields, *JobSettings.model_fields):
        # Taken out and put back, so that name and url come first when an editor writes a new cluster.
        setting = cluster.pop(name)
        del setting["default"]
        section_name = "jobs" if name in JobSettings.model_fields else "poll"
        setting["description"] += f" Overrides {section_name}.{name}."
        cluster[name] = setting
    return {"$schema": DIALECT, **schema, "title": "milvus-import-monitor config file"}


def _allow_reference(setting: dict[str, Any]) -> None:
    """Accept a reference to an environment variable beside every value that is not any text."""
    about = {"title", "description", "default"}
    value = {name: setting.pop(name) for name in list(setting) if name not in about}
    is_leaf = value != {"type": "string"} and not {"$ref", "items"} & value.keys() | value.get("items", {}).keys() & {
        "$ref"
    }
    setting |= {"anyOf": [value, {"type": "string", "pattern": REFERENCE}]} if is_leaf else value
