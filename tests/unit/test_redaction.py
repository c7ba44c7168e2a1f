"""Secrets are found in every form in which servers repeat them, in a time that the text's length alone decides."""

from __future__ import annotations

import base64
import html
import json
import time
from urllib.parse import quote, quote_plus

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.redaction import MASK, Redactor, SecretMask, password_of, passwords_in

SECRETS = (
    "zk-A1b2C3d4E5f6",
    "root:pass word, and more",
    "größe über-alles",
    "\u043f\u0430\u0440\u043e\u043b\u044c" * 2 + "1",
    r"DOMAIN\\user:p\\\\w\x",
    "a+b + c+ d",
    '50%25&amp;<off>"',
    r"\\\\\\\\begins",
    " é leading",
)
AMBIGUOUS = ("é%89é%89é%89x", "+ + + + x", r"\a\b\c\d\e", "%25%25%25%25x", "a" * 30 + "b")


def spellings(char: str) -> st.SearchStrategy[str]:
    """The forms of one character of ASCII."""
    code = ord(char)
    forms = [
        char,
        f"\\u{code:04x}",
        f"\\U{code:04X}".replace("U", "u", 1),
        f"\\x{code:02x}",
        f"%{code:02X}",
        f"%{code:02x}",
    ]
    forms += [rf"\\\\u{code:04x}", char.swapcase()]
    if not char.isalnum() and char != " ":
        forms += [f"\\{char}", f"&#{code};", f"&#x{code:x};", html.escape(char)]
    if char == " ":
        forms = [" ", "+", "%20", "  ", "\t", "\u00a0"]
    return st.sampled_from(forms)


letters = st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\\%&#;")
plain_secrets = st.text(letters | st.just(" "), min_size=6, max_size=20).filter(
    lambda text: text == text.strip() and "  " not in text and " +" not in text and "+ " not in text
)


@settings(deadline=None)
@given(st.data(), plain_secrets)
def test_a_secret_is_masked_however_each_of_its_characters_is_written(data, secret):
    written = "".join(data.draw(spellings(char)) for char in secret)
    text = f"a|{written}|b %41"  # too short around the secret to be a secret
    masking = SecretMask([secret])

    assert masking.text(text) == f"a|{MASK}|b %41"
    assert masking.content(text.encode()) == f"a|{MASK}|b %41".encode()


@pytest.mark.parametrize("char", "{|}~")
def test_a_number_of_ascii_after_a_space_is_no_part_of_the_space(char):
    masking = SecretMask([f"pass {char}"])

    assert masking.text(f"before|pass &#{ord(char)};|after") == f"before|{MASK}|after"
    assert masking.text(f"before|pass &#160;&#8195;{char}|after") == f"before|{MASK}|after"


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "written",
    [
        lambda secret: secret,
        json.dumps,
        lambda secret: json.dumps(json.dumps(secret)),
        lambda secret: json.dumps(secret, ensure_ascii=False),
        quote,
        quote_plus,
        html.escape,
        ascii,
        lambda secret: secret.encode().decode("latin-1"),
        lambda secret: base64.b64encode(secret.encode()).decode(),
        lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
        lambda secret: secret.replace(" ", "   "),
    ],
)
def test_a_secret_is_masked_in_the_forms_that_servers_give_it(secret, written):
    masked = SecretMask([secret]).text(f"before {written(secret)} after")

    assert MASK in masked
    assert secret.strip() not in masked
    assert written(secret).strip("\"'= ") not in masked
    assert SecretMask([secret]).content(f"before {secret} after".encode()).count(MASK.encode()) >= 1


@pytest.mark.parametrize("secret", AMBIGUOUS)
def test_a_secret_that_looks_like_an_escape_is_masked_as_it_is_written(secret):
    assert SecretMask([secret]).text(f"before {secret} after") == f"before {MASK} after"


