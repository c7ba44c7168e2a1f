"""What one complete poll of a cluster saw."""

from collections.abc import Mapping

import msgspec

from monitor.jobs.model import Job


class Observation(msgspec.Struct, frozen=True, gc=False):
    """What one complete poll saw.

    Attributes:
        listed: Every job of the list, by id. Where it was read beside the list before, completed jobs of which it says
            the same again are left out.
        found: Jobs that the list left out and that a describe found all the same.
        gone: Jobs of which the server said that they do not exist.
        asked: Jobs for which a describe was sent.
        answered: Jobs for which a describe was answered.
        described: Jobs of the list with what a describe added.
        told: Those of the list of which it does not say the same as the list before; None where it was not read beside
            that one.
        left: Jobs that the list before had and this one has not.
        mark: Stands for the list.
    """

    listed: Mapping[str, Job]
    found: Mapping[str, Job] = msgspec.field(default_factory=dict)
    gone: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    answered: frozenset[str] = frozenset()
    described: Mapping[str, Job] = msgspec.field(default_factory=dict)
    told: Mapping[str, Job] | None = None
    left: frozenset[str] = frozenset()
    mark: object = None
