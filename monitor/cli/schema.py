"""``schema``: the JSON Schema of the config file."""

import json

import typer

from monitor.config import json_schema


def schema() -> None:
    """Print the JSON Schema of the config file.

    Exit codes: 0 success.
    """
    typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
