from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest

from otagate.gate.interface import SourceError
from otagate.gate.sources import _secrets
from otagate.gate.sources.command import harmless_lines


def test_words_of_a_credential_are_hidden_alone_and_together() -> None:
    words = _secrets.words_of(["Bearer abcdefgh12345678", "short"])
    assert {"Bearer abcdefgh12345678", "abcdefgh12345678"} <= set(words)
    assert [len(word) for word in words] == sorted((len(word) for word in words), reverse=True)
    assert "short" not in words
    assert _secrets.hidden("no Bearer abcdefgh12345678, no abcdefgh12345678, short", words) == "no ***, no ***, short"


@pytest.mark.parametrize("body", [b'"a/secret-word"', b'"a\\/secret-word"', b"\xff a/secret-word and more"])
def test_an_answer_with_a_credential_is_not_quoted(body: bytes) -> None:
    error = SourceError("unusable", "GET https://m.example", "JSON", "bad = a/secr", "mend it")
    guarded = _secrets.guarded(error, body, ("a/secret-word",))
    assert (guarded.what, guarded.subject, guarded.expected, guarded.remedy) == (
        error.what,
        error.subject,
        error.expected,
        error.remedy,
    )
    assert guarded.found == "an answer that repeats a credential (not shown)"


TOKEN = 'tok/5f0c+1a7e&94b2=<4dd1>"a0c3'
WRITTEN = {
    "plain": TOKEN,
    "other case": TOKEN.upper(),
    "percent": quote(TOKEN),
    "percent, slashes too": quote(TOKEN, safe="").lower(),
    "form": quote_plus(TOKEN),
    "html": html.escape(TOKEN),
    "json": json.dumps(TOKEN)[1:-1],
    "base64": base64.b64encode(TOKEN.encode()).decode(),
    "base64url": base64.urlsafe_b64encode(TOKEN.encode()).decode(),
}
PAIR = base64.b64encode(f"metrics-user:{TOKEN}".encode()).decode()


@pytest.mark.parametrize("form", WRITTEN)
@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", TOKEN, f"Basic {PAIR}", f"basic {PAIR}"], ids=lambda text: text[:6])
def test_a_credential_is_hidden_however_it_is_written(header: str, form: str) -> None:
    words = _secrets.words_of([header])
    shown = _secrets.hidden(f"no access for {WRITTEN[form]}!", words)
    assert shown.rstrip("=!") == "no access for ***"
    error = SourceError("unusable", found=f"bad = {WRITTEN[form]}")
    assert _secrets.guarded(error, WRITTEN[form].encode(), words) is not error


def test_a_credential_in_numbers_of_json_is_not_quoted() -> None:
    body = "".join(f"\\u{ord(character):04X}" for character in TOKEN).encode()
    assert "(not shown)" in str(_secrets.guarded(SourceError("unusable", found="x"), body, _secrets.words_of([TOKEN])))


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic //79/Pv6", "Bearer a b"])
def test_what_is_no_pair_has_none(header: str) -> None:
    assert _secrets.words_of([header, "caf\udce9-secret-word"])[-1] != ""
    assert "caf\udce9-secret-word" in _secrets.words_of([header, "caf\udce9-secret-word"])


def test_an_answer_without_one_is_quoted_as_it_is() -> None:
    error = SourceError("unusable", found="bad = 1.5")
    assert _secrets.guarded(error, b'{"bad": 1.5}', ("a-secret-word",)) is error


def test_a_credential_that_the_tail_cut_in_two_is_not_shown() -> None:
    secret = "s" * 50
    errors = (b"x" * 100 + secret.encode() + b" the end " + b"y" * 5000)[-4096:]
    assert "ss" not in harmless_lines(secret.encode()[10:] + b" the end " + b"y" * 4096, (secret,))
    assert harmless_lines(errors[:20], ()) == "y" * 20
    assert harmless_lines(f"log in failed: {secret}\n".encode(), (secret,)) == "log in failed: ***"
