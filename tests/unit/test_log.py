"""The log: one event a line whatever is in it, and no secret in any of them."""

import io
import json
import logging
import math
import re
import sys
import threading
import warnings
from enum import StrEnum
from types import MappingProxyType

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from monitor.log import LINE_LIMIT, configure
from monitor.redaction import MASK, Redactor

SECRET = "s3cr3t-kéy\\with\"quotes'"


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no")


class Forger:
    """Its text is two lines, and it knows the secret."""

    def __repr__(self):
        return f"x\n2026-01-01T00:00:00Z [error    ] forged {SECRET}"


class Colour(StrEnum):
    RED = "red"


class Log:
    """What was written since the log was configured."""

    def __init__(self, form, level="debug", *secrets, stream=None):
        self.stream = io.StringIO() if stream is None else stream
        self.redactor = Redactor()
        self.redactor.learn(secrets)
        configure(form, level, self.redactor, self.stream)
        self.log = structlog.get_logger("monitor.test")

    @property
    def text(self):
        return self.stream.getvalue()

    @property
    def lines(self):
        return self.text.split("\n")[:-1]

    @property
    def entries(self):
        return [json.loads(line, parse_constant=pytest.fail) for line in self.lines]


CIRCLE = {"name": "circle"}
CIRCLE["self"] = CIRCLE

ODD = [
    "two\nlines",
    "\r\x00\x1b[31m\x85\u2028\u2029\u202e",
    "half \ud83d",
    math.nan,
    -math.inf,
    b"\xff\x00\n",
    {"deep": [{"deeper": {"deepest": {"bottom": {"under": math.nan}}}}]},
    {1: "a", None: "b", (1, 2): "c", "n\n": math.inf},
    {"set"},
    MappingProxyType({"a": 1}),
    CIRCLE,
    10**5000,
    -(10**5000),
    Unprintable(),
    Forger(),
    ValueError("broken\nline"),
    Colour.RED,
    object,
    True,
    None,
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: type(odd).__name__)
@pytest.mark.parametrize("secrets", [(), (SECRET,)], ids=["no secrets", "a secret"])
def test_a_json_line_is_one_object_whatever_is_in_it(odd, secrets):
    log = Log("json", "debug", *secrets)
    log.log.info("odd", value=odd, nested=[odd], deep={"a": {"b": odd}})
    log.log.info(odd if isinstance(odd, str) else "next")

    assert len(log.entries) == 2
    assert log.entries[0].keys() == {"event", "level", "timestamp", "value", "nested", "deep"}
    log.text.encode()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()) | st.integers(), inner),
    max_leaves=8,
)


@given(values, st.text(st.characters()))
def test_any_value_makes_one_line_in_each_form(value, event):
    for form in ("json", "logfmt", "console"):
        log = Log(form, "debug", SECRET)
        log.log.info(event, value=value)
        log.text.encode()
        assert len(log.entries if form == "json" else log.text.splitlines()) == 1


def test_values_keep_their_type():
    log = Log("json")
    log.log.info("kept", number=1, ratio=0.5, flag=True, nothing=None, word="é", many=(1, "a"), within={"a": 1})
    (entry,) = log.entries

    assert entry.pop("timestamp").endswith("Z")
    assert entry == {
        "event": "kept",
        "level": "info",
        "number": 1,
        "ratio": 0.5,
        "flag": True,
        "nothing": None,
        "word": "é",
        "many": [1, "a"],
        "within": {"a": 1},
    }
    assert "é" in log.text


def test_a_stream_that_is_not_utf_8_gets_json_all_the_same():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", errors="backslashreplace", write_through=True)
    Log("json", stream=stream).log.info("imported", collection="书é")

    assert json.loads(raw.getvalue())["collection"] == "书é"


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: type(odd).__name__)
@pytest.mark.parametrize("secrets", [(), (SECRET,)], ids=["no secrets", "a secret"])
def test_a_console_line_is_one_line_whatever_is_in_it(odd, secrets):
    log = Log("console", "debug", *secrets)
    log.log.info("odd", value=odd, nested=[odd], deep={"a\nb": {"b": odd}})

    assert len(log.text.splitlines()) == 1
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", log.text)


@pytest.mark.parametrize("forged", ["a\n2026-01-01T00:00:00Z [info     ] monitor_stopped", "\x1b[2K\rb", "x\u2028y"])
def test_an_event_name_from_a_library_cannot_forge_a_console_line(forged):
    log = Log("console")
    logging.getLogger("urllib3").warning("%s", forged)

    assert len(log.text.splitlines()) == 1
    assert "\x1b" not in log.text


def test_a_console_traceback_is_set_in_so_that_its_text_cannot_pass_for_a_line():
    log = Log("console")
    log.log.error("poll_crashed", exc_info=ValueError("first\n2026-01-01T00:00:00Z [info     ] forged\r\x1b[2K"))
    first, *others = log.text.splitlines()

    assert "poll_crashed" in first
    assert all(line.startswith("    ") for line in others)
    assert "ValueError: first" in log.text
    assert "\x1b" not in log.text


