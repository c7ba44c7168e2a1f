import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.jobs import Failure, classify

# Texts of real servers: Milvus' import_*.go, importutilv2, merr; S3, GCS, Azure; Zilliz Cloud.
TEXTS = {
    Failure.FILE_NOT_FOUND: [
        "failed to get file size of '/a.json', error:stat /a.json: no such file or directory: importing data failed",
        "open file failed, path=events/part-7.parquet: file does not exist",
        "The specified key does not exist.",
        "The specified bucket does not exist",
        "NoSuchKey: The specified key does not exist, key=bulk/1.parquet: importing data failed",
        "key not found[key=files/insert_log/1.json]",
        "RESPONSE 404: 404 The specified blob does not exist. ERROR CODE: BlobNotFound",
    ],
    Failure.PERMISSION_DENIED: [
        "Access Denied.",
        "AccessDenied: User is not authorized to perform: s3:GetObject",
        "permission denied[bucket=data]",
        "SignatureDoesNotMatch: The request signature we calculated does not match the signature you provided",
        "The Access Key Id you provided does not exist in our records.",
        "ExpiredToken: The provided token has expired.",
        "RESPONSE 403: ERROR CODE: AuthorizationFailure",
    ],
    Failure.SCHEMA_MISMATCH: [
        "expected type 'Int64' for field 'id', got type 'string' with value 'x': importing data failed",
        "expected dim '128' for field 'vector' with type 'FloatVector', got dim '64': importing data failed",
        "the field 'title' is not defined in schema: importing data failed",
        "value of field 'id' is missed: importing data failed",
        "the primary key 'id' is auto-generated, no need to provide: importing data failed",
        "schema not equal, err=field 'f1' not in arrow schema",
    ],
    Failure.BAD_DATA: [
        "invalid JSON format, each row should be a key-value map: importing data failed",
        "failed to parse row: invalid character '}' looking for beginning of value",
        "read json file failed, unexpected EOF",
        "create parquet reader failed, err=parquet: invalid magic number",
        "value length(300) exceeds max_length(256) for varchar field: importing data failed",
        'strconv.ParseInt: parsing "300": value out of range',
        "duplicated primary key: importing data failed",
        "unexpected file type, files=[a.txt]",
    ],
    Failure.QUOTA_EXCEEDED: [
        "disk quota exceeded, please allocate more resources: quota exceeded[reason=disk quota exceeded]",
        "The number of jobs has reached the limit, please try again later",
        "import file size exceeds the maximum size limit 16GB",
        "write /var/lib/milvus/x: no space left on device",
    ],
    Failure.TIMEOUT: [
        "import timeout, jobID=449000000000000003",
        "context deadline exceeded",
        "import job timed out after 5h",
    ],
    Failure.ABORTED: [
        "aborted by user",
        "Aborted by user: importing data failed",
    ],
    Failure.COLLECTION_DROPPED: [
        "collection 449000000000000001 dropped",
        "collection not found[database=default][collection=449000000000000001]",
        "failed to find collection ID from its name: 'nope', error: collection not found",
        "partition 12 has been dropped",
    ],
    Failure.INTERNAL: [
        "rpc error: code = Unavailable desc = error reading from server",
        "node not found[node=7]",
        "Internal server error",
        "build index failed for segment 449000000000000007",
        "service not ready[standalone=0]: Abnormal",
    ],
    Failure.OTHER: ["", "importing data failed", "something nobody has seen before"],
}


@pytest.mark.parametrize(("failure", "text"), [(failure, text) for failure, texts in TEXTS.items() for text in texts])
def test_the_servers_text_tells_the_class(failure, text):
    assert classify(text) is failure


def test_every_class_has_real_texts():
    assert set(TEXTS) == set(Failure)


@given(st.text())
def test_any_text_has_a_class(text):
    assert isinstance(classify(text), Failure)


REPORTED = json.loads((Path(__file__).parents[1] / "samples" / "reasons.json").read_text())
"""Reasons from users' reports and from Milvus' source, each with the classes that a reader would accept."""


@pytest.mark.parametrize("report", REPORTED, ids=lambda report: report["source"])
def test_a_reported_reason_has_the_class_that_a_reader_would_give_it(report):
    assert classify(report["reason"]).value in report["classes"]


QUOTED = [
    "aborted by user",
    "quota exceeded",
    "permission denied",
    "collection dropped",
    "import timeout",
    "no such file",
]


@pytest.mark.parametrize("words", QUOTED)
@pytest.mark.parametrize(
    "quote", ["the value '{}' of a row is odd", 'row 7 holds "{}"', "odd row, path=exports/{}", "odd row [value={}]"]
)
def test_nothing_that_a_user_named_decides_the_class(words, quote):
    assert classify(quote.format(words if "path" not in quote else words.replace(" ", "-"))) is Failure.OTHER


@pytest.mark.parametrize("name", ["quota", "timeout", "json", "panic", "forbidden", "aborted"])
@pytest.mark.parametrize(
    "sentence",
    [
        "the field: {} is not in schema",
        "struct field {} is not found in schema",
        "field {} not found",
        "there is multi field with name: {}",
        "no file for field: {}, files: [{}.npy]",
    ],
)
def test_a_field_that_is_named_without_quotes_decides_nothing(sentence, name):
    assert classify(sentence.format(name, name)) is Failure.SCHEMA_MISMATCH


@pytest.mark.parametrize(
    "text",
    [
        "import job aborted: AbortImport called",
        "rpc error: code = Aborted",
        "The job was canceled by the user",
        "abort",
    ],
)
def test_only_the_servers_own_sentence_is_an_abort(text):
    assert classify(text) is not Failure.ABORTED


ADVERSARIAL = [
    "'",
    '"',
    "[",
    "[a=",
    "/",
    "a/ ",
    ":",
    "; ",
    "a.b",
    "path=",
    "collection ",
    "size exceed ",
    "over ",
    "type ",
    "\\",
    "field ",
    "field: ",
    "with name: ",
    "dtype ",
    "no file for ",
    "max number ",
]


@pytest.mark.parametrize("unit", ADVERSARIAL)
def test_a_hostile_text_costs_time_only_in_proportion_to_its_length(unit):
    short, long = ((unit * 4096)[:size] for size in (1024, 4096))

    assert cost(long) < 16 * max(cost(short), 1e-4)


def cost(text):
    """Return the CPU seconds of classifying a text, the least of a few tries."""
    costs = []
    for _ in range(5):
        before = time.process_time()
        classify(text)
        costs.append(time.process_time() - before)
    return min(costs)


def test_a_hostile_text_costs_no_time():
    assert classify("collection " * 1_000_000 + "quota") is Failure.OTHER
