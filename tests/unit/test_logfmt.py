"""The log as logfmt: whatever is logged stays one line, which a reader takes apart into the same fields."""

import io
import json
import logging
import re

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from monitor.log import configure
from monitor.redaction import Redactor

PAIR = re.compile(r'([A-Za-z0-9_.]+)=("(?:[^"\\]|\\.)*"|[^ ="\\]*)(?: |$)')


def parsed(line):
    """Take a line apart as the decoder of go-logfmt does; fails where anything is left over."""
    pairs, end = [], 0
    while end < len(line):
        match = PAIR.match(line, end)
        assert match, f"no key=value at {line[end : end + 80]!r}"
        text = match[2]
        pairs.append((match[1], json.loads(text) if text.startswith('"') else text))
        end = match.end()
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def logged(event, encoding="utf-8", **fields):
    """Return the line of an event without its time."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding, newline="\n", write_through=True)
    configure("logfmt", "debug", Redactor(), stream)
    structlog.get_logger("monitor.test").info(event, **fields)
    first, line = raw.getvalue().decode(encoding).split(" ", 1)
    assert re.fullmatch(r"timestamp=20[0-9T:.-]+Z", first)
    assert line.endswith("\n")
    return line[:-1]


def test_a_line_begins_with_time_level_and_event_and_has_the_fields_in_order():
    line = logged(
        "import_job_transition",
        milvus_cluster="prod-eu",
        labels={"team": "search", "tier": "a b"},
        database="",
        job_id="449213748710232911",
        progress=0.57,
        reason='open "a=b" failed:\n\tno such file',
        failure=None,
        unexpected=True,
    )

    assert line == (
        'level=info event=import_job_transition milvus_cluster=prod-eu labels.team=search labels.tier="a b" '
        'database="" job_id=449213748710232911 progress=0.57 reason="open \\"a=b\\" failed:\\n\\tno such file" '
        "failure= unexpected=true"
    )


def test_lists_and_objects_with_odd_names_are_json():
    fields = parsed(logged("x", added=["a", "b c"], odd={"a b": 1, "": None}, counts={"failed": 2}))

    assert json.loads(fields["added"]) == ["a", "b c"]
    assert json.loads(fields["odd"]) == {"a b": 1, "": None}
    assert fields["counts.failed"] == "2"


HOSTILE = [
    'a" level=error event=forged b="',
    "x\nlevel=error event=forged",
    "\r\x00\x1b[31m\x85\u2028\u2029\u202e\x7f",
    "ends with a backslash\\",
    "C:\\n",
    "=",
    '"',
    " ",
    "a=b",
    "null",
    "\u00a0",
    "\U0001f600 书",
    "\U000e0001",
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_hostile_text_stays_one_value(text, encoding):
    line = logged(text, encoding, reason=text, labels={"team": text}, more=[text])

    assert line.isprintable()
    fields = parsed(line)
    assert list(fields) == ["level", "event", "reason", "labels.team", "more"]
    assert [fields["event"], fields["reason"], fields["labels.team"], *json.loads(fields["more"])] == [text] * 4


@given(st.text(), st.text())
def test_any_text_comes_back_as_it_was(event, value):
    fields = parsed(logged(event, value=value, labels={"a": value}))

    assert (fields["event"], fields["value"], fields["labels.a"]) == (event, value, value)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.text() | st.none(), max_size=4))
def test_no_key_makes_another_field(fields):
    assert list(parsed(logged("x", odd=fields)))[:2] == ["level", "event"]
    assert logged("x", **{f"odd {key}": 1 for key in fields}).count("=1") == len({f"odd {key}" for key in fields})


def test_a_traceback_is_one_line():
    line = logged("poll_crashed", exc_info=ValueError("first\nlevel=error event=forged"))

    assert parsed(line)["exception"] == "ValueError: first\nlevel=error event=forged"


def test_lines_of_libraries_are_logfmt_too():
    logged("x")
    stream = io.StringIO()
    configure("logfmt", "debug", Redactor(), stream)
    logging.getLogger("urllib3").warning("retrying %s", "a b")

    assert stream.getvalue().split(" ", 1)[1] == 'level=warning event="retrying a b"\n'
