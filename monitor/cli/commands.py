"""The list of commands. Each is imported when it is called, so that every command starts fast."""

from contextlib import nullcontext
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup

from monitor.cli.options import usage_errors

COMMANDS: Final = (
    "run",
    "demo",
    "simulate",
    "check-config",
    "discover",
    "jobs",
    "history",
    "watch",
    "wait",
    "healthcheck",
    "schema",
    "completion",
)
"""Each is a function in a module of this package; both have the command's name, with underscores for its hyphens."""

STYLE: Final[dict[str, Any]] = {
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
    "context_settings": {"help_option_names": ["-h", "--help"], "max_content_width": 110},
}

_COMPLETION_OPTIONS: Final = ("install_completion", "show_completion")


def command(name: str) -> Any:
    """Import a command and return it in the form that typer runs."""
    function = name.replace("-", "_")
    single = typer.Typer(add_completion=False, **STYLE)
    single.command(name)(getattr(import_module(f"monitor.cli.{function}"), function))
    return typer.main.get_command(single)


class Commands(TyperGroup):
    """The group of all commands."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = dict.fromkeys(COMMANDS)  # type: ignore[assignment] # typer needs only the names

    def get_command(self, _ctx: Any, cmd_name: str) -> Any:
        """Return a command, None for an unknown name."""
        return command(cmd_name) if cmd_name in COMMANDS else None

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options of the program, without those that typer adds for completion: that is a command."""
        return [param for param in super().get_params(ctx) if param.name not in _COMPLETION_OPTIONS]

    def make_context(self, info_name: Any, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse the options of the program; without arguments, typer shows the help."""
        with usage_errors(COMMANDS) if args else nullcontext():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with usage_errors(COMMANDS):
            return super().invoke(ctx)
