"""The tables of the docs that are generated from the code.

``make docs-tables`` writes them anew.
"""

from pathlib import Path
from typing import Any

from monitor.config import json_schema

CONFIGURATION = Path(__file__).parents[1] / "docs" / "configuration.md"


def settings_table() -> list[str]:
    """Return the rows of the table of settings, from the models by way of their JSON Schema."""
    schema = json_schema()
    return _rows(schema, schema["$defs"], "")


def _rows(section: dict[str, Any], definitions: dict[str, Any], path: str) -> list[str]:
    rows = []
    for name, setting in section["properties"].items():
        references = [setting, *setting.get("anyOf", []), setting.get("items", {})]
        inner = [definitions[each["$ref"].split("/")[-1]] for each in references if "$ref" in each]
        key = f"{path}{name}{'[]' if 'items' in setting and inner else ''}"
        default = f"`{setting['default']}`".replace("False", "false") if "default" in setting else ""
        rows.append(f"| `{key}` | {default} | {setting['description']} |".replace("|  |", "| |"))
        for each in inner:
            rows += _rows(each, definitions, f"{key}.")
    return rows


def with_table(page: str, heading: str, rows: list[str]) -> str:
    """Return a page with other rows in the table under a heading."""
    before, after = page.split(f"## {heading}\n\n", 1)
    head, _, rest = after.partition("\n\n")
    return f"{before}## {heading}\n\n" + "\n".join([*head.splitlines()[:2], *rows]) + f"\n\n{rest}"


def current(page: str) -> str:
    """Return docs/configuration.md with the settings as they are in the code."""
    return with_table(page, "Settings", settings_table())


if __name__ == "__main__":
    CONFIGURATION.write_text(current(CONFIGURATION.read_text(encoding="utf-8")), encoding="utf-8")
