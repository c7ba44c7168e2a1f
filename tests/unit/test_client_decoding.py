"""What an answer says: its code, its status, its JSON, and how long it wants us to wait."""

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import DecodeError

from monitor.client.decoding import VALUE_LIMIT, Body, code_of, decompress, envelope, refusal
from monitor.client.errors import ApiError, ApiMissingError, BadResponseError, ErrorKind
from monitor.client.response import BODY_LIMIT, AnswerTooLargeError

KINDS = {
    ErrorKind.TRANSIENT: (1, 2, 4, 5, 10000, 10001),
    ErrorKind.THROTTLED: (8, 9, 1807),
    ErrorKind.UNAUTHORIZED: (1400, 1401, 1800, 21119, 80001, 80002, 96012, 96013, 96014, 96015, 96016, 96027),
    ErrorKind.NOT_FOUND: (100, 800, 96018, 96025, 96036),
    ErrorKind.BAD_REQUEST: (1100, 1101, 1801, 1802, 80000, 80003, 80004, 96008, 96009),
    ErrorKind.OTHER: (65535, 3, 2100, 123456, 404),
}
KIND_OF_CODE = [(code, kind) for kind, codes in KINDS.items() for code in codes]
KIND_OF_STATUS = [
    (400, ErrorKind.BAD_REQUEST),
    (401, ErrorKind.UNAUTHORIZED),
    (403, ErrorKind.UNAUTHORIZED),
    (404, ErrorKind.NOT_FOUND),
    (405, ErrorKind.NOT_FOUND),
    (408, ErrorKind.TRANSIENT),
    (410, ErrorKind.NOT_FOUND),
    (413, ErrorKind.OTHER),
    (422, ErrorKind.BAD_REQUEST),
    (429, ErrorKind.THROTTLED),
    (500, ErrorKind.TRANSIENT),
    (502, ErrorKind.TRANSIENT),
    (503, ErrorKind.TRANSIENT),
    (504, ErrorKind.TRANSIENT),
]


@pytest.mark.parametrize(("code", "kind"), KIND_OF_CODE)
def test_an_error_code_is_the_kind_the_table_says(code: int, kind: ErrorKind) -> None:
    for spelling in (code, str(code)):
        with pytest.raises(ApiError) as caught:
            envelope({"code": spelling, "message": "what happened"})
        assert caught.value.kind is kind
        assert caught.value.code == code
        assert str(caught.value) == f"what happened (code {code})"


@pytest.mark.parametrize("code", [0, 200, "0", "200"])
def test_four_codes_are_success(code: Any) -> None:
    assert envelope({"code": code, "data": {"records": []}}) == {"records": []}


@pytest.mark.parametrize("payload", [None, [], "text", 5, {}, {"code": None}, {"code": [0]}, {"code": True}])
def test_what_has_no_code_is_no_answer_of_this_api(payload: Any) -> None:
    with pytest.raises(BadResponseError, match="is this the address of an import API"):
        envelope(payload)


@pytest.mark.parametrize(
    "code", ["1.0", "²", "", 1.0, pytest.param("9" * 5000, id="text"), pytest.param(10**4000, id="number")]
)
def test_a_code_that_is_no_number_of_ours_is_none(code: Any) -> None:
    assert code_of(code) is None


def test_an_error_without_a_message_says_so() -> None:
    with pytest.raises(ApiError, match=r"^the server gives no message \(code 65535\)$"):
        envelope({"code": 65535, "message": None})


def test_a_message_of_an_error_is_one_bounded_line() -> None:
    with pytest.raises(ApiError) as caught:
        envelope({"code": 1, "message": "first\nsecond\r\n\x1b[31mthird" + "x" * 10_000})
    assert str(caught.value).startswith("first second")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 1000


@pytest.mark.parametrize(("status", "kind"), KIND_OF_STATUS)
def test_a_status_is_the_kind_the_table_says(status: int, kind: ErrorKind) -> None:
    assert refused(status).kind is kind
    assert refused(status, b"<html>").kind is kind
    assert refused(status, b'{"code": 65535, "message": "no"}').kind is kind


@pytest.mark.parametrize(("code", "kind"), [(96025, ErrorKind.NOT_FOUND), (1800, ErrorKind.UNAUTHORIZED)])
def test_a_known_code_in_the_body_says_more_than_the_status(code: int, kind: ErrorKind) -> None:
    error = refused(400, json.dumps({"code": code, "message": "no"}).encode())
    assert (error.kind, error.code, str(error)) == (kind, code, f"host:1 says: no (HTTP 400, code {code})")


def test_a_missing_v2_api_names_the_generation_and_the_port_to_try() -> None:
    error = refused(404, b"404 page not found")
    assert isinstance(error, ApiMissingError)
    assert "check host and path of `url`" in str(error)
    assert "`api: milvus-2.3`" in str(error)
    assert "http://HOST:9091" in str(error)


@pytest.mark.parametrize("api", ["v1", "milvus-2.3"])
def test_a_missing_older_api_names_v2(api: str) -> None:
    assert f"no {api} import API" in str(refused(404, b"404 page not found", api=api))
    assert "`api: v2`" in str(refused(404, b"404 page not found", api=api))


