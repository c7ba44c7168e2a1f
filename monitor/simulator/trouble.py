"""What can go wrong between a server and whoever asks it, and the script that says when it does."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from inspect import signature
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MEGABYTE = 1 << 20
GIGABYTE = 1 << 30


@dataclass(frozen=True, slots=True)
class Trouble:
    """One way to go wrong; made by its class methods.

    Attributes:
        kind: The name of the class method.
        parameters: What it was given.
        endpoint: The endpoint it is made for, where it makes no sense at others.
    """

    kind: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    endpoint: str | None = None

    @classmethod
    def http(
        cls, status: int, *, retry_after: float | str | None = None, code: int | None = None, message: str | None = None
    ) -> Trouble:
        """An HTTP status, with the body the server would give; `retry_after` is sent as it is.

        Raises:
            ValueError: There is no such status for an answer.
        """
        if not 200 <= status <= 599:  # noqa: PLR2004 - what HTTP has for final answers
            raise ValueError(f"status must be from 200 to 599, not {status}")
        return cls("http", {"status": status, "retry_after": retry_after, "code": code, "message": message})

    @classmethod
    def code(cls, code: int = 1, message: str = "service unavailable") -> Trouble:
        """An error in the body of an HTTP 200."""
        return cls("code", {"code": code, "message": message})

    @classmethod
    def describe_error(cls, code: int = 2, message: str = "service unavailable: internal") -> Trouble:
        """The same, for describe only: no verdict about a job."""
        return cls("code", {"code": code, "message": message}, "describe")

    @classmethod
    def hang(cls) -> Trouble:
        """The request is taken and never answered."""
        return cls("hang")

    @classmethod
    def slow_drip(cls, interval: float = 0.2, *, headers: bool = False) -> Trouble:
        """The true answer, one byte every `interval` seconds; with `headers`, from the status line on."""
        return cls("slow_drip", {"interval": interval, "headers": headers})

    @classmethod
    def reset(cls, after: int | None = None) -> Trouble:
        """The connection is reset (a TCP RST) after so many bytes of the body, by default half of it."""
        return cls("reset", {"after": after})

    @classmethod
    def truncated(cls, *, promise: bool = False) -> Trouble:
        """Half of the body: with its own length, or with `promise` closed before the promised length."""
        return cls("truncated", {"promise": promise})

    @classmethod
    def html(cls) -> Trouble:
        """A web page with status 200, as captive portals and login pages give it."""
        return cls("html")

    @classmethod
    def wrong_types(cls, where: str = "records") -> Trouble:
        """JSON in which the `records`, the `data`, the `code` or the `top` are of another type than documented."""
        return cls("wrong_types", {"where": where})

    @classmethod
    def huge(cls, size: int = GIGABYTE, *, announced: bool = True) -> Trouble:
        """A body of `size` bytes, streamed; its length is `announced` in the headers, or not."""
        return cls("huge", {"size": size, "announced": announced})

    @classmethod
    def gzip_bomb(cls, size: int = GIGABYTE) -> Trouble:
        """A small gzip body that unpacks to `size` bytes."""
        return cls("gzip_bomb", {"size": size})

    @classmethod
    def false_empty(cls) -> Trouble:
        """A list that succeeds and is empty, although there are jobs (Milvus 2.4 to 3.x)."""
        return cls("false_empty", {}, "list")

    @classmethod
    def endless_pages(cls) -> Trouble:
        """A list in which every page is full and brings new jobs."""
        return cls("endless_pages", {}, "list")

    @classmethod
    def million_jobs(cls, count: int = 1_000_000) -> Trouble:
        """A list of `count` jobs on one page, streamed."""
        return cls("million_jobs", {"count": count}, "list")

    @classmethod
    def progress_back(cls, by: int = 30) -> Trouble:
        """Unfinished jobs tell `by` percent less than they should; it can be less than nothing (31221)."""
        return cls("progress_back", {"by": by})

    @classmethod
    def long_id(cls, size: int = MEGABYTE) -> Trouble:
        """One more job in the list, whose id has `size` characters."""
        return cls("long_id", {"size": size}, "list")

    @classmethod
    def control_characters(cls) -> Trouble:
        """More jobs in the list, with newlines, escapes and quotes in names and reasons."""
        return cls("control_characters", {}, "list")

    @classmethod
    def redirect(cls, location: str, status: int = 302) -> Trouble:
        """A redirect, for example to a host that must never see the key."""
        return cls("redirect", {"location": location, "status": status})

    @classmethod
    def content_type(cls, value: str = "text/plain") -> Trouble:
        """The true answer, under another content type."""
        return cls("content_type", {"value": value})

    @classmethod
    def not_utf8(cls) -> Trouble:
        """The true answer, with bytes in it that are no UTF-8."""
        return cls("not_utf8")

    @classmethod
    def body(cls, body: str | bytes, *, status: int = 200, content_type: str = "application/json") -> Trouble:
        """Any answer at all."""
        return cls("body", {"body": body, "status": status, "content_type": content_type})

    @classmethod
    def of(cls, kind: str, parameters: Mapping[str, Any] | None = None) -> Trouble:
        """Returns the trouble with that name, as `simulate` takes it over HTTP.

        Raises:
            ValueError: No such kind, or no such parameters.
        """
        make = TROUBLES.get(kind)
        if make is None:
            raise ValueError(f"no trouble named {kind!r}; there are {', '.join(TROUBLES)}")
        given = parameters or {}
        known = signature(make).parameters
        wrong = [f"needs {name}" for name, one in known.items() if one.default is one.empty and name not in given]
        wrong += [f"takes no {name!r}" for name in given if name not in known]
        if wrong:
            raise ValueError(f"trouble {kind!r} {', '.join(wrong)}; it takes {', '.join(arguments(kind)) or 'nothing'}")
        try:
            return make(**given)
        except TypeError as error:
            raise ValueError(f"trouble {kind!r}: {error}") from error


TROUBLES: Mapping[str, Callable[..., Trouble]] = {
    "http": Trouble.http,
    "code": Trouble.code,
    "describe_error": Trouble.describe_error,
    "hang": Trouble.hang,
    "slow_drip": Trouble.slow_drip,
    "reset": Trouble.reset,
    "truncated": Trouble.truncated,
    "html": Trouble.html,
    "wrong_types": Trouble.wrong_types,
    "huge": Trouble.huge,
    "gzip_bomb": Trouble.gzip_bomb,
    "false_empty": Trouble.false_empty,
    "endless_pages": Trouble.endless_pages,
    "million_jobs": Trouble.million_jobs,
    "progress_back": Trouble.progress_back,
    "long_id": Trouble.long_id,
    "control_characters": Trouble.control_characters,
    "redirect": Trouble.redirect,
    "content_type": Trouble.content_type,
    "not_utf8": Trouble.not_utf8,
    "body": Trouble.body,
}


def arguments(kind: str) -> list[str]:
    """Returns what a trouble takes, each with its default as JSON; what has none must be given."""
    known = signature(TROUBLES[kind]).parameters.items()
    return [name if one.default is one.empty else f"{name}={json.dumps(one.default)}" for name, one in known]


@dataclass(slots=True)
class _Scene:
    trouble: Trouble
    endpoint: str | None
    times: int | None
    ends: float | None


class Script:
    """Troubles in the order in which they were asked for; each lasts until its count or its time is used up."""

    __slots__ = ("_scenes",)

    def __init__(self) -> None:
        self._scenes: list[_Scene] = []

    def __bool__(self) -> bool:
        return bool(self._scenes)

    def add(self, trouble: Trouble, endpoint: str | None, times: int | None, ends: float | None) -> None:
        """Appends a trouble; see `SimulatedCluster.trouble`."""
        self._scenes.append(_Scene(trouble, endpoint, times, ends))

    def clear(self, endpoint: str | None = None) -> None:
        """Drops all troubles, or those of one endpoint."""
        self._scenes = [scene for scene in self._scenes if endpoint is not None and scene.endpoint != endpoint]

    def next(self, endpoint: str, now: float) -> Trouble | None:
        """Returns what goes wrong with this request, and counts it."""
        self._scenes = [s for s in self._scenes if s.times != 0 and (s.ends is None or now < s.ends)]
        for scene in self._scenes:
            if scene.endpoint in (None, endpoint):
                if scene.times is not None:
                    scene.times -= 1
                return scene.trouble
        return None
