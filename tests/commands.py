"""Commands of the monitor run in this process: most of a second is saved each time, and much more on a busy machine."""

import subprocess

from typer.testing import CliRunner

from monitor.cli import app


def finished(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    result = CliRunner().invoke(app, [*map(str, arguments)], env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return subprocess.CompletedProcess(arguments, result.exit_code, result.stdout, result.stderr)
