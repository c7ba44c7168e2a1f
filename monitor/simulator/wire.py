"""Trouble on the wire: answers that come slowly, in part, or never."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from monitor.simulator.answers import JSON, Answer
from monitor.simulator.lies import million
from monitor.simulator.streams import gzip_bomb, huge

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from monitor.simulator.visit import Visit

    Receive = Callable[[], Awaitable[Mapping[str, Any]]]
    Send = Callable[[Mapping[str, Any]], Awaitable[None]]

_RESET = struct.pack("ii", 1, 0)
_SETTLE = 0.05


@dataclass(frozen=True, slots=True)
class Wire:
    """The connection that a request came by.

    Attributes:
        receive: The ASGI channel in.
        send: The ASGI channel out.
        transport: The socket's transport, for what HTTP servers do not do.
        stopping: Set when the server shuts down.
    """

    receive: Receive
    send: Send
    transport: asyncio.Transport
    stopping: asyncio.Event

    async def answer(self, answer: Answer) -> None:
        """Sends a whole answer, as HTTP servers do."""
        headers = [
            (b"content-type", answer.content_type),
            (b"content-length", str(len(answer.body)).encode()),
            *answer.headers,
        ]
        await self.send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": answer.body})

    async def play(self, kind: str, given: Mapping[str, Any], visit: Visit) -> None:
        """Plays the trouble of that kind, or answers truthfully where it is none of the wire."""
        if kind == "hang":
            await self._gone()
        elif kind == "slow_drip":
            await self._drip(visit.truth(), given["interval"], headers=given["headers"])
        elif kind == "reset":
            await self._reset(visit.truth(), given["after"])
        elif kind == "truncated":
            await self._break_off(visit.truth())
        elif kind == "huge":
            length = given["size"] if given["announced"] else None
            await self._stream(huge(given["size"]), length=length)
        elif kind == "gzip_bomb":
            await self._stream(gzip_bomb(given["size"]), encoding=b"gzip")
        elif kind == "million_jobs" and visit.cluster is not None and visit.endpoint == "list":
            await self._stream(million(visit, given["count"]))
        else:
            await self.answer(visit.truth())

    async def _gone(self) -> None:
        """Waits until the other side has gone away, or the server shuts down."""
        leaving = asyncio.ensure_future(self._disconnected())
        stopping = asyncio.ensure_future(self.stopping.wait())
        await asyncio.wait((leaving, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        # Without a connection there is nothing to answer, and the HTTP server does not miss an answer.
        self.transport.abort()
        await leaving

    async def _disconnected(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def _pause(self, seconds: float) -> bool:
        """Waits, and returns whether there is somebody left to send to."""
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return not self.transport.is_closing()
        return False

    async def _drip(self, answer: Answer, interval: float, *, headers: bool) -> None:
        head = _head(answer, len(answer.body))
        slow = answer.body
        if headers:
            slow = head + slow
        else:
            self.transport.write(head)
        for index in range(len(slow)):
            self.transport.write(slow[index : index + 1])
            if not await self._pause(interval):
                break
        self.transport.close()
        await self._disconnected()

    async def _reset(self, answer: Answer, after: int | None) -> None:
        sent = answer.body[: len(answer.body) // 2 if after is None else after]
        self.transport.write(_head(answer, len(answer.body)) + sent)
        # The bytes should arrive before the reset does, which otherwise could swallow them.
        await self._pause(_SETTLE)
        connection: socket.socket | None = self.transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()
        await self._disconnected()

    async def _break_off(self, answer: Answer) -> None:
        self.transport.write(_head(answer, len(answer.body)) + answer.body[: len(answer.body) // 2])
        self.transport.close()
        await self._disconnected()

    async def _stream(self, pieces: Iterator[bytes], *, length: int | None = None, encoding: bytes = b"") -> None:
        headers = [(b"content-type", JSON)]
        if encoding:
            headers.append((b"content-encoding", encoding))
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        await self.send({"type": "http.response.start", "status": 200, "headers": headers})
        for piece in pieces:
            await self.send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(0)
            if self.transport.is_closing() or self.stopping.is_set():
                self.transport.abort()
                await self._disconnected()
                return
        await self.send({"type": "http.response.body", "body": b""})


def _head(answer: Answer, length: int) -> bytes:
    phrase = HTTPStatus(answer.status).phrase
    lines = [b"HTTP/1.1 %d %s" % (answer.status, phrase.encode()), b"content-type: " + answer.content_type]
    lines += [name + b": " + value for name, value in answer.headers]
    lines += [b"content-length: %d" % length, b"connection: close", b"", b""]
    return b"\r\n".join(lines)
