"""What becomes of a real answer or file on its way through bad hands: bytes and structure, changed at random."""

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from random import Random
from typing import Any

TOKENS = (
    *(
        b"\x00",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\xf0\x9f\x92\xa5",
        b"\xe2\x80\xa8",
        b"\x1b[2K",
        b"\r\n",
        b"\n",
    ),
    *(
        b'"',
        b"\\",
        b"\\u0000",
        b"\\ud800",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"null",
        b"true",
        b"-1",
        b"1e999",
        b"NaN",
    ),
    *(
        b"9" * 400,
        b"[" * 2000,
        b'{"a":' * 2000,
        b"-",
        b"0.1",
        b"- ",
        b"  ",
        b"\t",
        b"#",
        b"&a ",
        b"*a",
        b"!!python/name:os",
        b"!!binary",
    ),
    *(
        b"<<: *a\n",
        b"|\n",
        b">-\n",
        b"? ",
        b"---\n",
        b"...\n",
        b"%YAML 9.9\n",
        b"${",
        b"${PLACE}",
        b"$$",
        b"${NOPE}",
        b"~",
        b"'",
        b"%41",
    ),
)
"""Pieces that mean something to a parser, or should mean nothing to it."""

VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        7,
        100,
        200,
        2**31,
        2**63,
        2**64,
        -(10**130),
        0.5,
        -0.0,
        1e308,
        float("inf"),
        float("nan"),
    ),
    *(
        "",
        " ",
        "0",
        "7",
        "100%",
        "-5%",
        "9" * 5000,
        "\x00",
        "\ud800",
        "\n",
        "\u2028",
        "\x1b[2K",
        "x" * 5000,
        "\U0001f4a5" * 300,
    ),
    *(
        "Failed",
        "Completed",
        "ImportRunning",
        "2024-04-01T06:17:55Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59-23:59",
    ),
    *([], {}, [[]], [{}], {"": {}}, [None] * 50, {"jobId": {}}, {"records": {}}, {"code": 0}),
)
"""Values that servers should not send."""


def changed_bytes(content: bytes, random: Random) -> bytes:
    """Return the bytes with up to eight changes: pieces lost, doubled, moved, flipped or put in."""
    changed = bytearray(content)
    for _ in range(random.randint(1, 8)):
        begin = random.randrange(len(changed) + 1)
        end = min(len(changed), begin + random.choice((0, 1, 1, 2, 8, 64, len(changed))))
        random.choice(_EDITS)(changed, begin, end, random)
    return bytes(changed[:100_000])


def _put(changed: bytearray, begin: int, end: int, random: Random) -> None:
    changed[begin : end if random.random() < 0.5 else begin] = random.choice(TOKENS)


def _lose(changed: bytearray, begin: int, end: int, _: Random) -> None:
    del changed[begin:end]


def _double(changed: bytearray, begin: int, end: int, random: Random) -> None:
    changed[begin:begin] = changed[begin:end] * random.randint(1, 3)


def _move(changed: bytearray, begin: int, end: int, random: Random) -> None:
    piece = changed[begin:end]
    del changed[begin:end]
    to = random.randrange(len(changed) + 1)
    changed[to:to] = piece


def _flip(changed: bytearray, begin: int, _: int, random: Random) -> None:
    if begin < len(changed):
        changed[begin] ^= 1 << random.randrange(8)


_EDITS: Sequence[Callable[[bytearray, int, int, Random], None]] = (_put, _put, _lose, _double, _move, _flip)


def changed_json(document: Any, random: Random) -> bytes:
    """Return the JSON of a document in which up to four places have another value, another name, or company."""
    document = json.loads(json.dumps(document))
    for _ in range(random.randint(1, 4)):
        document = _changed_at_random(document, random)
    text = json.dumps(document, ensure_ascii=random.random() < 0.7)
    return text.encode("utf-8", "surrogatepass")


def _changed_at_random(document: Any, random: Random) -> Any:
    places = list(_places(document))
    if not places:
        return deepcopy(random.choice(VALUES))
    parent, key = random.choice(places)
    other, other_key = random.choice(places)
    what = random.randrange(6)
    if what == 0:
        del parent[key]
    elif what == 1:
        parent[key] = json.loads(json.dumps(other[other_key]))
    elif what == 2 and isinstance(parent, dict):
        parent[random.choice((str(other_key), "", "jobID", "taskID", "details", "infos", "pageSize"))] = parent.pop(key)
    elif what == 3 and isinstance(parent, list):
        parent.extend([parent[key]] * random.randint(1, 120))
    else:
        parent[key] = deepcopy(random.choice(VALUES))
    return document


def _places(document: Any) -> Any:
    """Every place of a document that holds a value, as its container and its key there."""
    waiting = [document] if isinstance(document, dict | list) else []
    while waiting:
        container = waiting.pop()
        keys = container.keys() if isinstance(container, dict) else range(len(container))
        for key in keys:
            yield container, key
            if isinstance(container[key], dict | list):
                waiting.append(container[key])
