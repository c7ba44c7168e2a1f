"""Draws the jobs: bars on a terminal, a line for each change in a pipe."""

from collections import Counter
from heapq import nsmallest
from typing import Final, NamedTuple

from rich.cells import cell_len
from rich.text import Text

from monitor.cli.output import (
    COLOURS,
    coloured_state,
    percent,
    printable,
    qualified_name,
    rough_duration,
    short_duration,
)
from monitor.cli.table import fitted, shorten
from monitor.cli.watch.state import JobKey, View, is_problem, is_shown, sort_key
from monitor.jobs import UNSUCCESSFUL, Job, JobState

_MIN_JOBS: Final = 3
"""Lines for jobs below which the titles of the columns are left out."""

_STATE_WIDTH, _AGE_WIDTH, _PERCENT_WIDTH, _LEFT_WIDTH = 11, 7, 4, 8
_PROGRESS_WIDTH: Final = 32
"""Columns of bar, percent and time left that long names leave to them."""

_MIN_BAR: Final = 4
_NO_BAR: Final = _PERCENT_WIDTH + 1 + _LEFT_WIDTH
_SHORT, _SHORTEST = 16, 8
"""Columns to which names are shortened before the bar gives way, and after that."""

_USUAL_WIDTH: Final = 15
_WIDE: Final = 100
"""Columns from which on the usual duration of an import is shown."""

_NO_REASON: Final = {JobState.FAILED: "no reason reported", JobState.VANISHED: "the job no longer exists on the server"}

_Line = tuple[JobKey, Job]


class Screen(NamedTuple):
    """What a terminal shows."""

    lines: list[Text]  # its lines, of which none is too long
    offset: int  # number of jobs above the first one that is shown
    page: int  # number of jobs that are shown