def test_a_stack_on_the_console_is_set_in_too():
    log = Log("console")
    log.log.info("here", stack_info=True)

    assert all(line.startswith("    ") for line in log.text.splitlines()[1:])
    assert "test_a_stack_on_the_console" in log.text


def test_the_console_leaves_out_what_is_empty():
    log = Log("console")
    log.log.info("short", empty="", none=None, zero=0, false=False)

    assert "empty" not in log.text
    assert "none" not in log.text
    assert "zero=0 false=False" in log.text


class Odd:
    """Nothing but a text with the secret in it."""

    def __str__(self):
        return f"<odd {SECRET}>"


PLACES = {
    "value": lambda log: log.info("x", key=SECRET),
    "part of a value": lambda log: log.info("x", url=f"https://u:{SECRET}@h/"),
    "event": lambda log: log.info("x %s", SECRET),
    "nested": lambda log: log.info("x", headers={"a": [{"b": (f"Bearer {SECRET}",)}]}),
    "key": lambda log: log.info("x", headers={SECRET: 1}),
    "deep": lambda log: log.info("x", a={"b": {"c": {"d": {"e": {"f": {"g": SECRET}}}}}}),
    "object": lambda log: log.info("x", odd=Odd(), forger=Forger()),
    "set": lambda log: log.info("x", odd={SECRET}),
    "exception as a value": lambda log: log.info("x", error=ValueError(SECRET)),
    "error of a key": lambda log: log.info("x", error=KeyError(SECRET)),
    "json in a text": lambda log: log.info("x", body=json.dumps({"key": SECRET})),
    "stdlib message": lambda _: logging.getLogger("urllib3").warning(SECRET),
    "stdlib argument": lambda _: logging.getLogger("urllib3").warning("key %s in %r", SECRET, {"k": SECRET}),
    "stdlib error": lambda _: logging.getLogger("urllib3").error("x", exc_info=ValueError(SECRET)),
    "stdlib wrong arguments": lambda _: logging.getLogger("urllib3").error("%d", SECRET),
    "warning": lambda _: warnings.warn(f"insecure {SECRET}", UserWarning, stacklevel=1),
}


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize("form", ["json", "logfmt", "console"])
@pytest.mark.parametrize("place", PLACES)
def test_a_secret_is_masked_wherever_it_stands(form, place, capfd):
    log = Log(form, "debug", SECRET)
    PLACES[place](log.log)
    shown = log.text.replace("\\", "")
    elsewhere = capfd.readouterr()

    assert "s3cr3t" not in shown
    assert MASK in shown or place == "stdlib wrong arguments"
    assert len(log.lines) == 1 or place == "stdlib error"
    assert (elsewhere.out, elsewhere.err) == ("", "")


@pytest.mark.parametrize("form", ["json", "logfmt", "console"])
def test_a_traceback_shows_no_secret_and_no_locals(form):
    log = Log(form, "debug", SECRET)

    def crash(number):
        hidden = str(number * 1_000_001)
        raise RuntimeError(f"cannot use {SECRET}, {len(hidden)}") from ValueError(SECRET)

    try:
        crash(7)
    except RuntimeError:
        log.log.exception("poll_crashed", key=SECRET)

    assert "RuntimeError: cannot use" in log.text
    assert "The above exception was the direct cause" in log.text
    assert "s3cr3t" not in log.text
    assert "7000007" not in log.text


def test_a_library_line_that_cannot_be_formatted_is_reported_and_not_dumped(capfd):
    log = Log("json", "debug", SECRET)
    logging.getLogger("urllib3").error("%d", SECRET)
    log.log.info("next")

    assert [(entry["level"], entry["event"]) for entry in log.entries] == [
        ("error", "a line of the logger urllib3 could not be written"),
        ("info", "next"),
    ]
    assert capfd.readouterr() == ("", "")


def test_a_log_that_cannot_be_written_stops_nobody(capfd):
    class Full(io.StringIO):
        def write(self, _text):
            raise OSError(28, "No space left on device")

    Log("json", stream=Full()).log.info("lost")

    assert capfd.readouterr() == ("", "")


def test_the_secrets_of_the_newest_config_count():
    log = Log("json", "debug", "old-secret")
    log.redactor.learn(["new-secret", "new-secret-and-longer"])
    log.log.info("x", a="old-secret", b="new-secret-and-longer", c="new-secret")
    log.redactor.learn([])
    log.log.info("x", a="new-secret")
    first, second = log.entries

    assert (first["a"], first["b"], first["c"]) == ("old-secret", MASK, MASK)
    assert second["a"] == "new-secret"


def test_a_secret_that_is_a_common_word_leaves_level_and_time_alone():
    log = Log("json", "debug", "info", "20", "event")
    log.log.info("x", note="info")
    (entry,) = log.entries

    assert entry["level"] == "info"
    assert entry["timestamp"].startswith("20")
    assert entry["event"] == "x"
    assert entry["note"] == MASK


