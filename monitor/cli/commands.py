"""The commands: which there are, and where. Each is imported when it is called, so that each starts fast."""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup

from monitor.cli.options import fail, is_from_variable
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

_UsageError: Final[Any] = typer.BadParameter.__base__
"""Click's error for a bad command line; typer brings a copy of Click along, and shows only this child of it."""

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

    def make_context(self, info_name: Any, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Read the options of the program itself; without any, Click shows the help."""
        with _in_one_sentence() if args else nullcontext():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that is named."""
        with _in_one_sentence():
            return super().invoke(ctx)


@contextmanager
def _in_one_sentence() -> Iterator[None]:
    """Say in one sentence what is wrong with the command line, and exit with 2; Click would say the usage first."""
    try:
        yield
    except _UsageError as error:
        path = error.ctx.command_path if error.ctx else "milvus-import-monitor"
        problem = _problem(error).rstrip(".")
        fail(f"{problem}{' See' if problem.endswith('?') else '; see'} {path} --help")


def _problem(error: Any) -> str:
    """Return what is wrong: of a value, by which name it came, what it is and what is expected."""
    said = error.format_message()
    given = getattr(error.__cause__, "errors", None)
    if given:  # a value that pydantic refuses, which typer does not show
        param, first = error.param, given()[0]
        name = param.envvar if is_from_variable(error.ctx, param.name) else param.opts[0]
        expected = first["msg"].partition(",")[0].removeprefix("Input ")
        return f"{name}: {expected}, not {first['input']!r}"
    if said.startswith("No such command") and not said.endswith("?"):
        return f"{said.rstrip('.')}; there are {', '.join(COMMANDS)}"
    return str(said)