@pytest.mark.parametrize("body", [b"", b"[]", b"not json", b"[" * 100_000, b"\xff", b'{"code": {}}'])
def test_a_refusal_with_any_body_is_still_a_refusal(body: bytes) -> None:
    assert refused(503, body).kind is ErrorKind.TRANSIENT


def test_an_empty_refusal_says_nothing() -> None:
    assert str(refused(503, b"")) == "host:1 says: nothing (HTTP 503)"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        (" 7 ", 7.0),
        pytest.param("9" * 5000, None, id="5000 digits"),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("-1", None),
        ("Mon, 1 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 1 Jan 2020 00:00:00 +99999999999999999999", 0.0),
        ("Mon, 1 Jan 2020 00:00:00 +2500", 0.0),
        (None, None),
    ],
)
def test_a_retry_after_is_seconds_or_nothing(header: str | None, seconds: float | None) -> None:
    assert refused(429, headers={} if header is None else {"Retry-After": header}).retry_after == seconds


def test_a_retry_after_may_be_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert refused(429, headers={"Retry-After": date}).retry_after == pytest.approx(60, abs=5)


def test_a_redirect_is_told_and_says_where_to() -> None:
    error = refused(302, headers={"Location": "https://other.example/\x1bv2"})
    assert error.kind is ErrorKind.BAD_RESPONSE
    assert "redirects to 'https://other.example/�v2'" in str(error)


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b'{"a": "\xff"}', {"a": "�"}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'["good", "\\ud800"]', ["good", "\ud800"]),
        (b"[1, 1e999]", [1, float("inf")]),
        pytest.param(b'["good", 1%s]' % (b"0" * 5000), ["good", 10**999], id="5000 digits"),
    ],
)
def test_one_odd_value_does_not_cost_the_whole_answer(content: bytes, value: Any) -> None:
    assert Body(content, "host:1").json() == value


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html>\n<html>", "it begins with '<!DOCTYPE html>"),
        (b'{"code": 0, "data": {"rec', 'it begins with \'{"code": 0'),
        (b"[" * 100_000, "it begins with '[[["),
        (b"\x00\x1b\xff", "it begins with '"),
    ],
)
def test_what_is_not_json_is_told_with_its_beginning(content: bytes, told: str) -> None:
    with pytest.raises(BadResponseError, match=r"^host:1: the response is not JSON") as caught:
        Body(content, "host:1").json()
    assert told in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("unit", [b"{},", b"[],", b'{"":0},', b"0,", b'"a",', b'{"":{"":0}},'])
def test_a_body_of_too_many_values_is_not_decode(unit: bytes) -> None:
    content = b'{"code":0,"data":[' + unit * (BODY_LIMIT // len(unit)) + b"0]}"
    tracemalloc.start()
    try:
        with pytest.raises(BadResponseError, match=f"^host:1: the response holds more than {VALUE_LIMIT} values$"):
            Body(content, "host:1").json()
        error = refused(503, content)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert error.kind is ErrorKind.TRANSIENT
    assert error.code is None


def test_a_body_of_as_many_values_as_are_allowed_is_decode() -> None:
    # What comes before a value: a bracket, and a comma for each of the others.
    assert len(Body(b"[" + b"0," * (VALUE_LIMIT - 1) + b"0]", "host:1").json()) == VALUE_LIMIT


@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        ("gzip", gzip.compress),
        ("X-GZip", gzip.compress),
        ("identity", bytes),
        ("", bytes),
    ],
)
def test_a_compressed_body_is_decompressed(coding: str, compress: Callable[[bytes], bytes]) -> None:
    assert decompress(compress(b'{"code": 0}'), coding) == b'{"code": 0}'


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (b"no gzip", "gzip"),
        (gzip.compress(b"{}")[:-1], "gzip"),
        (gzip.compress(b"") * 3000, "gzip"),
        (gzip.compress(b"{}") + b"more", "gzip"),
        (zlib.compress(b"{}"), "deflate"),
        (b"{}", "br"),
        (gzip.compress(b"{}"), "gzip, gzip"),
    ],
    ids=["no gzip", "cut off", "3,000 members", "more", "deflate", "br", "twice"],  # bytes of gzip contain the time
)
def test_what_is_not_one_whole_stream_cannot_be_decompressed(body: bytes, coding: str) -> None:
    with pytest.raises((DecodeError, zlib.error)):
        decompress(body, coding)


def test_a_body_that_is_too_large_decompressed_is_refused() -> None:
    assert len(decompress(gzip.compress(bytes(BODY_LIMIT)), "gzip")) == BODY_LIMIT
    with pytest.raises(AnswerTooLargeError):
        decompress(gzip.compress(bytes(BODY_LIMIT + 1)), "gzip")


def test_a_hundred_thousand_jobs_are_not_too_many_values() -> None:
    job = b'{"jobId":"449000000000000001","collectionName":"events","state":"Importing","progress":80}'
    assert len(Body(b"[" + b",".join([job] * 100_000) + b"]", "host:1").json()) == 100_000


def refused(status: int, content: bytes = b"", *, headers: dict[str, str] | None = None, api: str = "v2") -> ApiError:
    return refusal(status, CaseInsensitiveDict(headers or {}), Body(content, "host:1"), api)
