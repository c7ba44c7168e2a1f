"""From the text of a config file to a `Config`, or to every problem it has; and its JSON Schema for editors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from monitor.config.conflicts import find_conflicts
from monitor.config.document import REFERENCE, read_document
from monitor.config.errors import ConfigError, printable
from monitor.config.files import MAX_CONFIG_BYTES, LoadContext, decode, read_bytes
from monitor.config.schema import Config, JobSettings, PollSettings
from monitor.config.validation import validate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read a config file, with `environ` for `${NAME}`; relative paths in it are relative to its directory.

    Raises:
        ConfigError: With everything that is wrong, up to a bound.
    """
    try:
        text = decode(read_bytes(path, MAX_CONFIG_BYTES, regular=False))
    except ValueError as error:
        problem = f"the config file {error}"
    else:
        return parse(text, source=str(path), directory=path.parent, environ=environ, path=path)
    # Raised here, because an error raised while another is handled would carry that one along.
    raise ConfigError([f"{printable(str(path))}: {problem}"])


def parse(text: str, *, source: str, directory: Path, environ: Mapping[str, str], path: Path | None = None) -> Config:
    """Read a config from YAML; `source` is its name in messages. The rest is as for `load`."""
    document = read_document(text, source, environ, needs="a list of clusters")
    return validate(document, Config, LoadContext(directory, environ, path), find_conflicts)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the config file, for editors.

    It checks each setting by itself; conflicts between settings are reported when the file is loaded.
    """
    schema = Config.model_json_schema()
    for model in (schema, *schema["$defs"].values()):
        for setting in model["properties"].values():
            if "$ref" in setting or setting.get("default") in (None, [], "", {}):
                setting.pop("default", None)
            _allow_reference(setting)
    schema["required"] = ["clusters"]
    for section, shared in (("poll", PollSettings), ("jobs", JobSettings)):
        for name in shared.model_fields:
            setting = schema["$defs"]["Cluster"]["properties"][name]
            setting["description"] += f" Overrides {section}.{name}."
            del setting["default"]
    return {"$schema": DIALECT, **schema, "title": "milvus-import-monitor config file"}


def _allow_reference(setting: dict[str, Any]) -> None:
    """Accept a reference to an environment variable besides every single value that is not any text."""
    about = {"title", "description", "default"}
    value = {name: setting.pop(name) for name in list(setting) if name not in about}
    if value == {"type": "string"} or {"$ref", "items"} & value.keys():
        setting |= value
    else:
        setting["anyOf"] = [value, {"type": "string", "pattern": REFERENCE}]
