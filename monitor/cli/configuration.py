"""``check-config`` and ``schema``: about the config file."""

import json
from collections import Counter
from typing import Annotated

import typer

from monitor.cli.given import loaded
from monitor.cli.looking import Look, look
from monitor.cli.options import ConfigFile, option
from monitor.config import json_schema


def check_config(
    config: ConfigFile,
    probe: Annotated[bool, option("--probe", "Also ask every cluster once and say what it found.")] = False,
) -> None:
    """Check a config file.

    Exit with 0 when it is fine, 2 when it is not, 1 when a probed cluster fails. The files that it names are read as
    well; whether the state can be kept where state.url says is known only to run, where and as whom it runs.
    """
    checked = loaded(config)
    typer.echo(f"{config}: fine, {_count(len(checked.clusters), 'cluster')}")
    if not probe:
        return
    looks = look(checked, checked.clusters)
    for one in looks:
        typer.echo(_in_words(one))
    if any(one.error for one in looks):
        raise typer.Exit(1)


def schema() -> None:
    """Print the JSON Schema of the config file."""
    typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))


def _in_words(found: Look) -> str:
    if found.error is not None:
        return f"{found.cluster.name}: {found.error.kind.value}: {found.error}"
    jobs = list(found.seen.listed.values()) if found.seen else []
    states = ", ".join(f"{count} {state}" for state, count in sorted(Counter(job.state.value for job in jobs).items()))
    skipped = f"; {_count(len(found.rejected), 'record')} skipped ({found.rejected[0]})" if found.rejected else ""
    return f"{found.cluster.name}: {_count(len(jobs), 'job')}{f' ({states})' if states else ''}{skipped}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
