"""Commands of the monitor run in this process: most of a second is saved each time, and much more on a busy machine."""

import subprocess
from typing import Any

from typer.testing import CliRunner

from monitor.cli import app


def as_csv(row: dict[str, Any]) -> dict[str, str]:
    """Return a row of JSON as its row of CSV says it."""
    row = row | {"labels": ",".join(f"{name}={value}" for name, value in row["labels"].items())}
    return {key: "" if value is None else str(value) for key, value in row.items()}


def finished(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    result = CliRunner().invoke(app, [*map(str, arguments)], env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return subprocess.CompletedProcess(arguments, result.exit_code, result.stdout, result.stderr)