def screen(view: View, width: int, height: int, now: float, *, offset: int = 0, hint: str = "") -> Screen:
    """Return the screen of a terminal of so many columns and lines.

    Without an `offset`, problems come first, and half of the room is left to the other jobs; scrolled down, the others
    follow. `hint` says how to see the jobs for which there is no room.
    """
    lines = [Text(_summary(view), style="bold")]
    if view.note:
        lines.append(_alarm(view.note))
    down = [f"{name}: {why}" for name, why in sorted(view.clusters.items()) if why]
    down_shown = max(1, (height - len(lines)) // 4)
    more_down = len(down) - down_shown
    lines += map(_alarm, down[:down_shown])
    if more_down > 0:
        lines.append(_alarm(f"… and {more_down} more clusters are down"))
    jobs = [(key, job) for key, job in view.jobs.items() if is_shown(job, now)]
    room = max(0, height - len(lines))
    has_titles = bool(jobs) and room > _MIN_JOBS
    room -= has_titles
    page = room if len(jobs) <= room else max(0, room - 1)
    offset = max(0, min(offset, len(jobs) - page))
    shown = _window(jobs, offset, page)
    layout = _Layout(shown, view, width)
    if has_titles:
        lines.append(layout.titles())
    lines += (layout.line(key, job, now) for key, job in shown)
    below = len(jobs) - offset - len(shown)
    if offset:
        lines.append(Text(f"… {offset:,} above, {below:,} below", style="dim"))
    elif below and room:
        lines.append(Text(f"… and {below:,} more{hint}", style="dim"))
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Screen(lines[:height], offset, page)


def _alarm(text: str) -> Text:
    return Text(printable(text), style="red")


def _summary(view: View) -> str:
    counts = Counter(job.state for job in view.jobs.values())
    states = ", ".join(f"{counts[state]} {state}" for state in JobState if counts[state])
    up = sum(why == "" for why in view.clusters.values())
    not_polled = sum(why is None for why in view.clusters.values())
    waiting = f", {not_polled} not polled yet" if not_polled else ""
    return f"{up} of {len(view.clusters)} clusters up{waiting} · {states or 'no jobs'}"


def _window(jobs: list[_Line], offset: int, page: int) -> list[_Line]:
    """Return the jobs of a page; those of the first page are not repeated on the others."""
    first = _select(jobs, page)
    if not offset:
        return first
    on_first = {key for key, _ in first}
    following = sorted(
        (line for line in jobs if line[0] not in on_first), key=lambda line: (not is_problem(line[1]), sort_key(line))
    )
    return [*first, *following][offset : offset + page]


def _select(lines: list[_Line], room: int) -> list[_Line]:
    """Return the lines that fit: problems first, but half of the room is left to the other jobs."""
    problems = nsmallest(room, (line for line in lines if is_problem(line[1])), key=sort_key)
    running = nsmallest(room, (line for line in lines if not is_problem(line[1])), key=sort_key)
    problems = problems[: max(room - len(running), (room + 1) // 2)]
    return problems + running[: room - len(problems)]


class _Layout:
    """The columns of jobs: ids stay whole; first long names give way, then the bar, then the rest."""

    def __init__(self, jobs: list[_Line], view: View, width: int) -> None:
        names = {"COLLECTION": [qualified_name(job.database, job.collection) for _, job in jobs]}
        if len(view.clusters) > 1:
            names = {"CLUSTER": [key[0] for key, _ in jobs], **names}
        columns = {**names, "JOB": [job.job_id for _, job in jobs]}
        widths = {title: max(map(cell_len, (title, *map(printable, texts)))) for title, texts in columns.items()}
        self._widths = {**widths, "STATE": _STATE_WIDTH, "AGE": _AGE_WIDTH}
        self._width = width
        self._view = view
        self._has_usual = width >= _WIDE and any(key in view.usual for key, _ in jobs)
        for shortest, least in ((_SHORT, _PROGRESS_WIDTH), (_SHORTEST, _NO_BAR)):
            shorten(self._widths, names, shortest, least - self._progress_width())
        for title in ("AGE", "CLUSTER", "COLLECTION", "STATE"):
            least = _PERCENT_WIDTH if title != "AGE" else _NO_BAR
            if self._progress_width() < least:
                self._widths.pop(title, None)

    def _progress_width(self) -> int:
        return self._width - sum(self._widths.values()) - len(self._widths)

    def _bar_width(self) -> int:
        bar = self._progress_width() - _NO_BAR - 1 - (_USUAL_WIDTH if self._has_usual else 0)
        return bar if bar >= _MIN_BAR else 0

    def titles(self) -> Text:
        bar = self._bar_width()
        progress = "PROGRESS".ljust(bar + 1 + _PERCENT_WIDTH) if bar else "DONE"
        time_left = " LEFT" if self._progress_width() >= _NO_BAR else ""
        cells = {title: Text(title) for title in self._widths}
        return self._joined(cells, Text(f"{progress}{time_left}"), style="bold")

    def line(self, key: JobKey, job: Job, now: float) -> Text:
        """Return the line of a job; an unsuccessful one has its reason where others have their progress."""
        created = job.first_seen if job.created_at is None else job.created_at
        cells = {
            "CLUSTER": Text(printable(key[0])),
            "COLLECTION": Text(printable(qualified_name(job.database, job.collection))),
            "JOB": Text(printable(job.job_id)),
            "STATE": Text("stalled", style="yellow") if job.stalled else coloured_state(job.state),
            "AGE": Text(short_duration(now - created), style="dim"),
        }
        if job.state in UNSUCCESSFUL:
            reason = printable(job.reason) if job.state is JobState.FAILED else ""
            return self._joined(cells, Text(reason or _NO_REASON[job.state], style=COLOURS[job.state]))
        if job.progress is None:
            return self._joined(cells, Text())
        progress, bar = Text(), self._bar_width()
        if bar:
            done = round(job.progress * bar)
            progress.append("━" * done, style="yellow" if job.stalled else COLOURS.get(job.state, "cyan"))
            progress.append("─" * (bar - done) + " ", style="dim")
        progress.append(percent(job.progress).rjust(_PERCENT_WIDTH))
        done_at, usual = self._view.done_at.get(key), self._view.usual.get(key)
        time_left = "" if done_at is None else f" ~{rough_duration(max(0.0, done_at - now))}"
        if self._progress_width() >= _NO_BAR:
            progress.append(time_left, style="dim")
        if bar and self._has_usual and usual is not None:
            progress.append(" " * (_LEFT_WIDTH - len(time_left)) + f" usually {rough_duration(usual)}", style="dim")
        return self._joined(cells, progress)

    def _joined(self, cells: dict[str, Text], last: Text, style: str = "") -> Text:
        line = Text(style=style)
        for title, width in self._widths.items():
            line.append_text(fitted(cells[title], width)).append(" ")
        line.append_text(last)
        line.rstrip()
        return line


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
