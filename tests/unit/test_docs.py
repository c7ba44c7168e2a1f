"""What exists is documented, and what is documented exists."""

import ast
import re
from pathlib import Path

import typer

from monitor.cli import app
from monitor.metrics import FAMILIES, ProcessMetrics
from monitor.web import create_app
from monitor.web.api import ENDPOINTS
from monitor.web.parameters import EVENTS
from tests.docs_tables import CONFIGURATION, current

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def rows(page: str, heading: str) -> list[str]:
    """The rows of the table under a heading of a page, without its head."""
    text = (DOCS / page).read_text(encoding="utf-8")
    section = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return table[2:]


def first_cells(page: str, heading: str) -> list[str]:
    return [re.findall(r"`([^`]+)`", row.split("|")[1])[0] for row in rows(page, heading)]


def test_the_metrics_of_each_cluster_are_documented_as_they_are():
    expected = []
    for family in FAMILIES:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        expected.append(f"| `{family.full_name}` | {family.type} | {labels} | {family.help} |".replace("|  |", "| |"))

    assert rows("metrics.md", "Cluster metrics") == expected


def test_the_monitors_own_metrics_are_documented_as_they_are():
    own = [family for family in ProcessMetrics().registry.collect() if family.name.startswith("milvus_import_")]

    names = {family.name: family.name + "_total" * (family.type == "counter") for family in own}
    expected = {f"| `{names[family.name]}` | {family.type} | {family.documentation} |" for family in own}
    assert set(rows("metrics.md", "Monitor metrics")) == expected


def test_the_settings_are_documented_as_they_are():
    page = CONFIGURATION.read_text(encoding="utf-8")

    assert page == current(page), "write it anew: make docs-tables"


def logged_events() -> set[str]:
    """Every event that a call of `_log.info` and the like names in the source."""
    events = set()
    for path in (ROOT / "monitor").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = node.func.value
                if isinstance(owner, ast.Name) and owner.id == "_log":
                    texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
                    assert len(texts) == 1, f"{path}:{node.lineno}: the event is not a plain text"
                    events.add(texts[0])
    return events


def test_the_log_events_are_documented():
    documented = first_cells("log.md", "Events")

    assert set(documented) == logged_events()
    assert len(documented) == len(set(documented))


def test_the_endpoints_are_documented():
    app_ = create_app(None)  # type: ignore[arg-type] # no endpoint is called
    served = {f"{min(route.methods - {'HEAD'})} {route.path}" for route in app_.routes}

    assert set(first_cells("http.md", "Endpoints")) == served


def test_the_parameters_and_the_events_of_the_api_are_documented():
    documented = {name for row in rows("http.md", "The API") for name in re.findall(r"`([a-z_]+)`", row.split("|")[1])}
    served = {parameter.name for endpoint in ENDPOINTS for parameter in endpoint.parameters}
    section = (DOCS / "http.md").read_text(encoding="utf-8").split("### The stream\n", 1)[1].split("\n## ", 1)[0]

    assert documented >= served
    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == {*EVENTS, "hello", "refetch", "end"}


def test_the_commands_and_their_options_are_documented():
    command = typer.main.get_command(app)
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert set(first_cells("commands.md", "Commands")) == set(command.commands)
    for name, sub in command.commands.items():
        section = text.split(f"### `{name}`\n", 1)[1].split("\n### ", 1)[0]
        documented = set(re.findall(r"^\| `(--[a-z-]+)", section, re.MULTILINE))
        options = {max(param.opts, key=len): param.envvar for param in sub.params if param.name != "help"}
        assert documented == set(options), name
        for option, variable in options.items():
            if variable:
                assert f"`{variable}`" in section, f"{name} {option}"


def test_a_variable_of_the_environment_says_one_thing_to_every_command():
    meanings: dict[str, set[tuple[str, bool]]] = {}
    for sub in typer.main.get_command(app).commands.values():
        for param in sub.params:
            if param.envvar:
                meanings.setdefault(param.envvar, set()).add((param.metavar or "", param.multiple))

    assert {variable: meant for variable, meant in meanings.items() if len(meant) > 1} == {}
