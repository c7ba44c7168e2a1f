"""Bodies too large to hold in memory, made while they are sent."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 1 << 16
_BLOCK = 1 << 20
_BEGIN, _END = b'{"code":0,"message":"', b'","data":{"records":[]}}'


def huge(size: int) -> Iterator[bytes]:
    """Yields valid JSON of `size` bytes."""
    left = max(size - len(_BEGIN) - len(_END), 0)
    yield _BEGIN
    chunk = b"x" * _CHUNK
    while left:
        yield chunk if left >= _CHUNK else chunk[:left]
        left -= min(left, _CHUNK)
    yield _END


def gzip_bomb(size: int) -> Iterator[bytes]:
    """Yields a valid gzip body, about a thousandth of `size`, that unpacks to valid JSON of `size` bytes."""
    left = max(size - len(_BEGIN) - len(_END), 0)
    checksum = total = 0

    def deflated(data: bytes, flush: int) -> bytes:
        # A full flush makes the piece independent of what came before, so one block serves again and again.
        squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        return squeeze.compress(data) + squeeze.flush(flush)

    block = b"x" * _BLOCK
    packed = deflated(block, zlib.Z_FULL_FLUSH)
    yield b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
    pieces = [(_BEGIN, deflated(_BEGIN, zlib.Z_FULL_FLUSH))]
    if left % _BLOCK:
        pieces.append((block[: left % _BLOCK], deflated(block[: left % _BLOCK], zlib.Z_FULL_FLUSH)))
    for data, squeezed in pieces:
        checksum, total = zlib.crc32(data, checksum), total + len(data)
        yield squeezed
    for _ in range(left // _BLOCK):
        checksum, total = zlib.crc32(block, checksum), total + _BLOCK
        yield packed
    checksum, total = zlib.crc32(_END, checksum), total + len(_END)
    yield deflated(_END, zlib.Z_FINISH) + struct.pack("<II", checksum, total & 0xFFFFFFFF)
