"""From the text of a config file to a `Config`, or to every problem it has; and its JSON Schema for editors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from monitor.config.document import REFERENCE
from monitor.config.errors import ConfigError, printable
from monitor.config.files import MAX_CONFIG_BYTES, LoadContext, decode, read_bytes
from monitor.config.schema import Config, JobSettings, PollSettings
from monitor.config.validation import read_settings

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Mapping

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def load(path: pathlib.Path, environ: Mapping[str, str]) -> Config:
    """Read a config file.

    Args:
        path: The file; relative paths in it count from its directory.
        environ: The variables for `${NAME}`.

    Raises:
        ConfigError: With everything that is wrong, up to a bound.
    """
    try:
        text = decode(read_bytes(path, MAX_CONFIG_BYTES, regular=False))
    except ValueError as error:
        problem = f"the config file {error}"
    else:
        return read_settings(Config, text, LoadContext(path.parent, environ, path), str(path))
    # Raised here, because an error raised while another is handled would carry that one along.
    raise ConfigError([f"{printable(str(path))}: {problem}"])


def parse(text: str, *, source: str, directory: pathlib.Path, environ: Mapping[str, str]) -> Config:
    """Read a config from YAML; `source` is its name in messages, and the rest is as for `load`."""
    return read_settings(Config, text, LoadContext(directory, environ), source)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the config file, for editors.

    It checks each setting by itself; what settings have to do with each other is checked when the file is loaded.
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
    is_any_text = value == {"type": "string"}
    if is_any_text or {"$ref", "items"} & value.keys():
        setting |= value
    else:
        setting["anyOf"] = [value, {"type": "string", "pattern": REFERENCE}]
