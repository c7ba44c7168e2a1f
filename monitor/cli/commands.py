"""The commands: which there are, and where. Each is imported when it is called, so that each starts fast."""

from collections.abc import Iterator, MutableMapping
from contextlib import nullcontext
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup

from monitor.cli.sparing import sparing

COMMANDS: Final = {
    "run": "run",
    "demo": "simulated",
    "simulate": "simulated",
    "check-config": "configuration",
    "jobs": "jobs",
    "history": "history",
    "watch": "watch",
    "wait": "wait",
    "healthcheck": "health",
    "schema": "configuration",
}
"""Each command's name, and the module beside this one that holds the function of that name."""

_DAEMONS: Final = ("run", "demo")

STYLE: Final[dict[str, Any]] = {
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
    "context_settings": {"help_option_names": ["-h", "--help"], "max_content_width": 110},
}


class _Commands(MutableMapping[str, Any]):
    """The commands by name, each made when it is first looked up."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            with sparing() if name in _DAEMONS else nullcontext():
                module = import_module(f"monitor.cli.{COMMANDS[name]}")
            alone = typer.Typer(**STYLE)
            alone.command(name)(getattr(module, name.replace("-", "_")))
            self._made[name] = typer.main.get_command(alone)
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class Commands(TyperGroup):
    """The group of all commands."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands()

    def list_commands(self, _ctx: Any) -> list[str]:
        """Return the names, in the order of the help."""
        return list(COMMANDS)
