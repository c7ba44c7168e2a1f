"""The schedule of one cluster: its interval, how it backs off while polls fail, and which ticks it has missed."""

from collections.abc import Callable
from typing import Final

import msgspec

from monitor.grid import Slot
from monitor.poller import PollOutcome

BACKOFF_LIMIT: Final = 10
"""Intervals from one poll to the next of a cluster that keeps failing, at most."""

RETRY_AFTER_LIMIT: Final = 3600.0
"""Seconds for which a server can ask not to be polled."""

HUNG_INTERVALS: Final = 9
"""Intervals after which a poll that still runs counts as hung, unless it may take longer."""


class Schedule(msgspec.Struct):
    """When one cluster is polled, and how its polls went."""

    interval: float
    poll: Callable[[], PollOutcome]
    count_missed: Callable[[int], None]
    longest_poll: float
    show_interval: Callable[[float, float], None]
    failures: int = 0
    pause: float = 0.0
    slow: bool = False
    running_since: float | None = None
    not_before: float = 0.0
    attempted: bool = False
    slot: Slot | None = None
    first_poll_at: float = 0.0
    last_tick: int | None = None
    last_fired: float = 0.0

    def show(self) -> None:
        """Show the interval, and the one in force: the pause while polls fail is longer."""
        self.show_interval(self.interval, max(self.interval, self.pause))

    def hangs(self, now: float) -> bool:
        """Return whether its poll runs for longer than one can take, at a time of the monotonic clock."""
        since = self.running_since
        return since is not None and now - since > max(HUNG_INTERVALS * self.interval, self.longest_poll)

    def reach_tick(self, tick: int, now: float) -> int | None:
        """Note that a tick is reached, and return how many were skipped before it; None for the first in its slot.

        Ticks that a clock which was set forward has skipped do not count: only as many as fit into the time that has
        passed.

        Args:
            tick: The tick's number.
            now: Seconds of the monotonic clock.
        """
        previous_tick, previously_fired = self.last_tick, self.last_fired
        self.last_tick, self.last_fired = tick, now
        if previous_tick is None:
            return None
        if tick - previous_tick <= 1:
            return 0
        return min(tick - previous_tick - 1, int((now - previously_fired) / self.interval))

    def forget_failures(self) -> None:
        """Poll again at the next tick."""
        self.failures, self.not_before, self.pause = 0, 0.0, 0.0

    def back_off(self, outcome: PollOutcome, now: float) -> bool:
        """Decide when the cluster may be polled again: at its next tick, or later while it keeps failing.

        Args:
            outcome: How its latest poll ended.
            now: Seconds of the monotonic clock.

        Returns:
            Whether the pause until then has changed.
        """
        previous = self.pause
        if outcome.ok:
            self.forget_failures()
            return previous > 0
        self.failures += 1
        pause = min(2 ** min(self.failures - 1, BACKOFF_LIMIT), BACKOFF_LIMIT) * self.interval
        retry_after = min(outcome.retry_after or 0.0, RETRY_AFTER_LIMIT)
        # Half an interval less than the pause: the tick that it means must not be missed by a hair.
        self.not_before = now + max(pause - self.interval / 2, retry_after)
        self.pause = max(pause, retry_after)
        return self.pause != previous
