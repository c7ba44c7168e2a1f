"""Loads a config file, or reports all its problems; and the JSON Schema of the file."""

from __future__ import annotations

import ast
from inspect import cleandoc
from itertools import chain, pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.config import cluster, discovery, expectations, schema
from monitor.config.cluster import JobSettings, PollSettings, cluster_conflicts
from monitor.config.discovery import discovery_conflicts
from monitor.config.document import REFERENCE, as_mapping, read_document
from monitor.config.errors import ConfigError, printable
from monitor.config.files import MAX_CONFIG_BYTES, LoadContext, decode, read_bytes
from monitor.config.schema import Config
from monitor.config.validation import validate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from monitor.config.document import Document
    from monitor.config.errors import Problem


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read a config file, with `environ` for `${NAME}`; relative paths in it are relative to its directory.

    Raises:
        ConfigError: With everything that is wrong, up to a bound.
    """
    try:
        text = decode(read_bytes(path, MAX_CONFIG_BYTES, regular=False))
    except ValueError as error:
        raise ConfigError([f"{printable(str(path))}: the config file {error}"]) from None
    return parse(text, source=str(path), directory=path.parent, environ=environ, path=path)


def parse(text: str, *, source: str, directory: Path, environ: Mapping[str, str], path: Path | None = None) -> Config:
    """Read a config from YAML; `source` is its name in messages. The rest is as for `load`."""
    document = read_document(text, source, environ, needs="a list of clusters")
    return validate(document, Config, LoadContext(directory, environ, path), _find_conflicts)


def _find_conflicts(document: Document) -> Iterator[Problem]:
    """Yield the conflicts between the settings of a config file."""
    if {"url", "url_file"} <= as_mapping(document.data.get("state")).keys():
        yield ("state", "url_file"), "cannot be combined with url; remove one of them"
    if all(document.data.get(section) in (None, []) for section in ("clusters", "discovery")):
        yield ("clusters",), "is required; list at least one cluster, with its name and url, or add a discovery"
    yield from find_cluster_conflicts(document)
    for index, item in _items(document, "discovery"):
        for inner, text in discovery_conflicts(item):
            yield ("discovery", index, *inner), text
    yield from _repeated_names(document, "discovery")
    yield from _repeated_names(document, "expectations")


def find_cluster_conflicts(document: Document, given: frozenset[str] = frozenset()) -> Iterator[Problem]:
    """Yield the conflicts between the settings of clusters; `given` are keys that all of them have from elsewhere."""
    for index, item in _items(document, "clusters"):
        for inner, text in cluster_conflicts(item, given):
            yield ("clusters", index, *inner), text
    yield from _repeated_names(document, "clusters")


def _items(document: Document, section: str) -> Iterator[tuple[int, dict[str, Any]]]:
    items = document.data.get(section)
    for index, item in enumerate(items if isinstance(items, list) else ()):
        yield index, dict(as_mapping(item))


def _repeated_names(document: Document, section: str) -> Iterator[Problem]:
    lines: dict[str, int] = {}
    for index, item in _items(document, section):
        name, path = item.get("name"), (section, index, "name")
        if isinstance(name, str) and name in lines:
            yield path, f"must be unique, and is already given on line {lines[name]}"
        elif isinstance(name, str):
            lines[name] = document.line(path)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the config file, for editors.

    It checks each setting by itself; conflicts between settings are reported when the file is loaded.
    """
    document = Config.model_json_schema()
    descriptions = _descriptions()
    for model in (document, *document["$defs"].values()):
        for name, setting in model["properties"].items():
            setting["description"] = descriptions[model["title"], name]
            if "$ref" in setting or setting.get("default") in (None, [], "", {}):
                setting.pop("default", None)
            _allow_reference(setting)
    document["anyOf"] = [
        {"required": [section], "properties": {section: {"minItems": 1}}} for section in ("clusters", "discovery")
    ]
    entry = document["$defs"]["Discovery"]
    del entry["properties"]["poll_interval"]["default"]
    entry["required"] = []  # a name is derived
    document["$defs"]["Expectation"]["required"].remove("name")
    for section, shared in (("poll", PollSettings), ("jobs", JobSettings)):
        for model, name in product(("Cluster", "Discovery"), shared.model_fields):
            if (model, name) != ("Discovery", "interval"):
                setting = document["$defs"][model]["properties"][name]
                setting["description"] += f" Overrides {section}.{name}."
                del setting["default"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **document,
        "title": "milvus-import-monitor config file",
    }


def _descriptions() -> dict[tuple[str, str], str]:
    """Return the text below each setting in the source, by model and name.

    Pydantic can read it, too, but does so at every import of the models, which takes 0.1 s.
    """
    texts: dict[tuple[str, str], str] = {}
    modules = (cluster, discovery, expectations, schema)
    sources = [ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8")) for module in modules]
    for definition in chain.from_iterable(source.body for source in sources):
        if not isinstance(definition, ast.ClassDef):
            continue
        model = next(getattr(module, definition.name) for module in modules if hasattr(module, definition.name))
        for base in model.__bases__:
            texts |= {(model.__name__, name): text for (other, name), text in texts.items() if other == base.__name__}
        for setting, below in pairwise(definition.body):
            match setting, below:
                case ast.AnnAssign(target=ast.Name(id=field)), ast.Expr(value=ast.Constant(value=str(text))):
                    texts[model.__name__, model.model_fields[field].alias or field] = cleandoc(text)
    return texts


def _allow_reference(setting: dict[str, Any]) -> None:
    """Accept a reference to an environment variable besides every single value that is not any text."""
    about = {"title", "description", "default"}
    value = {name: setting.pop(name) for name in list(setting) if name not in about}
    if value == {"type": "string"} or {"$ref", "items", "additionalProperties"} & value.keys():
        setting |= value
    else:
        setting["anyOf"] = [value, {"type": "string", "pattern": REFERENCE}]
