"""``check-config``: validates a config file, and probes its clusters."""

from collections import Counter
from typing import Annotated

import typer

from monitor.cli.config_options import load_config, select_clusters
from monitor.cli.options import ConfigFile, option
from monitor.cli.output import printable
from monitor.cli.poll_once import ClusterPoll, poll_clusters


def check_config(
    config: ConfigFile = None,
    probe: Annotated[bool, option("--probe", "Poll every cluster once and report the result.")] = False,
) -> None:
    """Check a config file.

    The files that it names are read, too; the store is not opened.

    Exit codes: 0 valid; 1 a probed cluster failed; 2 invalid.
    """
    loaded = load_config(config)
    discoveries = len(loaded.discovery)
    listed = f", {discoveries} {'discovery' if discoveries == 1 else 'discoveries'}" if discoveries else ""
    typer.echo(f"{loaded.path}: valid, {_count(len(loaded.clusters), 'cluster')}{listed}")
    if not probe:
        return
    polls = poll_clusters(loaded, select_clusters(loaded, None), {})
    for poll in polls:
        typer.echo(printable(_summary(poll)))
    if any(poll.error for poll in polls):
        raise typer.Exit(1)


def _summary(poll: ClusterPoll) -> str:
    if poll.error is not None:
        return f"{poll.cluster.name}: {poll.error.kind.value}: {poll.error}"
    counts = sorted(Counter(job.state.value for job in poll.jobs).items())
    states = f" ({', '.join(f'{count} {state}' for state, count in counts)})" if counts else ""
    skipped = f"; {_count(len(poll.bad_records), 'record')} skipped ({poll.bad_records[0]})" if poll.bad_records else ""
    return f"{poll.cluster.name}: {_count(len(poll.jobs), 'job')}{states}{skipped}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
