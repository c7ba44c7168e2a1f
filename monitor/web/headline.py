"""What the title and the icon of a page show of its trouble, so that a tab in the background shows it too."""

from collections.abc import Mapping
from typing import Final

import msgspec

from monitor.jobs import Job, JobState

INCOMPLETE: Final = "incomplete"
STALLED: Final = "stalled"
UNREACHABLE: Final = "unreachable"

_SEVERE: Final = (JobState.FAILED, JobState.VANISHED, INCOMPLETE, UNREACHABLE)
_WAITING: Final = (STALLED, JobState.UNCOMMITTED)


class Headline(msgspec.Struct, frozen=True):
    """The trouble of a page: `text` stands in its title, `level` is `bad`, `warn`, or empty."""

    text: str = ""
    level: str = ""

    @property
    def icon(self) -> str:
        """The name of its icon."""
        return f"icon-{self.level}.svg" if self.level else "icon.svg"


def kind_of_trouble(job: Job) -> str:
    """Return in one word what is wrong with a job; its state if nothing is."""
    if job.state in {JobState.FAILED, JobState.VANISHED, JobState.UNCOMMITTED}:
        return job.state
    return INCOMPLETE if job.incomplete else STALLED if job.stalled else job.state


def headline(troubles: Mapping[str, int]) -> Headline:
    """Return the headline of a page with so many jobs and clusters in trouble, by kind: that of the worst kind."""
    for level, kinds in (("bad", _SEVERE), ("warn", _WAITING)):
        for kind in kinds:
            if count := troubles.get(kind, 0):
                return Headline(f"{count} {kind}", level)
    return Headline()


def job_headline(job: Job) -> Headline:
    """Return the headline of the page of one job."""
    kind = kind_of_trouble(job)
    level = headline({kind: 1}).level
    return Headline(kind if level else "", level)