@pytest.mark.parametrize(
    ("form", "stream", "console", "colours"),
    [
        ("auto", Terminal, True, True),
        ("auto", io.StringIO, False, False),
        ("console", Terminal, True, True),
        ("console", io.StringIO, True, False),
        ("json", Terminal, False, False),
        ("json", io.StringIO, False, False),
    ],
)
def test_auto_is_console_on_a_terminal_and_json_elsewhere(form, stream, console, colours):
    log = Log(form, stream=stream())
    log.log.info("hello", a=1)

    assert log.text.startswith("{") is not console
    assert ("\x1b[" in log.text) is colours


LEVELS = ["debug", "info", "warning", "error"]


@pytest.mark.parametrize("level", LEVELS)
def test_nothing_below_the_level_is_logged(level):
    log = Log("json", level)
    for each in LEVELS:
        getattr(log.log, each)("ours")
        getattr(logging.getLogger("library"), each)("theirs")
    ours = [entry["level"] for entry in log.entries if entry["event"] == "ours"]
    theirs = [entry["level"] for entry in log.entries if entry["event"] == "theirs"]

    assert ours == LEVELS[LEVELS.index(level) :]
    assert theirs == (["error"] if level == "error" else ["warning", "error"])


def test_configured_twice_a_line_is_written_once():
    Log("json")
    log = Log("json")
    log.log.info("once")

    assert len(log.lines) == 1


def test_the_log_goes_to_standard_error_by_default(capsys):
    configure("json", "info", Redactor())
    structlog.get_logger("monitor.test").info("there")
    out, err = capsys.readouterr()

    assert out == ""
    assert json.loads(err)["event"] == "there"


def test_lines_of_many_threads_do_not_mix():
    log = Log("json")

    def write():
        for number in range(50):
            log.log.info("line", number=number, text="x" * 500)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(log.entries) == 400
    assert sys.stderr is not log.stream


@pytest.mark.parametrize("form", ["json", "logfmt", "console"])
def test_an_event_of_ours_that_cannot_be_made_a_line_stops_nobody_and_is_reported(form, monkeypatch, capfd):
    log = Log(form, "debug", SECRET)
    monkeypatch.setattr(Redactor, "text", lambda *_: 1 // 0)
    log.log.error("poll_crashed", key=SECRET)
    monkeypatch.undo()
    log.log.info("next")

    assert "s3cr3t" not in log.text
    assert "a line of the logger monitor.test could not be written" in log.lines[0]
    assert "next" in log.lines[1]
    assert capfd.readouterr() == ("", "")


def test_a_line_of_ours_that_the_stream_cannot_write_is_reported_by_one_that_it_can(capfd):
    raw = io.BytesIO()
    log = Log("console", stream=io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    log.log.info("imported", collection="书")
    log.log.info("next")
    lines = raw.getvalue().decode().splitlines()

    assert "a line of the logger monitor.test could not be written" in lines[0]
    assert "next" in lines[1]
    assert capfd.readouterr() == ("", "")


LONG = {
    "ascii": "x" * 200_000,
    "beyond U+FFFF": "\U0001f600" * 50_000,
    "controls": "\x00\n" * 50_000,
    "list": ["item"] * 50_000,
    "nested": {"a": [{"b": ["\u202e" * 100] * 1_000}]},
    "exception": ValueError("x" * 200_000),
}


@pytest.mark.parametrize("form", ["json", "logfmt", "console"])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("kind", LONG)
def test_no_line_is_longer_than_the_limit_and_a_cut_one_says_so(form, encoding, kind):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding, "backslashreplace", newline="\n", write_through=True)
    log = Log(form, stream=stream)
    log.log.info(
        "long", exc_info=LONG[kind] if kind == "exception" else None, job_id="1", **dict.fromkeys("abcd", LONG[kind])
    )
    written = raw.getvalue().decode(encoding)

    assert len(raw.getvalue()) <= LINE_LIMIT
    assert " characters cut] " in written
    assert "long" in written
    assert "job_id" in written
    assert form != "json" or json.loads(written)["job_id"] == "1"


def test_a_line_that_is_cut_shows_no_part_of_a_secret():
    log = Log("json", "debug", SECRET)
    log.log.info("long", texts=[("x" * number + SECRET) * 50 for number in range(200)])

    assert "s3cr3t" not in log.text
    assert " characters cut] " in log.text


def test_a_line_begins_with_time_level_and_event():
    log = Log("json")
    log.log.warning("ours", a=1)
    logging.getLogger("library").warning("theirs")

    assert [list(entry)[:3] for entry in log.entries] == [["timestamp", "level", "event"]] * 2


def test_a_logger_that_was_used_before_follows_a_change_of_level():
    first = Log("json", "error")
    logger = first.log
    logger.info("first")
    second = Log("json", "info")
    logger.info("second")
    logger.debug("third")

    assert (first.lines, [entry["event"] for entry in second.entries]) == ([], ["second"])
    assert [logger.is_enabled_for(level) for level in (logging.INFO, logging.DEBUG)] == [True, False]
    assert [logging.getLogger("monitor.test").isEnabledFor(level) for level in (20, 10)] == [True, False]


def test_control_characters_by_the_thousand_are_shown_in_linear_time():
    log = Log("console")
    log.log.info("controls", value="\x1b\u202e\ud800" * 300_000)

    assert len(log.text.splitlines()) == 1
