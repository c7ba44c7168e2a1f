"""What a bench says: rows of a table, and how they read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

HEAD: Final = (
    "| Bench | Measured | | Compared with | | Ratio | Goal | Met |",
    "|---|--:|---|---|--:|--:|--:|---|",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One number of a bench.

    Attributes:
        what: What was measured.
        measured: How much.
        unit: Of both numbers.
        beside: What it is compared with; empty for nothing.
        compared: How much that is.
        goal: The most that is wanted, of the ratio where it is compared with something, else of the number; None
            where the row only tells.
    """

    what: str
    measured: float
    unit: str
    beside: str = ""
    compared: float | None = None
    goal: float | None = None

    @property
    def ratio(self) -> float | None:
        return None if self.compared is None else self.measured / self.compared

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        return (self.measured if self.ratio is None else self.ratio) <= self.goal


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a bench.

    Attributes:
        bench: Its name.
        machine: Where: processor, processors, Python.
        date: When it ended.
        quick: Whether with the small sizes that only show that it works.
        seconds: How long it took.
        rows: What it measured.
        failure: Why it measured nothing; empty where it did.
    """

    bench: str
    machine: str
    date: str
    quick: bool
    seconds: float
    rows: tuple[Row, ...] = ()
    failure: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it for a file, with what follows from its numbers."""
        rows = [asdict(row) | {"ratio": row.ratio, "met": row.met} for row in self.rows]
        return asdict(self) | {"rows": rows}


def run_from(stored: dict[str, Any]) -> Run:
    """Return what `as_json` made a file of."""
    rows = tuple(Row(**{name: row[name] for name in Row.__slots__}) for row in stored["rows"])
    return Run(**(stored | {"rows": rows}))


def lines(run: Run) -> list[str]:
    """Return a run as lines of a table."""
    if run.failure:
        return [f"| {run.bench} | | failed: {run.failure.replace('|', '/')} | | | | | no |"]
    return [_line(f"{run.bench}: {row.what}", row) for row in run.rows]


def number(value: float) -> str:
    """Return a number with three digits that count."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _line(name: str, row: Row) -> str:
    cells = [name, number(row.measured), row.unit, row.beside, *[""] * 4]
    if row.compared is not None and row.ratio is not None:
        cells[4], cells[5] = number(row.compared), number(row.ratio)
    if row.goal is not None:
        cells[6] = f"≤ {number(row.goal)}{'' if row.ratio is None else ' times'}"
        cells[7] = "yes" if row.met else "**no**"
    return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")
