"""How jobs look in a terminal: bars for people, a line for each change where nobody looks."""

from heapq import nsmallest
from typing import Final

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from monitor.cli.board import JobLine, Snapshot
from monitor.cli.printing import COLOURS, harmless, in_colour
from monitor.config import format_duration
from monitor.jobs import JobState

_NARROW: Final = 70
"""Columns below which a job's id gives way to the rest."""

_STATE_WIDTH: Final = 11
_LEFT_WIDTH: Final = 10
_MINUTE: Final = 60.0


def screen(board: Snapshot, width: int, height: int, now: float) -> RenderableType:
    """Return the whole picture: no line wraps, and there are no more lines than fit.

    Args:
        board: What there is.
        width: Columns of the terminal.
        height: Lines of the terminal.
        now: The time, in seconds since the epoch.
    """
    head = [Text(_summary(board), style="bold", no_wrap=True, overflow="ellipsis")]
    if board.note:
        head.append(_alarm(board.note))
    down = [f"{name}: {why}" for name, why in sorted(board.clusters.items()) if why]
    told = max(1, (height - len(head)) // 4)
    head.extend(map(_alarm, down[:told]))
    if len(down) > told:
        head.append(_alarm(f"… and {len(down) - told} more clusters are down"))
    room = max(0, height - len(head) - 1)
    lines = [line for line in board.jobs.values() if line.is_shown(now)]
    shown = _chosen(lines, room)
    tail = [Text(f"… and {len(lines) - len(shown)} more", style="dim")] if len(lines) > len(shown) and room else []
    return Group(*head[:height], *([_table(shown, board, width, now)] if shown else []), *tail)


def _alarm(text: str) -> Text:
    return Text(harmless(text), style="red", no_wrap=True, overflow="ellipsis")


def _summary(board: Snapshot) -> str:
    counts = board.counts()
    states = ", ".join(f"{counts[state]} {state}" for state in JobState if counts[state])
    up = sum(why == "" for why in board.clusters.values())
    asked = sum(why is not None for why in board.clusters.values())
    waiting = f", {len(board.clusters) - asked} not asked yet" if asked < len(board.clusters) else ""
    return f"{up} of {len(board.clusters)} clusters up{waiting} · {states or 'no jobs'}"


def _chosen(lines: list[JobLine], room: int) -> list[JobLine]:
    """Choose the jobs that fit: problems first, but not so many of them that no running one is seen."""
    first = nsmallest(room, lines, key=JobLine.rank)
    problems = [line for line in first if line.is_problem()]
    others = nsmallest(room, (line for line in lines if not line.is_problem()), key=JobLine.rank)
    kept = max(room - len(others), (room + 1) // 2)
    return problems[:kept] + others[: room - len(problems[:kept])]


def _table(lines: list[JobLine], board: Snapshot, width: int, now: float) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    several, wide = len(board.clusters) > 1, width >= _NARROW
    if several:
        table.add_column(ratio=3, no_wrap=True, overflow="ellipsis")
    table.add_column(ratio=4, no_wrap=True, overflow="ellipsis")
    if wide:
        table.add_column(ratio=4, no_wrap=True, overflow="ellipsis")
    table.add_column(width=_STATE_WIDTH, no_wrap=True)
    table.add_column(ratio=9, no_wrap=True, overflow="ellipsis")
    for line in lines:
        cells: list[RenderableType] = [Text(harmless(line.cluster))] if several else []
        cells.append(Text(harmless(line.place)))
        if wide:
            cells.append(Text(harmless(line.job_id), style="dim"))
        state = Text("stalled", style="yellow") if line.stalled else in_colour(line.state)
        table.add_row(*cells, state, _how(line, now))
    return table


def _how(line: JobLine, now: float) -> RenderableType:
    """Return what there is to say of a job: why it failed, or how far it is."""
    if line.state in (JobState.FAILED, JobState.VANISHED):
        why = {JobState.FAILED: "the server gives no reason", JobState.VANISHED: "the server does not know it any more"}
        return Text(harmless(line.reason) or why[line.state], style=COLOURS[line.state])
    if line.progress is None:
        return Text("")
    colour = "yellow" if line.stalled else COLOURS.get(line.state, "cyan")
    row = Table.grid(padding=(0, 1), expand=True)
    row.add_column(ratio=1)
    row.add_column(width=4, justify="right")
    row.add_column(width=_LEFT_WIDTH, no_wrap=True, overflow="ellipsis")
    bar = ProgressBar(total=1.0, completed=line.progress, complete_style=colour, finished_style="green")
    row.add_row(bar, f"{int(line.progress * 100)}%", Text(left(line, now), style="dim"))
    return row


def left(line: JobLine, now: float) -> str:
    """Return the time left in words; empty while that would be a guess."""
    if line.done_at is None or line.state is not JobState.IMPORTING:
        return ""
    return f"~{in_words(max(0.0, line.done_at - now))}"


def in_words(seconds: float) -> str:
    """Return a time to the second, and to the minute from an hour on."""
    step = 1.0 if seconds < 60 * _MINUTE else _MINUTE
    return format_duration(round(seconds / step) * step)


def changes(before: Snapshot, after: Snapshot) -> list[str]:
    """Return what has changed between two moments, a line for each: states, stalls, and clusters down and up again."""
    told = []
    for name, why in sorted(after.clusters.items()):
        was = before.clusters.get(name)
        if why and why != was:
            told.append(f"{name}: down: {harmless(why)}")
        elif why == "" and was:
            told.append(f"{name}: up again")
    if after.note and after.note != before.note:
        told.append(harmless(after.note))
    for key, line in sorted(after.jobs.items()):
        was_line = before.jobs.get(key)
        if was_line is not None and (was_line.state, was_line.stalled) == (line.state, line.stalled):
            continue
        if was_line is None and line.state is JobState.COMPLETED and not line.seen_before:
            continue
        told.append(sentence(line))
    return told


def sentence(line: JobLine) -> str:
    """Return a job on one line: where it is, its state, how far it is, and why it failed."""
    progress = "" if line.progress is None else f" at {int(line.progress * 100)}%"
    stalled = ", stalled" if line.stalled else ""
    reason = f": {line.reason}" if line.reason else ""
    return harmless(f"{line.cluster}: {line.place} {line.job_id} {line.state}{progress}{stalled}{reason}")
