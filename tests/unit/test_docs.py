"""What exists is documented, and what is documented exists."""

import ast
import re
from pathlib import Path

from monitor.cli.commands import COMMANDS, command
from monitor.metrics import FAMILIES, ProcessMetrics
from monitor.web import WebLimits, create_app
from monitor.web.api import ENDPOINTS
from monitor.web.events import EVENTS
from tests.docs_tables import CONFIGURATION, current
from tests.postgres import RELEASES
from tests.served_app import WatchedClusters

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

    assert page == current(page), "run make docs-tables"


def test_the_versions_of_postgresql_that_are_tested_are_documented():
    *others, newest = RELEASES

    assert f"{', '.join(others)} and {newest} are tested" in (DOCS / "deploy.md").read_text(encoding="utf-8")


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
    clusters = WatchedClusters()
    app_ = create_app(clusters)
    clusters.store.close()
    served = {f"{min(route.methods - {'HEAD'})} {route.path}" for route in app_.routes}

    assert set(first_cells("http.md", "Endpoints")) == served


def test_the_parameters_and_the_events_of_the_api_are_documented():
    documented = {name for row in rows("http.md", "The API") for name in re.findall(r"`([a-z_]+)`", row.split("|")[1])}
    served = {name for endpoint in ENDPOINTS for name in endpoint.query.__struct_fields__}
    section = (DOCS / "http.md").read_text(encoding="utf-8").split("### The stream\n", 1)[1].split("\n## ", 1)[0]

    assert documented >= served
    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == {*EVENTS, "hello", "refetch", "end"}


def test_the_limits_of_the_http_server_are_documented():
    documented = [
        number for row in rows("http.md", "Fixed limits") for number in re.findall(r"[\d,]+", row.split("|")[2])
    ]
    limits = WebLimits()
    kib = 1024
    expected = [
        *(limits.connections, limits.connections_per_address, limits.handshakes),
        *(limits.keep_alive, limits.handshake),
        *(limits.head_bytes // kib, limits.body_bytes // kib, limits.streams, limits.streams_per_address),
        *(limits.stream_queue, limits.waiting_requests, limits.write_timeout),
        *(limits.waiting_passwords, limits.waiting_passwords_per_address),
    ]

    assert [int(number.replace(",", "")) for number in documented] == expected


def options(name: str) -> list[str]:
    """The rows of a command's table."""
    found = []
    for param in command(name).params:
        if param.name != "help":
            names = ", ".join(f"`{option}`" for option in sorted(param.opts, key=len, reverse=True))
            default = "" if param.default is None or param.default is False else f" Default `{param.default}`."
            found.append(f"| {names} | `{param.envvar}` | {param.help}{default} |")
    return found


def test_the_commands_and_their_options_are_documented_as_they_are():
    text = (DOCS / "commands.md").read_text(encoding="utf-8")

    assert rows("commands.md", "Commands") == [
        f"| `{name}` | {command(name).help.splitlines()[0]} |" for name in COMMANDS
    ]
    for name in COMMANDS:
        section = text.split(f"### `{name}`\n", 1)[1].split("\n### ", 1)[0].split("\n## ", 1)[0]
        assert [row for row in section.splitlines() if row.startswith("| `")] == options(name)
        assert " ".join(command(name).help.split()) in section


def test_a_variable_of_the_environment_says_one_thing_to_every_command():
    meanings: dict[str, set[tuple[str, bool]]] = {}
    for name in COMMANDS:
        for param in command(name).params:
            if param.envvar:
                meanings.setdefault(param.envvar, set()).add((param.metavar or "", param.multiple))

    assert {variable: meant for variable, meant in meanings.items() if len(meant) > 1} == {}
