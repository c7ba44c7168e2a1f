"""Draws the jobs: bars on a terminal, a line for each change in a pipe."""

from collections import Counter
from heapq import nsmallest
from typing import Final

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from monitor.cli.output import COLOURS, coloured_state, percent, printable, qualified_name, rough_duration
from monitor.cli.watch.state import JobKey, View, is_problem, is_shown, sort_key
from monitor.jobs import UNSUCCESSFUL, Job, JobState

_NARROW: Final = 70
"""Columns below which the ids of jobs are left out."""

_STATE_WIDTH: Final = 11
_ETA_WIDTH: Final = 10
_USUAL_WIDTH: Final = 14

_WIDE: Final = 100
"""Columns from which on the usual duration of an import is shown."""
_NO_REASON: Final = {JobState.FAILED: "no reason reported", JobState.VANISHED: "the job no longer exists on the server"}


def screen(view: View, width: int, height: int, now: float) -> RenderableType:
    """Return the screen of a terminal of so many columns and lines: no line wraps, and all of them fit."""
    head = [Text(_summary(view), style="bold", no_wrap=True, overflow="ellipsis")]
    if view.note:
        head.append(_alarm(view.note))
    down = [f"{name}: {why}" for name, why in sorted(view.clusters.items()) if why]
    down_shown = max(1, (height - len(head)) // 4)
    head.extend(map(_alarm, down[:down_shown]))
    if len(down) > down_shown:
        head.append(_alarm(f"… and {len(down) - down_shown} more clusters are down"))
    room = max(0, height - len(head) - 1)
    lines = [(key, job) for key, job in view.jobs.items() if is_shown(job, now)]
    shown = _select(lines, room)
    tail = [Text(f"… and {len(lines) - len(shown)} more", style="dim")] if len(lines) > len(shown) and room else []
    return Group(*head[:height], *([_table(shown, view, width, now)] if shown else []), *tail)


def _alarm(text: str) -> Text:
    return Text(printable(text), style="red", no_wrap=True, overflow="ellipsis")


def _summary(view: View) -> str:
    counts = Counter(job.state for job in view.jobs.values())
    states = ", ".join(f"{counts[state]} {state}" for state in JobState if counts[state])
    up = sum(why == "" for why in view.clusters.values())
    not_polled = sum(why is None for why in view.clusters.values())
    waiting = f", {not_polled} not polled yet" if not_polled else ""
    return f"{up} of {len(view.clusters)} clusters up{waiting} · {states or 'no jobs'}"


_Line = tuple[JobKey, Job]


def _select(lines: list[_Line], room: int) -> list[_Line]:
    """Return the lines that fit: problems first, but half of the room is left to the other jobs."""
    problems = nsmallest(room, (line for line in lines if is_problem(line[1])), key=sort_key)
    running = nsmallest(room, (line for line in lines if not is_problem(line[1])), key=sort_key)
    problems = problems[: max(room - len(running), (room + 1) // 2)]
    return problems + running[: room - len(problems)]


def _table(lines: list[_Line], view: View, width: int, now: float) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    several_clusters, wide = len(view.clusters) > 1, width >= _NARROW
    if several_clusters:
        table.add_column(ratio=3, no_wrap=True, overflow="ellipsis")
    table.add_column(ratio=4, no_wrap=True, overflow="ellipsis")
    if wide:
        table.add_column(ratio=4, no_wrap=True, overflow="ellipsis")
    table.add_column(width=_STATE_WIDTH, no_wrap=True)
    table.add_column(ratio=9, no_wrap=True, overflow="ellipsis")
    for key, job in lines:
        cells: list[RenderableType] = [Text(printable(key[0]))] if several_clusters else []
        cells.append(Text(printable(qualified_name(job.database, job.collection))))
        if wide:
            cells.append(Text(printable(job.job_id), style="dim"))
        state = Text("stalled", style="yellow") if job.stalled else coloured_state(job.state)
        table.add_row(
            *cells, state, _details(job, view.done_at.get(key), view.usual.get(key) if width >= _WIDE else None, now)
        )
    return table


def _details(job: Job, done_at: float | None, usual: float | None, now: float) -> RenderableType:
    """Return why a job failed, or its progress."""
    if job.state in UNSUCCESSFUL:
        reason = job.reason if job.state is JobState.FAILED else ""
        return Text(printable(reason) or _NO_REASON[job.state], style=COLOURS[job.state])
    if job.progress is None:
        return Text("")
    colour = "yellow" if job.stalled else COLOURS.get(job.state, "cyan")
    row = Table.grid(padding=(0, 1), expand=True)
    row.add_column(ratio=1)
    row.add_column(width=4, justify="right")
    row.add_column(width=_ETA_WIDTH, no_wrap=True, overflow="ellipsis")
    bar = ProgressBar(total=1.0, completed=job.progress, complete_style=colour, finished_style="green")
    left = "" if done_at is None else f"~{rough_duration(max(0.0, done_at - now))}"
    cells: list[RenderableType] = [bar, percent(job.progress), Text(left, style="dim")]
    if usual is not None:
        row.add_column(width=_USUAL_WIDTH, no_wrap=True, overflow="ellipsis")
        cells.append(Text(f"usually {rough_duration(usual)}", style="dim"))
    row.add_row(*cells)
    return row


def changes(previous: View, current: View) -> list[str]:
    """Return a line for each change between two views: states, stalls, and clusters down and up again."""
    lines = []
    for name, why in sorted(current.clusters.items()):
        previous_why = previous.clusters.get(name)
        if why and why != previous_why:
            lines.append(printable(f"{name}: down: {why}"))
        elif why == "" and previous_why:
            lines.append(printable(f"{name}: up again"))
    if current.note and current.note != previous.note:
        lines.append(printable(current.note))
    for key, job in sorted(current.jobs.items()):
        old = previous.jobs.get(key)
        shown_if_new = job.state is not JobState.COMPLETED or job.first_seen < job.state_since
        changed = shown_if_new if old is None else (old.state, old.stalled) != (job.state, job.stalled)
        if changed:
            lines.append(sentence(key[0], job))
    return lines


def sentence(cluster: str, job: Job) -> str:
    """Return a job on one line: its collection, state, progress, and why it failed."""
    collection = qualified_name(job.database, job.collection)
    progress = "" if job.progress is None else f" at {percent(job.progress)}"
    stalled = ", stalled" if job.stalled else ""
    reason = f": {job.reason}" if job.state is JobState.FAILED and job.reason else ""
    return printable(f"{cluster}: {collection} {job.job_id} {job.state}{progress}{stalled}{reason}")