@pytest.mark.parametrize("secret", [*SECRETS, *AMBIGUOUS])
def test_no_text_makes_the_search_for_a_secret_take_for_ever(secret):
    # Each of them nearly is the secret, over and over: a search that went back over what it has matched would not end.
    almost = secret[:-1]
    units = ["é", "\u00a0", "\\", "%89", "+", " ", "&#233;", "\\u0041", "\\" * 63 + "u005c", "%5c", "\\u00e9", almost]
    units += ["".join(f"%{byte:02x}" for byte in almost.encode()), "".join(f"\\u{ord(char):04x}" for char in almost)]
    units += [almost.replace(" ", "\u00a0" * 16), almost.replace("\\", "\\" * 64), "é" * 15 + almost]
    masking = SecretMask([secret])
    for unit in units:
        text = unit * (60_000 // len(unit)) + " %41"
        assert masking.text(text).endswith(" %41")
        assert masking.content(text.encode()).endswith(b" %41")


def test_the_texts_of_a_large_answer_full_of_escapes_are_all_looked_through():
    texts = ["%7ak-A1b2C3d4E5f%2", "zk%2dA1b2C3d4E5f6", "x" * 50] * 20_000
    body = msgspec.json.encode(texts)

    assert SecretMask([SECRETS[0]]).json(texts, body) == ["%7ak-A1b2C3d4E5f%2", MASK, "x" * 50] * 20_000


PLACES = (
    "before {} after",
    "key={}",
    "'{}'",
    "postgresql://user:{}@host/database",
    "line\\n{}\\r",
    "100%25: {}",
    "b'\\x07{}\\x07'",
)
QUOTINGS = (str, json.dumps, repr, quote, quote_plus, html.escape, str.upper, lambda text: json.dumps(json.dumps(text)))


@pytest.mark.parametrize("secret", [*SECRETS, *AMBIGUOUS, "sT8Wq3Hn5Zc7Vx4L", "+*-/.!"])
@pytest.mark.parametrize("quoting", QUOTINGS)
def test_the_last_check_finds_a_secret_among_many_that_stands_by_itself(secret, quoting):
    redactor = Redactor()
    redactor.learn([secret, *(f"root:another-{number}" for number in range(1_000))])
    for place in PLACES:
        masked = redactor.text(place.format(quoting(secret)))
        assert MASK in masked
        assert quoting(secret).strip("\"' ") not in masked


def test_the_last_check_leaves_a_text_without_secrets_alone():
    redactor = Redactor()
    redactor.learn(f"root:password-{number}" for number in range(1_000))
    text = "root: the password-1001 of C:\\new\\x41 is 100% wrong &amp; %41"

    assert redactor.text(text) == text


def test_users_that_share_a_name_or_a_password_are_each_found():
    secrets = [f"administrator:{word}-{number}" for word in ("one", "two") for number in range(500)]
    redactor = Redactor()
    redactor.learn(secrets)

    assert {redactor.text(f"no such user: {secret}") for secret in secrets} == {f"no such user: {MASK}"}


@pytest.mark.parametrize(
    "unit", ["a", "abcdefg ", "%25", "%2525252541", "\\", "\\u005c", "&amp;", "&#38;amp;", "é", " +"]
)
def test_no_text_makes_the_last_check_take_for_ever(unit):
    redactor = Redactor()
    redactor.learn(["abcdefgh", "a" * 30 + "b", "+*-/.!", *AMBIGUOUS])
    short, long = unit * (10_000 // len(unit)), unit * (100_000 // len(unit))

    assert seconds(redactor, long) < 40 * seconds(redactor, short) + 0.01


def seconds(redactor, text):
    """The least time of three."""
    times = []
    for _ in range(3):
        began = time.process_time()
        redactor.text(text)
        times.append(time.process_time() - began)
    return min(times)


@pytest.mark.parametrize(
    ("url", "passwords"),
    [
        ("http://mona:p%40ss@h", {"p%40ss", "p@ss", "mona:p%40ss", "mona:p@ss"}),
        ("postgresql://h/d?sslmode=x&password=secret", {"secret"}),
        ("http://h", set()),
        ("http://[mona:secret@h", {"secret", "[mona:secret"}),
        ("postgresql://mona:secret@h1:1,[::1]:2,h3/db", {"secret", "mona:secret"}),
    ],
)
def test_the_password_of_a_url_is_found_as_it_is_written_and_as_it_is_meant(url, passwords):
    assert password_of(url) == passwords


def test_the_passwords_of_proxies_are_found_with_and_without_a_scheme():
    environ = {"HTTP_PROXY": "mona:secret@h:1", "https_proxy": "http://lisa:other@h", "no_proxy": "x:y@z"}

    assert passwords_in(environ) == {"secret", "mona:secret", "other", "lisa:other"}
